/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.h - dialing the daemon; session.h has the messages.
 */
#ifndef SHIM_TRANSPORT_H
#define SHIM_TRANSPORT_H

#include "session.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A connection to the daemon of this uid; starts it when it is our own and none answers. known: it served
 * this process before, so its supervisor is given a moment to restart it. -1 and errno. */
int transport_dial(uid_t uid, bool known);
/* The same, but only when it answers now. */
int transport_dial_running(uid_t uid);
/* Is the other end of a unix socket root or our own effective uid? */
struct ucred;
bool transport_peer_trusted(int sock, struct ucred *cred);

uint64_t transport_now_ms(void);
void transport_sleep_ms(unsigned ms);

#endif
