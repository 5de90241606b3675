/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - the status document: sessions, listeners, connections and this process's counters. Counters of
 * connections are what their programs say; who talks to whom is what the daemon remembers.
 */
#include "status.h"
#include "clock.h"
#include "document.h"
#include "measure.h"
#include "status_rules.h"
#include "worker.h"
#include "../observe/audit.h"
#include "../observe/format.h"
#include "../relay/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MAX 10000 /* in one document; the rest is counted */

/* -- arenas -- */

static bool of_session(const struct worker *w, const struct slots *a) {
  const struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  if (s->slots == a)
    return true;
  return false;
}

static bool of_earlier(const struct worker *w, const struct listener *until) {
  const struct listener *l;
  LIST_FOREACH(l, &w->listeners, link) {
    if (l == until)
      return false;
    if (l->slots == until->slots)
      return true;
  }
  return false;
}

void status_each_arena(struct worker *w, void (*fn)(void *arg, const struct slots *a, const struct session *s),
                       void *arg) {
  struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  if (s->slots)
    fn(arg, s->slots, s);
  struct listener *l;
  LIST_FOREACH(l, &w->listeners, link)
  if (!of_session(w, l->slots) && !of_earlier(w, l))
    fn(arg, l->slots, l->speaker);
}

/* -- the parts of the document -- */

struct status {
  struct worker *worker;
  uid_t asker;
  bool all; /* the asker may know of every uid */
};

static bool shown(const struct status *t, uid_t uid) { return t->all || t->asker == uid; }

static void set_text(json_t *o, const char *key, const char *text) {
  char clean[4096];
  json_object_set_new(o, key, json_string(format_clean(text ? text : "", clean, sizeof clean)));
}

static void set_number(json_t *o, const char *key, uint64_t n) {
  json_object_set_new(o, key, json_integer((json_int_t)(n & INT64_MAX)));
}

static json_t *svids(const struct session *s) {
  json_t *all = json_array();
  struct identity *id = source_identity(s->source);
  for (size_t i = 0; id && i < identity_svid_count(id); i++) {
    const struct identity_svid *svid = identity_svid_at(id, i);
    json_t *o = json_object();
    set_text(o, "spiffe_id", svid->id.text);
    set_text(o, "hint", svid->hint);
    json_object_set_new(o, "expires", json_integer((json_int_t)svid->not_after));
    json_array_append_new(all, o);
  }
  return all;
}

static json_t *bundles(const struct session *s) {
  json_t *all = json_array();
  struct identity *id = source_identity(s->source);
  for (size_t i = 0; id && i < identity_domain_count(id); i++)
    json_array_append_new(all, json_string(identity_domain_at(id, i)));
  return all;
}

static json_t *session_json(const struct session *s) {
  static const char *const states[] = {"no agent", "waiting", "served", "denied"};
  struct slots_totals t = {0};
  int code;
  slots_totals(s->slots, &t);
  json_t *o = json_object(), *n = json_object(), *dialed = json_object();
  set_text(o, "program", s->program);
  json_object_set_new(o, "pid", json_integer(s->pid));
  json_object_set_new(o, "uid", json_integer(s->uid));
  set_text(o, "config", s->config->label);
  set_text(o, "identity", states[source_state(s->source)]);
  set_text(o, "io_uring",
           !s->rings                                                                      ? "out of reach"
           : policy_settings(s->config->policy)->io_uring == POLICY_IO_URING_ALLOW_UNSAFE ? "allowed"
                                                                                          : "within reach");
  json_object_set_new(o, "svids", svids(s));
  json_object_set_new(o, "bundles", bundles(s));
  set_text(o, "agent", s->config->endpoint);
  json_object_set_new(o, "agent_connected", json_boolean(source_connected(s->source)));
  set_text(o, "agent_says", source_words(s->source, &code));
  set_number(n, "live", t.live);
  set_number(n, "untaken", t.ready);
  set_number(n, "bytes_in", t.bytes_in);
  set_number(n, "bytes_out", t.bytes_out);
  json_object_set_new(o, "connections", n);
  set_number(dialed, "ok", s->dialed);
  set_number(dialed, "failed", s->dial_failed);
  json_object_set_new(o, "dialed", dialed);
  return o;
}

/* Who speaks for it, and by which rule. */
static void set_speaker(json_t *o, const struct listener *l) {
  const struct attach *a;
  TAILQ_FOREACH(a, &l->attached, of_listener)
  if (a->session)
    break;
  const struct session *s = a ? a->session : NULL;
  const struct policy_rule *rule = s ? policy_rule_at(s->config->policy, a->rule) : NULL;
  set_text(o, "program", s ? s->program : "");
  json_object_set_new(o, "pid", json_integer(s ? s->pid : 0));
  set_text(o, "rule", rule ? rule->name : "");
  set_text(o, "mode", rule ? policy_mode_name(rule->mode) : "");
}

static json_t *listener_json(const struct listener *l) {
  struct serve_counts n;
  char local[64];
  json_t *o = json_object();
  serve_counts(l->serve, &n);
  set_text(o, "local", audit_address((const struct sockaddr *)&l->local, local, sizeof local));
  set_text(o, "standin", l->name);
  json_object_set_new(o, "uid", json_integer(l->uid));
  set_speaker(o, l);
  set_number(o, "handshaking", n.handshaking);
  set_number(o, "waiting", n.waiting);
  set_number(o, "accepted", n.accepted);
  set_number(o, "authenticated", n.authenticated);
  set_number(o, "plaintext", n.plain);
  set_number(o, "refused", n.refused);
  set_number(o, "evicted", n.evicted);
  return o;
}

static const char *cipher_name(uint16_t cipher) {
  switch (cipher) {
  case ARENA_AES_128_GCM_SHA256:
    return "TLS_AES_128_GCM_SHA256";
  case ARENA_AES_256_GCM_SHA384:
    return "TLS_AES_256_GCM_SHA384";
  case ARENA_CHACHA20_POLY1305_SHA256:
    return "TLS_CHACHA20_POLY1305_SHA256";
  default:
    return "?";
  }
}

/* The relay's copy of a connection's slot, found by what it kept of the one in the arena. */
struct relayed {
  const struct live *live;
  struct sockaddr_in6 remote;
  bool found;
  struct slots_view view;
};

static void match_relayed(void *arg, const struct arena_slot *s) {
  struct relayed *r = arg;
  struct sockaddr_in6 peer;
  memcpy(&peer, &s->peer, sizeof peer); /* IPv4 has its port in the same place */
  if (s->index != r->live->ticket.slot || s->use != r->live->ticket.use || peer.sin6_port != r->remote.sin6_port ||
      s->peer_id_len != strlen(r->live->peer) || memcmp(s->peer_id, r->live->peer, s->peer_id_len) != 0)
    return;
  r->found = true;
  r->view = (struct slots_view){.taken = true,
                                .cipher = s->cipher,
                                .bytes_in = atomic_load_explicit(&s->bytes_in, memory_order_relaxed),
                                .bytes_out = atomic_load_explicit(&s->bytes_out, memory_order_relaxed)};
}

/* The engine, and what it says of the connection; NULL: it is over. */
static const char *look(struct worker *w, const struct live *l, const struct sockaddr_in6 *remote,
                        struct slots_view *v) {
  *v = (struct slots_view){.taken = true};
  if (l->plain)
    return "none";
  if (l->slots)
    return slots_look(l->slots, l->ticket, v) ? "record" : NULL;
  struct relayed r = {.live = l, .remote = *remote};
  if (w->relay)
    relay_each(w->relay, match_relayed, &r);
  *v = r.view;
  return r.found ? "relay" : NULL;
}

static json_t *connection_json(struct worker *w, const struct live *l) {
  char local[64], remote[64];
  struct sockaddr_in6 ends[2];
  struct slots_view v;
  diag_addresses(&l->id, &ends[0], &ends[1]);
  const char *engine = look(w, l, &ends[1], &v);
  const struct policy_rule *rule = policy_rule_at(l->session->config->policy, l->rule);
  if (!engine)
    return NULL;
  json_t *o = json_object();
  set_text(o, "program", l->session->program);
  json_object_set_new(o, "pid", json_integer(l->session->pid));
  set_text(o, "direction", l->inbound ? "inbound" : "outbound");
  set_text(o, "local", audit_address((const struct sockaddr *)&ends[0], local, sizeof local));
  set_text(o, "remote", audit_address((const struct sockaddr *)&ends[1], remote, sizeof remote));
  set_text(o, "peer_id", l->peer);
  set_text(o, "local_id", l->self);
  set_text(o, "rule", rule ? rule->name : "");
  set_text(o, "state", l->revoked ? "revoked" : v.taken ? "live" : "untaken");
  set_text(o, "engine", engine);
  if (!l->plain) {
    set_text(o, "cipher", cipher_name(v.cipher));
    set_number(o, "bytes_in", v.bytes_in);
    set_number(o, "bytes_out", v.bytes_out);
  }
  json_object_set_new(o, "age_ms", json_integer(clock_ms() - l->opened_ms));
  return o;
}

static void connections(const struct status *t, json_t *root) {
  json_t *all = json_array(), *o;
  uint64_t left_out = 0;
  const struct live *l;
  TAILQ_FOREACH(l, &t->worker->lives, link) {
    if (!shown(t, l->session->uid))
      continue;
    if (json_array_size(all) >= CONNECTIONS_MAX)
      left_out++;
    else if ((o = connection_json(t->worker, l)))
      json_array_append_new(all, o);
  }
  json_object_set_new(root, "connections", all);
  set_number(root, "connections_left_out", left_out);
}

/* Decisions since this process began: each is one audit line. */
static json_t *totals(const struct worker *w) {
  static const char *const directions[] = {"inbound", "outbound"};
  json_t *all = json_object(), *resumed = json_object();
  for (int d = 0; d < TALLY_DIRECTIONS; d++) {
    set_number(resumed, directions[d], w->tally.resumed[d]);
    json_t *o = json_object();
    for (int r = 0; r < TALLY_RESULTS; r++)
      set_number(o, tally_result_name((enum tally_result)r), w->tally.results[d][r]);
    json_object_set_new(all, directions[d], o);
  }
  json_object_set_new(all, "resumed", resumed);
  return all;
}

static json_t *audit_json(const struct worker *w) {
  json_t *all = json_array();
  for (size_t i = 0; i < TALLY_TARGETS && w->tally.audit[i].to[0]; i++) {
    json_t *o = json_object();
    set_text(o, "to", w->tally.audit[i].to);
    set_number(o, "lines", w->tally.audit[i].lines);
    set_number(o, "lost", w->tally.audit[i].lost);
    json_array_append_new(all, o);
  }
  return all;
}

static json_t *control_json(const struct worker *w) {
  json_t *o = json_object();
  set_number(o, "connections", w->control.count);
  set_number(o, "rejected", w->control.rejected);
  set_number(o, "malformed", w->control.malformed);
  return o;
}

static void set_started(json_t *root, const struct worker *w) {
  char stamp[FORMAT_TIME_LEN];
  set_text(root, "started", format_time_at(stamp, &w->started));
  json_object_set_new(root, "uptime_ms", json_integer(clock_ms() - w->started_ms));
}

static json_t *document(const struct status *t) {
  struct worker *w = t->worker;
  json_t *root = json_object(), *sessions = json_array(), *listeners = json_array();
  set_text(root, "version", SVIDWRAP_VERSION);
  json_object_set_new(root, "pid", json_integer(getpid()));
  json_object_set_new(root, "uid", json_integer(w->uid));
  set_started(root, w);
  if (w->enforced) {
    set_text(root, "enforce_config", w->enforced->path);
    json_object_set_new(root, "enforce_io_uring",
                        json_boolean(policy_settings(w->enforced->policy)->io_uring == POLICY_IO_URING_ALLOW_UNSAFE));
  }
  if (t->all) {
    set_text(root, "metrics", measure_address(w->measure));
    json_object_set_new(root, "totals", totals(w));
    json_object_set_new(root, "audit", audit_json(w));
    json_object_set_new(root, "control", control_json(w));
  }
  struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  if (shown(t, s->uid))
    json_array_append_new(sessions, session_json(s));
  struct listener *l;
  LIST_FOREACH(l, &w->listeners, link)
  if (shown(t, l->uid))
    json_array_append_new(listeners, listener_json(l));
  json_object_set_new(root, "configs", status_configs(w, t->all, t->asker));
  json_object_set_new(root, "sessions", sessions);
  json_object_set_new(root, "listeners", listeners);
  connections(t, root);
  return root;
}

void status_request(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  (void)msg;
  (void)len;
  (void)fds;
  struct status t = {
      .worker = c->worker, .asker = c->cred.uid, .all = c->cred.uid == 0 || c->cred.uid == c->worker->uid};
  document_answer(c, document(&t));
}
