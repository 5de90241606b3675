/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostnames.h - keeps the addresses of the host names in every configuration's rules up to date.
 *
 * A program's HELLO is answered once the names of its configuration were looked up, or could not be: from its first
 * connect() on the rules cover what they are going to cover.
 */
#ifndef DAEMON_HOSTNAMES_H
#define DAEMON_HOSTNAMES_H

#include "config.h"
#include "resolver.h"

#include <event2/event_struct.h>

struct worker;
struct hostnames;

/* NULL: out of memory. lookup as for resolver_new(). */
struct hostnames *hostnames_new(struct worker *w, resolver_lookup lookup);
void hostnames_free(struct hostnames *h); /* who waits is told */

/* There is a new configuration, or one has another policy. (That one went is noticed by and by.) */
void hostnames_look(struct hostnames *h);

/* Has those of these names looked up again that are in rules of the configuration's user. */
void hostnames_ask(struct hostnames *h, const struct config *c, const struct rules_hosts *names);
/* Takes the names away that, as far as we know ourselves, do not belong to this address. */
void hostnames_believe(const struct config *c, const struct sockaddr *sa, socklen_t len, struct rules_hosts *names);

/* Somebody who waits for answers about a configuration's names. Called once, on the control thread: when they
 * are there, when it took too long, or with gone set: the daemon ends. */
struct hostnames_wait {
  TAILQ_ENTRY(hostnames_wait) link;
  struct hostnames *owner; /* NULL: not waiting */
  const struct config *config;
  struct event timer;
  void (*fn)(struct hostnames_wait *wait, bool gone);
};
/* false: there is nothing to wait for, and fn is not called. */
bool hostnames_wait_begin(struct hostnames *h, const struct config *c, struct hostnames_wait *wait,
                          void (*fn)(struct hostnames_wait *wait, bool gone));
void hostnames_wait_end(struct hostnames_wait *wait); /* harmless when it does not wait */

#endif
