/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - where a session's identity comes from: a Workload API client, and what it said last.
 *
 * The client calls back on its own thread; what it says lies in a mailbox until the control thread looks. A
 * source of a session speaks over connections that the workload dialed; a shared one (identity.scope: daemon)
 * over an address, for all sessions of that endpoint.
 */
#ifndef DAEMON_SOURCE_H
#define DAEMON_SOURCE_H

#include "post.h"
#include "../identity/identity.h"
#include "../workload/workload.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum source_state {
  SOURCE_IDLE,    /* nobody gave it a connection yet, or the last one ended without an answer */
  SOURCE_WAITING, /* asked, no answer yet */
  SOURCE_SERVED,  /* there is an identity (perhaps expired: source_svid looks) */
  SOURCE_DENIED,  /* the agent took it away, or never gave one */
};

struct source;
LIST_HEAD(source_list, source);

/* On the control thread, whenever something changed. */
typedef void (*source_fn)(void *arg, struct source *s);

/* One reference. */
struct source *source_new(struct post *post, source_fn changed, void *arg);
/* The shared source of an endpoint, made when there is none. */
struct source *source_shared(struct source_list *all, const char *endpoint, struct post *post, source_fn changed,
                             void *arg);
void source_unref(struct source *s);

/* Takes fd over and speaks over it from now on. 0, or -1: out of memory. */
int source_give(struct source *s, int fd);
/* The workload could not dial the agent. */
void source_dial_failed(struct source *s, int err);

enum source_state source_state(const struct source *s);
bool source_connected(const struct source *s);            /* a client is at work */
struct identity *source_identity(const struct source *s); /* NULL unless SERVED; not referenced for the caller */
/* What the agent or the client said last, "" if nothing; *code is the gRPC status. */
const char *source_words(const struct source *s, int *code);

/* How often agents have sent an identity, and a reply, an end or a denial that was none; over all sources. */
struct source_totals {
  uint64_t updates, failures;
};
void source_totals(struct source_totals *t);

/* The SVID for this ID or hint, if it is served and has not expired. NULL and why. */
const struct identity_svid *source_svid(const struct source *s, const char *spiffe_id, const char *hint, char *why,
                                        size_t why_len);

#endif
