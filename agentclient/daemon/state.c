/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - opens the store of the ledger, keeps it going and tells the log when it fails.
 */
#include "state.h"
#include "clock.h"
#include "worker.h"
#include "../observe/ledger_store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 1000

struct state {
  struct worker *worker;
  char *dir;
  struct ledger_store *store;
  struct event timer;
  char trouble[512];
};

static void tell(struct state *s, const char *trouble) {
  if (strcmp(s->trouble, trouble) == 0)
    return;
  if (*trouble)
    log_error(s->worker->log, "%s", trouble);
  else
    log_info(s->worker->log, "state_dir %s: the counters are kept again", s->dir);
  snprintf(s->trouble, sizeof s->trouble, "%s", trouble);
}

/* false: in vain for good. */
static bool open_store(struct state *s) {
  char why[512];
  bool busy;
  s->store = ledger_store_open(s->worker->ledger, s->dir, time(NULL), &busy, why, sizeof why);
  if (!s->store) {
    tell(s, why);
    return busy;
  }
  if (*why)
    log_error(s->worker->log, "%s", why);
  if (*s->trouble)
    tell(s, "");
  return true;
}

static void tick(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct state *s = arg;
  bool go_on = true;
  if (!s->store) {
    go_on = open_store(s); /* the daemon before us may still be ending */
  } else {
    ledger_store_tick(s->store, time(NULL));
    tell(s, ledger_store_trouble(s->store));
  }
  if (!go_on)
    event_del(&s->timer);
}

static void begin(struct state *s, const char *dir) {
  s->dir = strdup(dir);
  if (!s->dir)
    return;
  struct timeval tv = clock_timeval(TICK_MS);
  if (open_store(s))
    event_add(&s->timer, &tv);
}

struct state *state_new(struct worker *w, const char *dir) {
  struct state *s = calloc(1, sizeof *s);
  if (!s)
    return NULL;
  s->worker = w;
  event_assign(&s->timer, w->base, -1, EV_PERSIST, tick, s);
  if (dir)
    begin(s, dir);
  return s;
}

void state_offer(struct state *s, const struct config *c, uid_t uid) {
  const char *dir = policy_settings(c->policy)->state_dir;
  /* A directory is written with our rights: by our own user's word only, variables included. */
  if (!s->dir && dir && c->trusted && uid == geteuid())
    begin(s, dir);
}

void state_free(struct state *s) {
  if (!s)
    return;
  event_del(&s->timer);
  ledger_store_close(s->store, time(NULL));
  free(s->dir);
  free(s);
}

const char *state_dir(const struct state *s) { return s->dir ? s->dir : ""; }

const char *state_trouble(const struct state *s) { return s->trouble; }
