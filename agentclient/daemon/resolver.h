/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.h - the addresses of the host names that connect rules name, looked up again and again.
 *
 * A program may find an address past getaddrinfo() (c-ares, a cache, its configuration); with these it is covered
 * even so. Lookups block, for as long as the C library likes: they are made on threads that nobody waits for. All
 * functions here are called on the control thread.
 */
#ifndef DAEMON_RESOLVER_H
#define DAEMON_RESOLVER_H

#include "post.h"
#include "../policy/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOLVER_ADDRESSES   64     /* of one name; the newest stay */
#define RESOLVER_REFRESH_MS  30000  /* between lookups of a name, and at most between those that fail */
#define RESOLVER_PATIENCE_MS 2000   /* a program waits in connect() meanwhile */
#define RESOLVER_KEEP_MS     600000 /* so long an address counts after it was last in an answer: programs cache, too */

struct resolver;

struct resolver_answer {
  int error; /* 0, or as getaddrinfo(): EAI_... */
  size_t count;
  uint8_t addr[RESOLVER_ADDRESSES][16]; /* as in rules_entry */
};
/* On a thread of the resolver's; may block. */
typedef void (*resolver_lookup)(const char *name, struct resolver_answer *out);
void resolver_getaddrinfo(const char *name, struct resolver_answer *out);

/* changed: addresses of some name are others now, or a name was looked up for the first time or because it was asked
 * for again. NULL: out of memory. */
struct resolver *resolver_new(struct event_base *base, struct post *post, resolver_lookup lookup,
                              void (*changed)(void *arg), void *arg);
/* Lookups that are under way end by themselves, later. */
void resolver_free(struct resolver *r);

/* Which names are wanted: between begin and end each is named, as often as it comes; the others are forgotten. */
void resolver_begin(struct resolver *r);
void resolver_want(struct resolver *r, const char *name);
void resolver_end(struct resolver *r);

/* Looks this name up again, now, unless that was done within the last second. */
void resolver_again(struct resolver *r, const char *name);
/* Is an answer to be waited for: the first one, or one that was asked for? Not of a lookup that has taken
 * RESOLVER_PATIENCE_MS: name servers that do not answer cost one program time, not each. */
bool resolver_pending(const struct resolver *r, const char *name);
/* What is known: pointers into the resolver, good until the next call of it. false: no address. */
bool resolver_found(const struct resolver *r, const char *name, struct policy_addresses *out);

#endif
