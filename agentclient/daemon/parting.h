/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parting.h - closes a TCP connection so that the alert we sent arrives.
 *
 * A close() with unread bytes resets the connection, and a reset may overtake the alert. So: shut our side,
 * drop what the peer still says, close when it closes or after a second. Bounded in number; what is beyond is
 * closed at once.
 */
#ifndef DAEMON_PARTING_H
#define DAEMON_PARTING_H

#include <event2/event.h>

struct parting;

struct parting *parting_new(struct event_base *base);
void parting_free(struct parting *p); /* closes what is left */
/* Takes fd over. */
void parting_close(struct parting *p, int fd);

#endif
