/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.c - whose metrics.listen counts, and what becomes of it on a reload; see measure.h.
 */
#include "measure.h"
#include "clock.h"
#include "scrape.h"
#include "worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MS 5000

struct measure {
  struct worker *worker;
  struct scrape *scrape; /* NULL: none, or it is being tried again */
  char *owner;           /* path of the configuration that named it */
  char *wanted;          /* its address, while it is being tried again */
  struct event retry;
};

static char *front(void *arg) {
  const struct worker *w = arg;
  char *text;
  int64_t up = (clock_ms() - w->started_ms) / 1000;
  int n = asprintf(&text,
                   "svidwrap %s\n\n"
                   "pid %d, uid %u, up %" PRId64 " s, %u sessions\n\n"
                   "Metrics for Prometheus are at /metrics. More is told by `svidwrap status`.\n",
                   SVIDWRAP_VERSION, (int)getpid(), (unsigned)w->uid, up, w->session_count);
  return n < 0 ? NULL : text;
}

static struct scrape *open_at(struct measure *m, const char *address, char *why, size_t why_len) {
  const struct scrape_pages pages = {.metrics = measure_page, .front = front, .arg = m->worker};
  struct scrape *s = scrape_open(m->worker->base, address, &pages, why, why_len);
  if (s)
    log_info(m->worker->log, "metrics are served at %s", address);
  return s;
}

static void replace(char **at, const char *text) {
  char *copy = text ? strdup(text) : NULL;
  free(*at);
  *at = copy;
}

static void try_later(struct measure *m, const char *path, const char *address, const char *why) {
  if (!m->wanted)
    log_error(m->worker->log, "metrics: %s; trying again every %d s", why, RETRY_MS / 1000);
  replace(&m->owner, path);
  if (m->wanted != address)
    replace(&m->wanted, address);
  struct timeval tv = clock_timeval(RETRY_MS);
  evtimer_add(&m->retry, &tv);
}

static void retry(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct measure *m = arg;
  char why[512];
  m->scrape = open_at(m, m->wanted, why, sizeof why);
  if (m->scrape)
    replace(&m->wanted, NULL);
  else
    try_later(m, m->owner, m->wanted, why);
}

struct measure *measure_new(struct worker *w) {
  struct measure *m = calloc(1, sizeof *m);
  if (!m)
    return NULL;
  m->worker = w;
  evtimer_assign(&m->retry, w->base, retry, m);
  return m;
}

void measure_free(struct measure *m) {
  if (!m)
    return;
  event_del(&m->retry);
  scrape_close(m->scrape);
  free(m->owner);
  free(m->wanted);
  free(m);
}

const char *measure_address(const struct measure *m) { return m && m->scrape ? scrape_address(m->scrape) : ""; }

int measure_begin(struct measure *m, const char *path, const char *address, char *why, size_t why_len) {
  m->scrape = open_at(m, address, why, why_len);
  if (!m->scrape)
    return -1;
  replace(&m->owner, path);
  return 0;
}

/* A variable of another user's program may have had a say in the address. */
static bool has_a_say(const struct measure *m, const struct config *c) {
  return c->trusted && c->uid == m->worker->uid;
}

static const char *named(const struct config *c) { return policy_settings(c->policy)->metrics_listen; }

/* Once, and not for every program that brings it. */
static void ignore(struct config *c, const char *why) {
  if (!c->metrics_ignored)
    log_warning(c->log, "%s: metrics.listen %s is ignored: %s", c->path, named(c), why);
  c->metrics_ignored = true;
}

int measure_claim(struct measure *m, struct config *c, char *why, size_t why_len) {
  const char *address = named(c);
  char cause[512];
  if (!address)
    return 0;
  if (!has_a_say(m, c)) {
    ignore(c, "the file, or who brings it, is not of this daemon's user");
    return 0;
  }
  const char *now = m->wanted ? m->wanted : measure_address(m);
  if (*now) {
    if (strcmp(now, address) == 0) {
      replace(&m->owner, c->path); /* from now on this file is watched for it */
      return 0;
    }
    snprintf(cause, sizeof cause, "one daemon serves at one address, and %.300s named %.100s before",
             m->owner ? m->owner : "another configuration", now);
    ignore(c, cause);
    return 0;
  }
  if (measure_begin(m, c->path, address, cause, sizeof cause) == 0)
    return 0;
  if (m->worker->options->again) {
    try_later(m, c->path, address, cause);
    return 0;
  }
  snprintf(why, why_len, "%s: metrics.listen: %s", c->path, cause);
  return -1;
}

static void end(struct measure *m) {
  event_del(&m->retry);
  replace(&m->wanted, NULL);
  replace(&m->owner, NULL);
  scrape_close(m->scrape);
  m->scrape = NULL;
}

void measure_follow(struct measure *m, const struct config *c) {
  char why[512];
  bool owner = m->owner && strcmp(m->owner, c->path) == 0;
  const char *address = has_a_say(m, c) ? named(c) : NULL;
  const char *now = m->wanted ? m->wanted : measure_address(m);
  if ((!owner && *now) || (!*now && !address) || (address && strcmp(now, address) == 0))
    return;
  if (!address) {
    log_info(c->log, "metrics are served no more");
    end(m);
    return;
  }
  struct scrape *fresh = open_at(m, address, why, sizeof why);
  if (!fresh && m->scrape) {
    log_error(c->log, "metrics: %s; they stay at %s", why, now);
  } else if (!fresh) {
    end(m);
    try_later(m, c->path, address, why);
  } else {
    end(m);
    m->scrape = fresh;
    replace(&m->owner, c->path);
  }
}
