/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listeners.c - one listener: who speaks for it, what becomes of its peers, when it is closed. The messages about
 * listeners are in registry.c.
 */
#include "listeners.h"
#include "clock.h"
#include "procunix.h"
#include "registry.h"
#include "report.h"
#include "worker.h"
#include "../observe/audit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS     1
#define POLL_MAX_MS 1000
#define RING_MS     64
#define DRAIN_MS    5000 /* a client's decision for TLS, its connect() and its first byte are not further apart */

/* The session with an identity that the listener's rule can use: the oldest, so that who registered it speaks
 * while it can. */
static struct attach *speaker(struct listener *l, const struct identity_svid **svid, char *why, size_t why_len) {
  struct attach *a;
  TAILQ_FOREACH(a, &l->attached, of_listener) {
    if (a->session && a->rule != ATTACH_NO_RULE)
      *svid = session_svid(a->session, a->rule, why, why_len);
    if (*svid)
      return a;
  }
  return NULL;
}

/* Somebody of whom an answer may still come. */
static struct session *hopeful(struct listener *l) {
  struct attach *a;
  TAILQ_FOREACH(a, &l->attached, of_listener)
  if (a->session && a->rule != ATTACH_NO_RULE) {
    enum source_state state = source_state(a->session->source);
    if (state == SOURCE_WAITING || state == SOURCE_IDLE)
      return a->session;
  }
  return NULL;
}

/* Whose rule decides about plaintext: the strictest of all who speak for the listener, as it is in force now. */
static struct attach *strictest(struct listener *l, const struct policy_rule **rule) {
  struct attach *a, *found = NULL;
  TAILQ_FOREACH(a, &l->attached, of_listener) {
    const struct policy_rule *r =
        a->session && a->rule != ATTACH_NO_RULE ? policy_rule_at(a->session->config->policy, a->rule) : NULL;
    if (r && (!found || r->mode > (*rule)->mode)) {
      found = a;
      *rule = r;
    }
  }
  return found;
}

static bool lost_rule(const struct listener *l) {
  const struct attach *a;
  TAILQ_FOREACH(a, &l->attached, of_listener)
  if (a->session && a->lost)
    return true;
  return false;
}

static void wait_for_identity(struct listener *l, struct session *s) {
  if (l->waiting)
    return;
  l->waiting = true;
  struct timeval tv = clock_timeval(policy_settings(s->config->policy)->identity_wait_ms);
  evtimer_add(&l->late, &tv);
  session_seek_agent(s); /* a listener that was registered while its rule was off has none */
}

static void remember(struct listener *l, struct session *s) {
  if (l->speaker == s)
    return;
  session_unref(l->speaker);
  l->speaker = session_ref(s);
}

/* Clients decide by rules of their own: who dialed before it heard that TLS is off here has a ClientHello on its way.
 * For a while they are met, or the way back would cost them their connections. */
static bool draining(struct listener *l, enum rules_mode mode) {
  int64_t now = clock_ms();
  if (mode == RULES_OFF && l->mode != RULES_OFF)
    l->drain_ms = now + DRAIN_MS;
  l->mode = mode;
  return mode == RULES_OFF && now < l->drain_ms;
}

static enum serve_ready listener_credentials(void *arg, struct serve_credentials *out) {
  struct listener *l = arg;
  const struct identity_svid *svid = NULL;
  const struct policy_rule *rule = NULL;
  struct attach *decides = strictest(l, &rule);
  out->rule = ATTACH_NO_RULE;
  if (!decides && lost_rule(l)) {
    snprintf(out->reason, sizeof out->reason, "no rule of the new policy covers this listener");
    return SERVE_REFUSE;
  }
  if (!decides)
    return SERVE_WAIT; /* between two images, or held by processes that have yet to say who they are */
  out->policy = decides->session->config->policy;
  out->rule = decides->rule;
  if (!report_admits(decides->session->config, out->reason, sizeof out->reason))
    return SERVE_REFUSE;
  out->mode = rule->mode;
  out->detect_ms = rule->detect_timeout_ms;
  out->draining = draining(l, rule->mode);
  snprintf(out->reason, sizeof out->reason, "no identity");
  struct attach *a = speaker(l, &svid, out->reason, sizeof out->reason);
  out->speaker = a ? a->session : decides->session;
  remember(l, out->speaker);
  if (a) {
    out->policy = a->session->config->policy;
    out->rule = a->rule;
    if (!report_admits(a->session->config, out->reason, sizeof out->reason))
      return SERVE_REFUSE;
    out->identity = source_identity(a->session->source);
    out->svid = svid;
    out->timeout_ms = policy_settings(out->policy)->handshake_timeout_ms;
    return SERVE_GO;
  }
  struct session *s = hopeful(l);
  if (!s || l->waited)
    return SERVE_REFUSE;
  if (rule->mode != RULES_OFF || out->draining) /* nobody is woken for an identity that nobody needs */
    wait_for_identity(l, s);
  return SERVE_WAIT;
}

static bool listener_plain_at_once(void *arg, const struct serve_conn *c) {
  struct listener *l = arg;
  const struct policy_rule *rule = NULL;
  struct attach *a = strictest(l, &rule);
  return a && policy_plaintext_from(a->session->config->policy, a->rule, (const struct sockaddr *)&c->remote,
                                    c->remote_len);
}

static void listener_late(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct listener *l = arg;
  l->waiting = false;
  l->waited = true;
  serve_kick(l->serve);
}

/* Before there are credentials nobody in particular speaks. */
static struct session *speaker_of(const struct listener *l, const struct serve_conn *c) {
  return c->speaker ? c->speaker : l->speaker;
}

/* -1: there is no line about it, and there has to be one (audit.required). */
static int listener_report(struct listener *l, const struct serve_conn *c) {
  struct report_connection r = {.worker = l->worker,
                                .session = speaker_of(l, c),
                                .inbound = true,
                                .policy = c->policy,
                                .rule = c->rule,
                                .local = (const struct sockaddr *)&c->local,
                                .remote = (const struct sockaddr *)&c->remote,
                                .plaintext = c->plain ? c->result.reason : NULL,
                                .result = &c->result};
  return report_connection(&r);
}

static void listener_refused(void *arg, const struct serve_conn *c) { (void)listener_report(arg, c); }

static uint32_t truncation_of(const struct serve_conn *c) {
  const struct policy_rule *r = policy_rule_at(c->policy, c->rule);
  return r ? r->flags & ARENA_TRUNCATION_EOF : 0;
}

/* The policy changed during the handshake: the rule is looked up again and the peer
 * judged by it. false: refused, with the reason in c. */
static bool judge_again(struct listener *l, struct serve_conn *c) {
  struct policy *now = speaker_of(l, c)->config->policy;
  if (c->policy == now)
    return true;
  uint32_t rule = registry_rule(speaker_of(l, c), serve_fd(l->serve));
  const struct policy_rule *r = policy_rule_at(now, rule);
  const char *why = "no rule of the new policy covers this listener";
  bool allowed = r && policy_allows(now, rule, &c->result.self, &c->result.peer, &why);
  policy_unref(c->policy);
  c->policy = policy_ref(now);
  c->rule = rule;
  c->result.would_deny = !allowed && r && r->audit_only;
  if (!allowed)
    snprintf(c->result.reason, sizeof c->result.reason, "%s", why);
  if (allowed || c->result.would_deny)
    return true;
  c->result.outcome = HANDSHAKE_DENIED;
  return false;
}

/* t: NULL in plaintext. -1: out of memory; a connection that nobody knows of could not be ended. */
static int listener_remember(struct listener *l, const struct serve_conn *c, const struct slots_ticket *t,
                             struct limits_hold hold) {
  struct live_new n = {.session = speaker_of(l, c),
                       .inbound = true,
                       .rule = c->rule,
                       .fd = c->fd,
                       .match = (const struct sockaddr *)&l->local,
                       .match_len = l->local_len,
                       .hold = hold};
  if (t) {
    n.slots = l->slots;
    n.ticket = *t;
    n.result = &c->result;
  }
  return live_add(l->worker, &n);
}

/* What may have changed since the handshake began, and what a rule says beside who. false: refused, with the reason
 * in c. */
static bool admit(struct listener *l, struct serve_conn *c, struct limits_hold *hold) {
  struct handshake_result *r = &c->result;
  if (!judge_again(l, c))
    return false;
  if (!live_serves(speaker_of(l, c), r->self.text)) {
    r->outcome = HANDSHAKE_CANCELLED;
    snprintf(r->reason, sizeof r->reason, "the agent took our identity away during the handshake");
    return false;
  }
  if (live_admit(l->worker, speaker_of(l, c)->config, policy_rule_at(c->policy, c->rule), r->peer.text, l->slots,
                 hold, r->reason, sizeof r->reason))
    return true;
  r->outcome = HANDSHAKE_DENIED;
  return false;
}

/* Resets the peer; the listener goes on with the next one. */
static void drop(struct listener *l, struct serve_conn *c) {
  serve_conn_free(c);
  serve_taken(l->serve);
}

static void deliver_plain(struct listener *l, struct serve_conn *c) {
  if (listener_report(l, c) == 0)
    standin_offer_plain(l->standin, c);
  else
    drop(l, c);
}

static void listener_deliver(void *arg, struct serve_conn *c) {
  struct listener *l = arg;
  struct limits_hold hold;
  struct slots_ticket t;
  if (c->plain) {
    deliver_plain(l, c);
    return;
  }
  if (!admit(l, c, &hold)) {
    (void)listener_report(l, c);
    drop(l, c);
    return;
  }
  struct slots_fill fill = {.role = ARENA_SERVER,
                            .flags = truncation_of(c),
                            .rule = c->rule,
                            .peer = c->remote,
                            .peer_len = (uint32_t)c->remote_len};
  if (slots_fill(l->slots, &fill, &c->result, &t) != 0) {
    limits_release(&hold);
    c->result.outcome = HANDSHAKE_INTERNAL;
    snprintf(c->result.reason, sizeof c->result.reason, "%s", slots_why(errno));
    log_error(l->worker->log, "listener %s: %s", l->name, c->result.reason);
    (void)listener_report(l, c);
    drop(l, c);
    return;
  }
  bool known = listener_remember(l, c, &t, hold) == 0;
  if (!known)
    limits_release(&hold);
  if (!known || listener_report(l, c) != 0) {
    slots_abandon(l->slots, t);
    drop(l, c);
    return;
  }
  standin_offer(l->standin, c, l->slots, t);
}

static void listener_taken(void *arg) {
  struct listener *l = arg;
  serve_taken(l->serve);
}

static void listener_taken_plain(void *arg, const struct serve_conn *c) {
  struct listener *l = arg;
  if (listener_remember(l, c, NULL, (struct limits_hold){0}) != 0)
    log_error(l->worker->log, "out of memory: a connection in plaintext will not end when its rule does");
}

/* Plaintext that waits in a queue of ours must not outlive the rule that let it through. */
static bool listener_withdrawn(void *arg, struct serve_conn *c) {
  struct listener *l = arg;
  const struct policy_rule *rule = NULL;
  if (strictest(l, &rule) && rule->mode != RULES_ENFORCE)
    return false;
  serve_reconsider(l->serve, c);
  return true;
}

static void listener_gone(void *arg, bool stolen) {
  struct listener *l = arg;
  if (stolen)
    log_error(l->worker->log, "stand-in %s is held by another user: its listener is closed", l->name);
  if (stolen || !procunix_held(l->name))
    listener_close(l);
}

void listener_detach(struct attach *a) {
  TAILQ_REMOVE(&a->listener->attached, a, of_listener);
  if (a->session)
    LIST_REMOVE(a, of_session);
  if (a->life) {
    a->life->hangup = NULL;
    ctl_close(a->life);
  }
  free(a);
}

void listener_close(struct listener *l) {
  struct worker *w = l->worker;
  char local[64];
  log_debug(w->log, "listener %s (%s) closes", audit_address((struct sockaddr *)&l->local, local, sizeof local),
            l->name);
  LIST_REMOVE(l, link);
  event_del(&l->poll);
  event_del(&l->late);
  serve_close(l->serve); /* first of all: the port is to be free when anybody hears of this */
  standin_free(l->standin);
  while (!TAILQ_EMPTY(&l->attached))
    listener_detach(TAILQ_FIRST(&l->attached));
  slots_unref(l->slots);
  session_unref(l->speaker);
  free(l);
  worker_look_idle(w);
}

bool listener_has_session(const struct listener *l) {
  const struct attach *a;
  TAILQ_FOREACH(a, &l->attached, of_listener)
  if (a->session)
    return true;
  return false;
}

static void watch(struct listener *l) {
  if (listener_has_session(l) || evtimer_pending(&l->poll, NULL))
    return;
  struct timeval tv = clock_timeval(l->poll_ms = POLL_MS);
  evtimer_add(&l->poll, &tv);
}

bool listener_check(struct listener *l) {
  int listening = 1;
  socklen_t len = sizeof listening;
  getsockopt(serve_fd(l->serve), SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
  /* A program may shut its listener down and hold on to both sockets; after listen() it registers anew. */
  if (!listening || !procunix_held(l->name)) {
    listener_close(l);
    return true;
  }
  watch(l);
  return false;
}

/* Nobody speaks for it: an exec is under way, another process has it, or it is being closed. Who still holds it after
 * a while is asked to register. */
static void listener_poll(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct listener *l = arg;
  if (listener_has_session(l))
    return;
  if (!procunix_held(l->name)) {
    listener_close(l);
    return;
  }
  if (l->poll_ms >= RING_MS)
    standin_ring(l->standin, HANDOVER_REGISTER);
  l->poll_ms = l->poll_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : l->poll_ms * 2;
  struct timeval tv = clock_timeval(l->poll_ms);
  evtimer_add(&l->poll, &tv);
}

struct listener *listener_new(struct worker *w, struct session *s, const char *name, int fd, int backlog) {
  static const struct serve_ops serve_ops = {listener_credentials, listener_plain_at_once, listener_deliver,
                                             listener_refused};
  static const struct standin_ops standin_ops = {listener_taken, listener_gone, listener_taken_plain,
                                                 listener_withdrawn};
  struct listener *l = calloc(1, sizeof *l);
  if (!l)
    return NULL;
  l->worker = w;
  memcpy(l->name, name, sizeof l->name);
  l->uid = s->uid;
  l->local_len = sizeof l->local;
  socklen_t cookie_len = sizeof l->cookie;
  TAILQ_INIT(&l->attached);
  bool ok = getsockname(fd, (struct sockaddr *)&l->local, &l->local_len) == 0 &&
            getsockopt(fd, SOL_SOCKET, SO_COOKIE, &l->cookie, &cookie_len) == 0;
  /* A root-run daemon serves others: their peers must not end up in a process of root, unless it is their own (a
   * worker that changed its uid after the master's listen()). */
  bool root_may = w->uid != 0 || s->uid == 0 || procunix_held_by(name, s->pid);
  if (ok)
    l->standin = standin_new(w->base, name, s->uid, root_may, &standin_ops, l);
  if (l->standin)
    l->serve = serve_new(&w->shared, fd, backlog, &serve_ops, l);
  if (!l->serve) {
    standin_free(l->standin);
    free(l);
    return NULL;
  }
  l->slots = slots_ref(s->slots);
  l->speaker = session_ref(s);
  evtimer_assign(&l->poll, w->base, listener_poll, l);
  evtimer_assign(&l->late, w->base, listener_late, l);
  LIST_INSERT_HEAD(&w->listeners, l, link);
  return l;
}

void listeners_session_ended(struct session *s) {
  while (!LIST_EMPTY(&s->attached)) {
    struct attach *a = LIST_FIRST(&s->attached);
    LIST_REMOVE(a, of_session);
    a->session = NULL;
    serve_kick(a->listener->serve);
    watch(a->listener);
  }
}

void listeners_policy_changed(struct worker *w, const struct config *c) {
  struct listener *l;
  LIST_FOREACH(l, &w->listeners, link) {
    struct attach *a;
    bool ours = false;
    TAILQ_FOREACH(a, &l->attached, of_listener)
    if (a->session && a->session->config == c) {
      uint32_t before = a->rule;
      a->rule = registry_rule(a->session, serve_fd(l->serve));
      a->lost = a->rule == ATTACH_NO_RULE && (a->lost || before != ATTACH_NO_RULE);
      ours = true;
      char local[64];
      if (before != ATTACH_NO_RULE && a->lost)
        log_warning(c->log,
                    "%s (pid %d) listens on %s, which no rule of the new policy covers: peers are refused there",
                    a->session->program, (int)a->session->pid,
                    audit_address((const struct sockaddr *)&l->local, local, sizeof local));
    }
    if (!ours)
      continue;
    l->waiting = l->waited = false;
    evtimer_del(&l->late);
    serve_kick(l->serve);
    const struct policy_rule *rule = NULL;
    a = strictest(l, &rule);
    if (a && rule->mode != RULES_OFF)
      session_seek_agent(a->session); /* before the first peer needs an identity */
  }
}

void listeners_identity_changed(struct session *s, bool denied) {
  struct attach *a;
  LIST_FOREACH(a, &s->attached, of_session) {
    a->listener->waiting = a->listener->waited = false;
    evtimer_del(&a->listener->late);
    if (denied)
      serve_drop_handshakes(a->listener->serve);
    serve_kick(a->listener->serve);
  }
}

bool listeners_ring_agent(struct session *s) {
  struct attach *a;
  LIST_FOREACH(a, &s->attached, of_session)
  standin_ring(a->listener->standin, HANDOVER_AGENT);
  return !LIST_EMPTY(&s->attached);
}

void listeners_ring_sweep(struct session *s) {
  struct attach *a;
  LIST_FOREACH(a, &s->attached, of_session)
  standin_ring(a->listener->standin, HANDOVER_SWEEP);
}
