/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - audit lines and the status document. Never a key, never payload; a program's words are quoted, not
 * believed.
 */
#include "report.h"
#include "clock.h"
#include "message.h"
#include "worker.h"
#include "../observe/audit.h"
#include "../observe/ledger.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_ROOM (WIRE_MAX - sizeof(struct wire_reply))

static enum tally_result result_of(const struct report_connection *r) {
  if (r->plaintext)
    return TALLY_PLAINTEXT;
  switch (r->result->outcome) {
  case HANDSHAKE_OK:
    return r->result->would_deny ? TALLY_WOULD_DENY : TALLY_ALLOWED;
  case HANDSHAKE_NOT_TLS:
  case HANDSHAKE_UNVERIFIED:
  case HANDSHAKE_DENIED:
    return TALLY_DENIED;
  case HANDSHAKE_PEER_REFUSED:
    return TALLY_REFUSED_BY_PEER;
  default:
    return TALLY_FAILED;
  }
}

static enum ledger_result ledger_result(enum tally_result r) {
  static const enum ledger_result of[] = {[TALLY_ALLOWED] = LEDGER_MTLS,    [TALLY_WOULD_DENY] = LEDGER_WOULD_DENY,
                                          [TALLY_PLAINTEXT] = LEDGER_PLAIN, [TALLY_DENIED] = LEDGER_DENIED,
                                          [TALLY_FAILED] = LEDGER_FAILED,   [TALLY_REFUSED_BY_PEER] = LEDGER_FAILED};
  return of[r];
}

/* By its ID only where that was verified: anybody can write a certificate with any ID. */
static const char *ledger_peer(const struct report_connection *r, char buf[64]) {
  const struct handshake_result *h = r->result;
  if (!r->plaintext && h->peer.len && h->outcome != HANDSHAKE_UNVERIFIED)
    return h->peer.text;
  return r->remote ? audit_host(r->remote, buf, 64) : "(unknown)";
}

static void count(const struct report_connection *r, enum tally_result result, const char *rule, const char *reason) {
  char host[64];
  struct worker *w = r->worker;
  enum tally_direction d = r->inbound ? TALLY_INBOUND : TALLY_OUTBOUND;
  struct ledger_event e = {.config = r->session ? r->session->config->label : "",
                           .rule = rule,
                           .inbound = r->inbound,
                           .peer = ledger_peer(r, host),
                           .result = ledger_result(result),
                           .reason = reason,
                           .now = time(NULL)};
  ledger_note(w->ledger, &e);
  w->tally.results[d][result]++;
  if (!r->plaintext && !r->late)
    tally_handshake(&w->tally, d, r->result->outcome, r->result->duration_us);
}

static bool required(const struct config *c) { return c && policy_settings(c->policy)->audit_required; }

/* Once when lines begin to be lost, and once when that is over. */
static void audit_state(struct worker *w, struct config *c, bool lost) {
  char cause[256] = "";
  w->tally.audit_lost += lost;
  if (!c || c->audit_down == lost)
    return;
  c->audit_down = lost;
  if (lost && log_ready(c->audit, cause, sizeof cause))
    snprintf(cause, sizeof cause, "it was slow for a moment");
  if (lost)
    log_error(c->log, "audit: lines are lost: %s%s", cause,
              required(c) ? "; new connections are refused until they can be written again (audit.required)" : "");
  else
    log_warning(c->log, "audit: lines can be written again");
}

bool report_admits(const struct config *c, char *why, size_t why_len) {
  char cause[256];
  if (!required(c) || log_ready(c->audit, cause, sizeof cause))
    return true;
  snprintf(why, why_len, "the audit log cannot be written (%s), and audit.required says that nothing goes without",
           cause);
  return false;
}

static const char *reason_of(const struct report_connection *r) {
  const struct handshake_result *h = r->result;
  if (r->plaintext)
    return r->plaintext;
  if (h->outcome == HANDSHAKE_OK && !h->would_deny)
    return "";
  return h->reason[0] ? h->reason : handshake_outcome_name(h->outcome);
}

int report_connection(const struct report_connection *r) {
  static const struct handshake_result nothing;
  const struct handshake_result *h = r->plaintext ? &nothing : r->result;
  const struct session *s = r->session;
  const struct policy *policy = r->policy ? r->policy : s ? s->config->policy : NULL;
  const struct policy_rule *rule = policy ? policy_rule_at(policy, r->rule) : NULL;
  const char *peer = h->peer.len ? h->peer.text : "", *self = h->self.len ? h->self.text : "";
  enum tally_result result = result_of(r);
  struct audit_event e = {.event = "connection",
                          .result = tally_result_name(result),
                          .direction = r->inbound ? "inbound" : "outbound",
                          .client_spiffe_id = r->inbound ? peer : self,
                          .server_spiffe_id = r->inbound ? self : peer,
                          .rule = rule ? rule->name : "",
                          .local = r->local,
                          .remote = r->remote,
                          .reason = reason_of(r),
                          .pid = s ? s->pid : 0,
                          .program = s ? s->program : ""};
  bool lost = audit_write(s ? s->config->audit : NULL, &e) != 0;
  audit_state(r->worker, s ? s->config : NULL, lost);
  count(r, result, e.rule, e.reason);
  return lost && s && required(s->config) ? -1 : 0;
}

/* Alerts that judge our certificate, or us (RFC 8446 section 6.2): bad_certificate to unknown_ca, access_denied and
 * certificate_required. */
static bool refuses_us(int alert) {
  return (alert >= 42 && alert <= 46) || alert == 48 || alert == 49 || alert == 116;
}

void report_alert(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  (void)fds;
  struct wire_alert m;
  struct handshake_result h;
  const char *why;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct session *s = session_find(c->worker, &m.token, c->cred.uid);
  if (!s) {
    ctl_reply(c, WIRE_UNKNOWN_SESSION, EACCES, "no such session");
    return;
  }
  memset(&h, 0, sizeof h);
  h.outcome = m.received && refuses_us(m.alert) ? HANDSHAKE_PEER_REFUSED : HANDSHAKE_PEER_CLOSED;
  snprintf(h.reason, sizeof h.reason,
           m.received ? "the peer sent the alert %s" : "what the peer sent was answered by the alert %s",
           handshake_alert_name(m.alert));
  if (spiffeid_parse(&h.peer, m.peer_id, m.peer_id_len, 1, &why) != 0)
    h.peer.len = 0;
  const struct policy_rule *rule = policy_rule_at(s->config->policy, m.rule);
  const struct policy_settings *set = policy_settings(s->config->policy);
  struct identity *id = source_identity(s->source);
  bool own = rule && (rule->spiffe_id || rule->hint);
  const struct identity_svid *svid =
      id ? identity_select(id, own ? rule->spiffe_id : set->spiffe_id, own ? rule->hint : set->hint) : NULL;
  if (svid)
    h.self = svid->id;
  struct report_connection r = {.worker = c->worker,
                                .session = s,
                                .late = true,
                                .inbound = m.inbound,
                                .rule = m.rule,
                                .local = m.local_len >= sizeof(sa_family_t) ? (struct sockaddr *)&m.local : NULL,
                                .remote = m.remote_len >= sizeof(sa_family_t) ? (struct sockaddr *)&m.remote : NULL,
                                .result = &h};
  (void)report_connection(&r);
  ctl_reply(c, WIRE_OK, 0, "%s", "");
}

static json_t *status_identity(const struct session *s) {
  json_t *all = json_array();
  struct identity *id = source_identity(s->source);
  for (size_t i = 0; id && i < identity_svid_count(id); i++) {
    const struct identity_svid *svid = identity_svid_at(id, i);
    json_array_append_new(all, json_pack("{s:s, s:s, s:I}", "spiffe_id", svid->id.text, "hint", svid->hint, "expires",
                                         (json_int_t)svid->not_after));
  }
  return all;
}

static json_t *status_session(const struct session *s) {
  static const char *states[] = {"no agent", "waiting", "served", "denied"};
  struct slots_totals t = {0};
  slots_totals(s->slots, &t);
  int code;
  return json_pack("{s:s, s:i, s:i, s:s, s:b, s:s, s:o, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I}}", "program", s->program,
                   "pid", (int)s->pid, "uid", (int)s->uid, "identity", states[source_state(s->source)], "agent",
                   source_connected(s->source) ? 1 : 0, "agent_says", source_words(s->source, &code), "svids",
                   status_identity(s), "connections", "live", (json_int_t)t.live, "untaken", (json_int_t)t.ready,
                   "bytes_in", (json_int_t)t.bytes_in, "bytes_out", (json_int_t)t.bytes_out, "dialed", "ok",
                   (json_int_t)s->dialed, "failed", (json_int_t)s->dial_failed);
}

static json_t *status_listener(const struct listener *l) {
  struct serve_counts n;
  serve_counts(l->serve, &n);
  char local[64];
  return json_pack("{s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "local",
                   audit_address((const struct sockaddr *)&l->local, local, sizeof local), "standin", l->name, "uid",
                   (int)l->uid, "handshaking", (int)n.handshaking, "waiting", (int)n.waiting, "accepted",
                   (json_int_t)n.accepted, "authenticated", (json_int_t)n.authenticated, "refused",
                   (json_int_t)n.refused, "evicted", (json_int_t)n.evicted);
}

/* Appends, unless the document would outgrow a message; then it says so. */
static void append(json_t *root, json_t *array, json_t *item, size_t *used) {
  char *text = item ? json_dumps(item, JSON_COMPACT) : NULL;
  size_t len = text ? strlen(text) + 1 : STATUS_ROOM;
  free(text);
  if (*used + len > STATUS_ROOM - 1024) {
    json_object_set_new(root, "truncated", json_true());
    json_decref(item);
    return;
  }
  *used += len;
  json_array_append_new(array, item);
}

/* What a root-run daemon tells another uid is about that uid alone. */
static bool shown(const struct ctl *c, uid_t uid) { return c->cred.uid == uid || c->cred.uid == 0; }

static json_t *status(struct ctl *c) {
  struct worker *w = c->worker;
  size_t used = 0;
  json_t *root =
      json_pack("{s:s, s:i, s:I, s:i, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:i, s:I, s:I}}", "version", SVIDWRAP_VERSION,
                "pid", (int)getpid(), "uptime_ms", (json_int_t)(clock_ms() - w->started_ms), "uid", (int)w->uid,
                "inbound", "allowed", (json_int_t)w->inbound_allowed, "refused", (json_int_t)w->inbound_denied,
                "outbound", "allowed", (json_int_t)w->outbound_allowed, "refused", (json_int_t)w->outbound_denied,
                "control", "connections", (int)w->control.count, "rejected", (json_int_t)w->control.rejected,
                "malformed", (json_int_t)w->control.malformed);
  json_t *sessions = json_array(), *listeners = json_array();
  struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  if (shown(c, s->uid))
    append(root, sessions, status_session(s), &used);
  struct listener *l;
  LIST_FOREACH(l, &w->listeners, link)
  if (shown(c, l->uid))
    append(root, listeners, status_listener(l), &used);
  json_object_set_new(root, "sessions", sessions);
  json_object_set_new(root, "listeners", listeners);
  return root;
}

void report_status(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  (void)msg;
  (void)len;
  (void)fds;
  json_t *root = status(c);
  char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  size_t n = text ? strlen(text) : 0;
  char *m = text && n <= STATUS_ROOM ? malloc(sizeof(struct wire_reply) + n) : NULL;
  if (!m) {
    ctl_reply(c, WIRE_BUSY, ENOBUFS, "the daemon is out of memory");
  } else {
    struct wire_reply r = {.status = WIRE_OK};
    message_header(&r.hdr, WIRE_REPLY, sizeof r + n);
    memcpy(m, &r, sizeof r);
    memcpy(m + sizeof r, text, n);
    ctl_answer(c, m, sizeof r + n, NULL, 0, false);
  }
  free(m);
  free(text);
}
