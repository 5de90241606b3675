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

/* Every user has a resolver of his own: names that hang, or are many, hold up nobody else's. */
struct realm {
  LIST_ENTRY(realm) link;
  uid_t uid;
  struct resolver *resolver;
  bool wanted;
};

struct hostnames {
  struct worker *worker;
  resolver_lookup lookup;
  LIST_HEAD(, realm) realms;
  struct event timer; /* forgets what no configuration names any more */
  TAILQ_HEAD(, hostnames_wait) waits;
};

static struct realm *realm_of(const struct hostnames *h, uid_t uid) {
  struct realm *r;
  LIST_FOREACH(r, &h->realms, link)
  if (r->uid == uid)
    return r;
  return NULL;
}

static bool pending(const struct hostnames *h, const struct config *c) {
  const struct realm *r = realm_of(h, c->uid);
  const char *name;
  uint32_t rule;
  for (size_t i = 0; r && policy_host_at(c->policy, i, &name, &rule); i++)
    if (resolver_pending(r->resolver, name))
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
  const struct realm *r = realm_of(h, c->uid);
  while (policy_host_at(c->policy, names, &name, &rule))
    names++;
  struct policy_addresses *found = names || c->found_count ? calloc(names + 1, sizeof *found) : NULL;
  if (!found)
    return;
  for (size_t i = 0; r && policy_host_at(c->policy, i, &name, &rule); i++)
    if (!listed(found, count, name) && resolver_found(r->resolver, name, &found[count]))
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
  h->lookup = lookup;
  LIST_INIT(&h->realms);
  TAILQ_INIT(&h->waits);
  struct timeval tv = clock_timeval(RESOLVER_REFRESH_MS);
  event_assign(&h->timer, w->base, -1, EV_PERSIST, tidy, h);
  event_add(&h->timer, &tv);
  return h;
}

static struct realm *realm_new(struct hostnames *h, uid_t uid) {
  struct realm *r = calloc(1, sizeof *r);
  if (!r)
    return NULL;
  r->uid = uid;
  r->resolver = resolver_new(h->worker->base, h->worker->post, h->lookup, changed, h);
  if (!r->resolver) {
    free(r);
    return NULL;
  }
  resolver_begin(r->resolver);
  LIST_INSERT_HEAD(&h->realms, r, link);
  return r;
}

static void realm_free(struct realm *r) {
  LIST_REMOVE(r, link);
  resolver_free(r->resolver);
  free(r);
}

void hostnames_free(struct hostnames *h) {
  if (!h)
    return;
  for (struct hostnames_wait *wait; (wait = TAILQ_FIRST(&h->waits));) {
    hostnames_wait_end(wait);
    wait->fn(wait, true);
  }
  event_del(&h->timer);
  while (!LIST_EMPTY(&h->realms))
    realm_free(LIST_FIRST(&h->realms));
  free(h);
}

static void want(struct hostnames *h, const struct config *c, const char *name) {
  struct realm *r = realm_of(h, c->uid);
  if (!r && !(r = realm_new(h, c->uid))) {
    log_error(c->log, "no memory to look up %s; it is tried again", name);
    return;
  }
  resolver_want(r->resolver, name);
  r->wanted = true;
}

void hostnames_look(struct hostnames *h) {
  struct realm *r, *next;
  struct config *c;
  const char *name;
  uint32_t rule;
  LIST_FOREACH(r, &h->realms, link) {
    r->wanted = false;
    resolver_begin(r->resolver);
  }
  LIST_FOREACH(c, &h->worker->configs, link)
  for (size_t i = 0; policy_host_at(c->policy, i, &name, &rule); i++)
    want(h, c, name);
  for (r = LIST_FIRST(&h->realms); r; r = next) {
    next = LIST_NEXT(r, link);
    if (r->wanted)
      resolver_end(r->resolver);
    else
      realm_free(r);
  }
  changed(h);
}

void hostnames_ask(struct hostnames *h, const struct config *c, const struct rules_hosts *names) {
  const struct realm *r = realm_of(h, c->uid);
  for (unsigned i = 0; r && i < names->count; i++)
    resolver_again(r->resolver, names->name[i]);
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
  struct timeval tv = clock_timeval(RESOLVER_PATIENCE_MS);
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
