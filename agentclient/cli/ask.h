/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.h - a question to the running daemon, for the commands that are about it. Never starts one.
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "svidwrap/wire.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Asks the daemon of this user, or where there is none, root's. request: JSON that goes behind the header, or NULL.
 * 0, and *answer for json_decref(), NULL where the daemon sent none; else an exit code (69: nobody answers; 65: it
 * said no), and why, which names cause and cure. */
int ask_daemon(enum wire_type type, const json_t *request, json_t **answer, char *why, size_t why_len);

/* Does a daemon that would serve us give every program one configuration (enforce_config)? true: *path is it, and
 * *io_uring_unsafe what it says of io_uring. Silent: where nobody answers, nobody does. */
bool ask_enforced(char *path, size_t len, bool *io_uring_unsafe);

#endif
