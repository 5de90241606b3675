/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.h - keeps a worker running. Holds no session, no socket and no key.
 *
 * Supervisor and worker hold the two ends of a socketpair, the leash. The worker writes its exit code before it
 * leaves on purpose; an end of file without one is a crash. The worker in turn sees when its supervisor is gone
 * and starts another one for itself, so that killing either of them (or both, one after the other) heals.
 */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include "daemon.h"

/* Runs until the worker leaves. Its exit code. */
int supervisor_main(const struct daemon_options *options);

/* In the worker: starts a supervisor for itself. The new leash, or -1 and errno. */
int supervisor_respawn(const struct daemon_options *options);

/* In the worker: says goodbye. */
void supervisor_goodbye(int leash, int code);

#endif
