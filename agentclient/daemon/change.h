/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.h - the orders that change policies at run time, `svidwrap mode` and `svidwrap rollback`: verbs of admin.h.
 *
 * An order is carried out in every configuration that it concerns, or in none. The daemon writes no file: it tells
 * who asks what to write (--persist), and takes the file's coming change for known.
 */
#ifndef DAEMON_CHANGE_H
#define DAEMON_CHANGE_H

#include "admin.h"

json_t *change_mode(struct ctl *c, json_t *request, char *why, size_t why_len);
json_t *change_rollback(struct ctl *c, json_t *request, char *why, size_t why_len);

#endif
