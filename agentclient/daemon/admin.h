/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.h - what an operator asks of a running daemon (WIRE_ADMIN): JSON verbs, from the daemon's own uid or root's
 * alone. A request that does not fit a message comes in a sealed memfd; every answer does.
 *
 *   {"verb": "report", "since": SECONDS}   the survey (survey.h); since: UNIX time
 *   {"verb": "mode", "rule", "mode", "percent"?, "config"?: PATH, "persist"?: true, "files"?: {PATH: TEXT}}
 *        {"changes": [{"config", "rule", "old", "new", "variable"?}], "files": {PATH: TEXT to write}, "ended": live
 * connections that the new policy does not let in}, or, where texts of files are wanted to change them,
 * {"files_wanted": [PATH]} and nothing was changed
 *   {"verb": "rollback"}
 *        {"undone": "order" or "file", "at", "changes", "files": {PATH: {"written", "before"}}, "files_left": [PATH],
 * "ended", "left": how many more}
 */
#ifndef DAEMON_ADMIN_H
#define DAEMON_ADMIN_H

#include "control.h"

#include <jansson.h>

/* The handler of WIRE_ADMIN. */
void admin_request(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

/* A verb: a new reference to its answer, or NULL and why. It does not keep the request. */
typedef json_t *(*admin_verb)(struct ctl *c, json_t *request, char *why, size_t why_len);

#endif
