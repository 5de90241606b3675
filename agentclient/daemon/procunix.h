/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procunix.h - which stand-in listeners exist in this network namespace, and who holds them.
 *
 * In /proc/net/unix only listening sockets count: what a stand-in accepted bears its name too.
 */
#ifndef DAEMON_PROCUNIX_H
#define DAEMON_PROCUNIX_H

#include "svidwrap/wire.h"

#include <stdbool.h>
#include <sys/types.h>

/* Does any process hold a socket bound to this abstract name (without the leading NUL)? Exact, unlike a reading
 * of /proc, which misses entries while sockets come and go. true also when that cannot be found out: nothing is
 * ever closed for want of knowledge. */
bool procunix_held(const char *name);

/* Does this process hold that listening socket open? Looks into its /proc/PID/fd; false when it may not. */
bool procunix_held_by(const char *name, pid_t pid);

/* Is fd that listening socket, in this network namespace? */
bool procunix_is(const char *name, int fd);

/* Calls fn for every listening stand-in, and for every daemon socket ("svidwrap/daemon/..."). */
void procunix_each(void (*fn)(const char *name, void *arg), void *arg);

#endif
