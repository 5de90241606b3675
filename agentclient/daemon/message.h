/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - one message with descriptors over a unix socket, never blocking, never leaking a
 * descriptor: what the caller does not get is closed.
 */
#ifndef DAEMON_MESSAGE_H
#define DAEMON_MESSAGE_H

#include "svidwrap/wire.h"

#include <stddef.h>
#include <sys/types.h>

/* Receives one message into buf. fds: the first WIRE_FDS_MAX, close-on-exec, -1 where none came; *nfds
 * how many came in all (more than WIRE_FDS_MAX: the surplus is closed already). 0 at end of stream, -1 and
 * errno (EMSGSIZE: truncated, EAGAIN: nothing there). On any return <= 0 there are no descriptors. */
ssize_t message_recv(int sock, void *buf, size_t size, int fds[WIRE_FDS_MAX], int *nfds);

/* Sends one message. 0, or -1 and errno: EAGAIN, ENOBUFS, ENOMEM and ETOOMANYREFS pass. */
int message_send(int sock, const void *buf, size_t len, const int *fds, int nfds);
/* Is that errno of message_send() one that passes? */
int message_passes(int err);

void message_close(int fds[WIRE_FDS_MAX]);

/* Fills in a header. */
void message_header(struct wire_hdr *h, enum wire_type type, size_t length);

#endif
