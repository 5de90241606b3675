/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostnames.c - between the configurations, which have names, and the resolver, which has addresses.
 */
#include "hostnames.h"
#include "clock.h"
#include "reload.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>

struct hostnames {
  struct worker *worker;
  struct resolver *resolver;
  struct event timer; /* forgets what no configuration names any more */
  TAILQ_HEAD(, hostnames_wait) waits;
};

static bool pending(const struct hostnames *h, const struct config *c) {
  const char *name;
  uint32_t rule;
  for (size_t i = 0; policy_host_at(c->policy, i, &name, &rule); i++)
    if (resolver_pending(h->resolver, name))
      return true;
  return false;
}

static bool same(const struct config *c, const struct policy_addresses *found, size_t count) {
  if (c->found_count != count)
    return false;
  for (size_t i = 0; i < count; i++)
    if (strcmp(c->found[i].name, found[i].name) != 0 || c->found[i].count != found[i].count ||
        memcmp(c->found[i].addr, found[i].addr, found[i].count * sizeof *found[i].addr) != 0)
      return false;
  return true;
}

static bool listed(const struct policy_addresses *found, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(found[i].name, name) == 0)
      return true;
  return false;
}

/* Gives a configuration the addresses that are known for its names, if they are others than those it has. */
static void update(struct hostnames *h, struct config *c) {
  const char *name;
  uint32_t rule;
  size_t names = 0, count = 0;
  char why[WIRE_TEXT_MAX];
  while (policy_host_at(c->policy, names, &name, &rule))
    names++;
  struct policy_addresses *found = names || c->found_count ? calloc(names + 1, sizeof *found) : NULL;
  if (!found)
    return;
  for (size_t i = 0; policy_host_at(c->policy, i, &name, &rule); i++)
    if (!listed(found, count, name) && resolver_found(h->resolver, name, &found[count]))
      count++;
  if (!same(c, found, count) && config_set_addresses(h->worker, c, found, count, why, sizeof why) != 0)
    log_error(c->log, "%s; the addresses of host names stay as they were", why);
  free(found);
}

static void wake(struct hostnames *h) {
  struct hostnames_wait *wait, *next;
  for (wait = TAILQ_FIRST(&h->waits); wait; wait = next) {
    next = TAILQ_NEXT(wait, link);
    if (pending(h, wait->config))
      continue;
    hostnames_wait_end(wait);
    wait->fn(wait, false);
    next = TAILQ_FIRST(&h->waits); /* it may have ended others */
  }
}

static void changed(void *arg) {
  struct hostnames *h = arg;
  struct config *c;
  LIST_FOREACH(c, &h->worker->configs, link)
  update(h, c);
  wake(h);
}

static void tidy(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  hostnames_look(arg);
}

struct hostnames *hostnames_new(struct worker *w, resolver_lookup lookup) {
  struct hostnames *h = calloc(1, sizeof *h);
  if (!h)
    return NULL;
  h->worker = w;
  TAILQ_INIT(&h->waits);
  h->resolver = resolver_new(w->base, w->post, lookup, changed, h);
  if (!h->resolver) {
    free(h);
    return NULL;
  }
  struct timeval tv = clock_timeval(RESOLVER_REFRESH_MS);
  event_assign(&h->timer, w->base, -1, EV_PERSIST, tidy, h);
  event_add(&h->timer, &tv);
  return h;
}

void hostnames_free(struct hostnames *h) {
  if (!h)
    return;
  for (struct hostnames_wait *wait; (wait = TAILQ_FIRST(&h->waits));) {
    hostnames_wait_end(wait);
    wait->fn(wait, true);
  }
  event_del(&h->timer);
  resolver_free(h->resolver);
  free(h);
}

void hostnames_look(struct hostnames *h) {
  struct config *c;
  const char *name;
  uint32_t rule;
  resolver_begin(h->resolver);
  LIST_FOREACH(c, &h->worker->configs, link)
  for (size_t i = 0; policy_host_at(c->policy, i, &name, &rule); i++)
    resolver_want(h->resolver, name);
  resolver_end(h->resolver);
  changed(h);
}

void hostnames_ask(struct hostnames *h, const struct rules_hosts *names) {
  for (unsigned i = 0; i < names->count; i++)
    resolver_again(h->resolver, names->name[i]);
}

static bool belongs(const struct config *c, const char *name, const uint8_t addr[16]) {
  for (size_t i = 0; i < c->found_count; i++) {
    if (strcmp(c->found[i].name, name) != 0)
      continue;
    for (size_t k = 0; k < c->found[i].count; k++)
      if (memcmp(c->found[i].addr[k], addr, 16) == 0)
        return true;
  }
  return false;
}

void hostnames_believe(const struct config *c, const struct sockaddr *sa, socklen_t len, struct rules_hosts *names) {
  uint8_t addr[16];
  uint16_t port;
  unsigned left = 0;
  bool known = rules_address(sa, len, addr, &port) == 0;
  for (unsigned i = 0; i < names->count; i++)
    if (known && belongs(c, names->name[i], addr))
      memmove(names->name[left++], names->name[i], sizeof names->name[i]);
  names->count = left;
}

/* -- waiting -- */

static void timed_out(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct hostnames_wait *wait = arg;
  hostnames_wait_end(wait);
  wait->fn(wait, false);
}

bool hostnames_wait_begin(struct hostnames *h, const struct config *c, struct hostnames_wait *wait,
                          void (*fn)(struct hostnames_wait *wait, bool gone)) {
  struct timeval tv = clock_timeval(HOSTNAMES_WAIT_MS);
  if (!pending(h, c))
    return false;
  wait->owner = h;
  wait->config = c;
  wait->fn = fn;
  evtimer_assign(&wait->timer, h->worker->base, timed_out, wait);
  evtimer_add(&wait->timer, &tv);
  TAILQ_INSERT_TAIL(&h->waits, wait, link);
  return true;
}

void hostnames_wait_end(struct hostnames_wait *wait) {
  if (!wait->owner)
    return;
  TAILQ_REMOVE(&wait->owner->waits, wait, link);
  event_del(&wait->timer);
  wait->owner = NULL;
}
