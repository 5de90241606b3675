/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standin.h - the abstract unix names of stand-in listeners. They are random, and no secret: who shows up with one
 * has to hold the socket, too.
 */
#ifndef SHIM_STANDIN_H
#define SHIM_STANDIN_H

#include "svidwrap/wire.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A fresh name. 0 or a negative errno. */
int standin_random(char name[WIRE_NAME_LEN]);
/* The name as an address, and its length. */
socklen_t standin_address(struct sockaddr_un *sun, const char *name);
/* Is this address, as getsockname() gave it, one of a stand-in? Then its name. */
bool standin_is(const struct sockaddr *sa, socklen_t len, char name[WIRE_NAME_LEN]);

#endif
