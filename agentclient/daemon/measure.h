/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.h - the metrics of this daemon, and who says where they are served.
 *
 * A daemon has one listener, whatever the number of its configurations: the one that the first of them names, the
 * daemon's own before those that programs bring. Only configurations of the daemon's own user, and that nobody else
 * can write, have a say. Control thread only.
 */
#ifndef DAEMON_MEASURE_H
#define DAEMON_MEASURE_H

#include "config.h"

struct worker;
struct measure;

struct measure *measure_new(struct worker *w); /* NULL: out of memory */
void measure_free(struct measure *m);

/* metrics.listen of the daemon's own configuration. 0, or -1 and "ADDRESS: cause". */
int measure_begin(struct measure *m, const char *path, const char *address, char *why, size_t why_len);
/* A program brings a configuration. 0, or -1 and why: it names a listener that cannot be had, and this daemon is not
 * the successor of one that crashed (then it is tried again and again, in place of refusing running programs). */
int measure_claim(struct measure *m, struct config *c, char *why, size_t why_len);
/* A configuration has changed: its listener moves with it, and stays where the new one cannot be had. */
void measure_follow(struct measure *m, const struct config *c);

const char *measure_address(const struct measure *m); /* "": none */

/* measure_page.c: the page of /metrics, malloc()ed; NULL: out of memory. */
char *measure_page(void *worker);

#endif
