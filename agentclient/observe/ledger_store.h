/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_store.h - keeps a ledger in a directory, so that its counts survive the daemon.
 *
 * DIR/counters is appended to once a second and written anew when it has grown (DIR/counters.new, then renamed), by a
 * thread of its own: the disk never holds the caller up. DIR/lock has one holder. What is damaged is found out, kept
 * aside as DIR/counters.damaged and said; a kill costs the last second. Modes 0600; the directory is our user's and
 * nobody else may write there.
 */
#ifndef OBSERVE_LEDGER_STORE_H
#define OBSERVE_LEDGER_STORE_H

#include "ledger.h"

struct ledger_store;

/* Adds what is kept there to the ledger, and keeps it from now on. The directory is made when only it is missing.
 * NULL and why; *busy: another daemon has it, try again. why may say something on success, too ("" if not). */
struct ledger_store *ledger_store_open(struct ledger *l, const char *dir, time_t now, bool *busy, char *why,
                                       size_t why_len);
/* Once a second. Never blocks. */
void ledger_store_tick(struct ledger_store *s, time_t now);
/* What keeps it from being written, "" when all is well. */
const char *ledger_store_trouble(struct ledger_store *s);
/* Writes what is left, and frees. */
void ledger_store_close(struct ledger_store *s, time_t now);

/* A file is written anew beyond this size, and beyond four times what it began with; a variable for tests. */
extern size_t ledger_store_bound;

#endif
