/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.h - the host names that this program asked for, by the addresses that it was told: so that a connect rule
 * may name a host.
 *
 * What counts is the name as the program gave it, in lower case and without a dot at its end: neither the canonical
 * name nor what a search list made of it. Fixed memory, no allocation, no lock across calls; the newest wins.
 */
#ifndef SHIM_HOSTS_H
#define SHIM_HOSTS_H

#include "svidwrap/rules.h"

#include <stdbool.h>
#include <stdint.h>

#define HOSTS_ADDRESSES 1024 /* remembered at a time */
#define HOSTS_NAME      256  /* bytes of a name, its NUL included: as in struct rules_hosts */

/* A name as rules have it. false: nothing that a rule could name (NULL, empty, too long, an address, blanks in it).
 */
bool hosts_name(const char *asked, char name[HOSTS_NAME]);

/* The resolver's answer to hosts_name()'s name: 4 or 16 bytes by family, others are ignored. */
void hosts_record(const char *name, int family, const void *addr);

/* The names of an address (as in rules_entry): the one that this thread asked for last, then the newest first. */
void hosts_lookup(const uint8_t addr[16], struct rules_hosts *out);

/* The rules are known: names in them, and their addresses, are not given up for others. The table stays mapped. */
void hosts_rules(const struct rules_table *table);

/* Around fork(), signals blocked. */
void hosts_before_fork(void);
void hosts_after_fork_parent(void);
void hosts_after_fork_child(void);

#endif
