/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - the records of live connections. Believes of the arena no more than that a slot was released.
 */
#include "live.h"
#include "clock.h"
#include "revoke.h"
#include "worker.h"
#include "../handshake/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOOKS    256  /* questions to the kernel a second */
#define YOUNG_MS 1000 /* who is younger is not asked after */
#define MISSED   3u   /* not there so often in a row: over */
#define NO_RULE  UINT32_MAX
#define SWEEP_MS 20

static bool judge(struct live *l);
static bool is_over(struct worker *w, struct live *l);

static void live_free(struct live *l) {
  TAILQ_REMOVE(&l->worker->lives, l, link);
  l->worker->live_count--;
  limits_release(&l->hold);
  session_unref(l->session);
  slots_unref(l->slots);
  free(l->hosts);
  free(l->peer);
  free(l->self);
  l->session = NULL;
  if (revoke_forget(l))
    free(l);
}

static void slot_freed(void *arg) { live_free(arg); }

/* The socket is nobody's any more. */
static void live_over(struct live *l) {
  if (l->slots)
    slots_abandon(l->slots, l->ticket); /* comes back through slot_freed() */
  else
    live_free(l);
}

static void identify(struct live *l, int fd) {
  struct sockaddr_storage local, remote;
  socklen_t local_len = sizeof local, remote_len = sizeof remote, len = sizeof(uint64_t);
  uint64_t cookie = 0;
  struct stat st;
  if (fstat(fd, &st) == 0)
    l->inode = st.st_ino;
  getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
  if (getsockname(fd, (struct sockaddr *)&local, &local_len) != 0 ||
      getpeername(fd, (struct sockaddr *)&remote, &remote_len) != 0)
    l->id.cookie = cookie; /* reset by now: never found, and gone with its slot */
  else
    diag_id(&l->id, (struct sockaddr *)&local, (struct sockaddr *)&remote, cookie);
}

struct slots *live_slots(const struct worker *w, uint64_t arena_id, struct slots_ticket t, int socket) {
  const struct live *l;
  uint64_t cookie = 0;
  socklen_t len = sizeof cookie;
  if (getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &len) != 0 || cookie == 0)
    return NULL;
  TAILQ_FOREACH(l, &w->lives, link)
  if (l->slots && slots_id(l->slots) == arena_id && l->ticket.slot == t.slot && l->ticket.use == t.use &&
      l->id.cookie == cookie)
    return l->slots;
  return NULL;
}

static struct rules_hosts *copy_hosts(const struct rules_hosts *hosts, bool *ok) {
  if (!hosts || !hosts->count)
    return NULL;
  struct rules_hosts *copy = malloc(sizeof *copy);
  *ok = *ok && copy;
  if (copy)
    *copy = *hosts;
  return copy;
}

bool live_admit(struct worker *w, const struct config *c, const struct policy_rule *rule, const char *peer,
                struct slots *slots, struct limits_hold *hold, char *why, size_t why_len) {
  char limit[128]; /* why may hold what `policy: audit` has to say */
  if (limits_admit(w->limits, c, rule, peer, clock_ms(), hold, limit, sizeof limit))
    return true;
  /* Some may be over that nobody has looked after yet. */
  if (slots_sweep_after(slots, SWEEP_MS) &&
      limits_admit(w->limits, c, rule, peer, clock_ms(), hold, limit, sizeof limit))
    return true;
  snprintf(why, why_len, "%s", limit);
  return false;
}

int live_add(struct worker *w, const struct live_new *n) {
  struct live *l = calloc(1, sizeof *l);
  bool ok = true;
  if (!l)
    return -1;
  l->worker = w;
  l->inbound = n->inbound;
  l->plain = !n->result;
  l->rule = n->rule;
  l->ticket = n->ticket;
  l->opened_ms = clock_ms();
  memcpy(&l->match, n->match, n->match_len < sizeof l->match ? n->match_len : sizeof l->match);
  l->hosts = copy_hosts(n->hosts, &ok);
  l->peer = strdup(n->result ? n->result->peer.text : "");
  l->self = strdup(n->result ? n->result->self.text : "");
  if (n->socket) {
    l->id = n->socket->id;
    l->inode = n->socket->inode;
  } else {
    identify(l, n->fd);
  }
  if (!ok || !l->peer || !l->self) {
    free(l->hosts);
    free(l->peer);
    free(l->self);
    free(l);
    return -1;
  }
  l->session = session_ref(n->session);
  l->hold = n->hold;
  if (n->slots) {
    l->slots = slots_ref(n->slots);
    slots_on_free(n->slots, n->ticket, slot_freed, l);
  }
  TAILQ_INSERT_HEAD(&w->lives, l, link);
  w->live_count++;
  is_over(w, l); /* while we know that it is there: is it where we can see it? */
  if (l->plain)
    judge(l); /* it was under way when the program took it: the policy may be another by now */
  return 0;
}

void live_told(struct worker *w, struct session *s, const struct wire_plain *m, uint32_t rule) {
  struct diag_id id;
  struct diag_socket found;
  /* What it names may be anybody's. The kernel knows whose it is. */
  if (w->diag < 0 || m->local_len < sizeof(sa_family_t) ||
      diag_id(&id, (const struct sockaddr *)&m->local, (const struct sockaddr *)&m->dest, m->cookie) != 0 ||
      diag_look(w->diag, &id, &found) != 0 || found.uid != s->uid || found.inode == 0)
    return;
  found.id = id;
  struct live_new n = {.session = s,
                       .rule = rule,
                       .fd = -1,
                       .socket = &found,
                       .match = (const struct sockaddr *)&m->dest,
                       .match_len = m->dest_len,
                       .hosts = &m->hosts};
  if (live_add(w, &n) != 0)
    log_error(w->log, "out of memory: a connection in plaintext will not end when its rule does");
}

bool live_revoked(const struct slots *a, struct slots_ticket t) {
  const struct live *l = slots_watcher(a, t);
  return l && l->revoked;
}

void live_relayed(const struct slots *a, struct slots_ticket t) {
  struct live *l = slots_watcher(a, t);
  if (!l)
    return;
  slots_on_free(l->slots, t, NULL, NULL);
  slots_unref(l->slots);
  l->slots = NULL;
}

/* -- what is over -------------------------------------------------------------------------------------------------
 */

/* Asks the kernel. true: the record has to go. */
static bool is_over(struct worker *w, struct live *l) {
  struct diag_socket s;
  int rc = w->diag >= 0 && l->id.family ? diag_look(w->diag, &l->id, &s) : -ENOSYS;
  if (rc == 0 && s.inode != 0) {
    l->seen = true;
    l->missed = 0;
    return false;
  }
  bool gone = rc == 0 || rc == -ENOENT; /* orphaned, or no more */
  /* One that was never seen may be in another network namespace. With its session the last reason to keep it goes. */
  if (!gone || !l->seen)
    return l->session->ended && ++l->missed >= MISSED;
  return ++l->missed >= MISSED || l->session->ended;
}

bool live_open(const struct worker *w, const struct live *l) {
  struct diag_socket s;
  return w->diag >= 0 && l->id.family && diag_look(w->diag, &l->id, &s) == 0 && s.inode != 0;
}

void live_sweep(struct worker *w) {
  unsigned looks = w->live_count < LOOKS ? w->live_count : LOOKS;
  int64_t now = clock_ms();
  struct live *l, *next;
  for (l = TAILQ_FIRST(&w->lives); l; l = next) {
    next = TAILQ_NEXT(l, link);
    if (l->slots && l->session->ended)
      slots_reclaim(l->slots, l->ticket); /* nobody else sweeps there; l may be gone */
  }
  for (; looks && (l = TAILQ_FIRST(&w->lives)); looks--) {
    TAILQ_REMOVE(&w->lives, l, link);
    TAILQ_INSERT_TAIL(&w->lives, l, link);
    if ((l->session->ended || now - l->opened_ms >= YOUNG_MS) && is_over(w, l))
      live_over(l);
  }
}

void live_free_all(struct worker *w) {
  struct live *l;
  while ((l = TAILQ_FIRST(&w->lives))) {
    if (l->slots)
      slots_on_free(l->slots, l->ticket, NULL, NULL);
    live_free(l);
  }
}

/* -- judged again -------------------------------------------------------------------------------------------------
 */

/* The rule of the present policy that covers it; its mode in *e. NO_RULE: none that manages it. */
static uint32_t rule_now(const struct live *l, struct rules_entry *e) {
  int found = config_match_host(l->session->config, l->inbound ? RULES_LISTEN : RULES_CONNECT,
                                (const struct sockaddr *)&l->match, sizeof l->match, l->hosts, e);
  return found == 1 && rules_entry_managed(e) ? e->rule : NO_RULE;
}

static bool still_allowed(const struct live *l, const struct policy_rule *rule, enum rules_mode mode,
                          const char **why) {
  struct spiffeid self, peer;
  const char *bad;
  *why = "the new policy asks for mutual TLS here";
  if (l->plain)
    return mode != RULES_ENFORCE;
  *why = "the new policy does not allow it";
  if (spiffeid_parse(&peer, l->peer, strlen(l->peer), 1, &bad) != 0)
    return false;
  if (spiffeid_parse(&self, l->self, strlen(l->self), 1, &bad) != 0)
    self.len = 0;
  return rule->audit_only || policy_allows(l->session->config->policy, l->rule, &self, &peer, &bad);
}

/* By the present policy. true: it ends. */
static bool judge(struct live *l) {
  struct rules_entry e;
  const char *why;
  l->rule = rule_now(l, &e);
  const struct policy_rule *rule = policy_rule_at(l->session->config->policy, l->rule);
  limits_release(&l->hold);
  if (rule && !l->plain)
    limits_count(l->worker->limits, l->session->config, rule, l->peer, clock_ms(), &l->hold);
  /* Where nothing is asked for any more, what was authenticated may stay. */
  if (!rule || rule->on_change == POLICY_CHANGE_KEEP || still_allowed(l, rule, e.mode, &why) || l->revoked)
    return false;
  revoke_live(l, why);
  return true;
}

/* The program has let go of it, and nobody has looked since. The record of a slot is gone then. */
static bool is_released(struct live *l) {
  struct diag_socket s;
  if (l->slots)
    return slots_reclaim(l->slots, l->ticket);
  if (!l->seen || l->worker->diag < 0)
    return false;
  int rc = diag_look(l->worker->diag, &l->id, &s);
  return rc == -ENOENT || (rc == 0 && s.inode == 0);
}

void live_policy_changed(struct worker *w, const struct config *c) {
  struct live *l, *next;
  unsigned ended = 0;
  for (l = TAILQ_FIRST(&w->lives); l; l = next) {
    next = TAILQ_NEXT(l, link);
    if (l->session->config == c && !is_released(l))
      ended += judge(l);
  }
  if (ended)
    log_warning(c->log, "%s: the new policy ends %u live connections", c->path, ended);
}

bool live_serves(const struct session *s, const char *id) {
  if (s->ended)
    return true;
  struct identity *identity = source_identity(s->source);
  for (size_t i = 0; identity && i < identity_svid_count(identity); i++)
    if (strcmp(identity_svid_at(identity, i)->id.text, id) == 0)
      return true;
  return false;
}

void live_identity_changed(struct session *s, bool denied) {
  struct worker *w = s->worker;
  struct live *l, *next;
  unsigned ended = 0;
  if (!denied && !source_identity(s->source))
    return; /* nothing new was said */
  for (l = TAILQ_FIRST(&w->lives); l; l = next) {
    next = TAILQ_NEXT(l, link);
    if (l->session != s || l->plain || l->revoked || (!denied && live_serves(s, l->self)) || is_released(l))
      continue;
    const struct policy_rule *rule = policy_rule_at(s->config->policy, l->rule);
    if (rule && rule->on_revoke == POLICY_REVOKE_KEEP)
      continue;
    revoke_live(l, "the agent took our identity away");
    ended++;
  }
  if (ended)
    log_warning(s->config->log, "%s (pid %d): the agent took the identity away: %u live connections end", s->program,
                (int)s->pid, ended);
}

const struct live *live_find(const struct worker *w, const struct session *s, const struct sockaddr *local,
                             const struct sockaddr *remote) {
  struct diag_id id;
  const struct live *l;
  if (diag_id(&id, local, remote, 0) != 0)
    return NULL;
  TAILQ_FOREACH(l, &w->lives, link)
  if (l->session->uid == s->uid && l->id.family == id.family && l->id.local_port == id.local_port &&
      l->id.remote_port == id.remote_port && memcmp(l->id.local, id.local, sizeof id.local) == 0 &&
      memcmp(l->id.remote, id.remote, sizeof id.remote) == 0)
    return l;
  return NULL;
}
