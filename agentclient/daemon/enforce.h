/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enforce.h - enforce_config: the configuration of `svidwrap daemon --config` in the place of whatever programs
 * bring.
 *
 * Its variables are the daemon's own environment. The file has to belong to root or the daemon's user, and nobody
 * else may write it, now and whenever it is read again.
 */
#ifndef DAEMON_ENFORCE_H
#define DAEMON_ENFORCE_H

#include "config.h"

struct worker;

/* Sets w->enforced where the daemon's own file asks for it. 0, or a sysexits code and why. */
int enforce_open(struct worker *w, char *why, size_t why_len);

/* May a file with this state be enforced? false and why. */
bool enforce_may(const char *path, const struct stat *st, char *why, size_t why_len);

#endif
