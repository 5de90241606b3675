/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - a decision about a connection becomes an audit line, and is counted. Never a key, never payload; a
 * program's words are quoted, not believed.
 */
#include "report.h"
#include "worker.h"
#include "../observe/audit.h"
#include "../observe/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
  if (!r->plaintext && r->result->outcome == HANDSHAKE_OK)
    w->tally.resumed[d] += r->result->resumed;
}

static bool required(const struct config *c) { return c && policy_settings(c->policy)->audit_required; }

/* Once when lines begin to be lost, and once when that is over. */
static void audit_state(struct worker *w, struct config *c, bool lost) {
  char cause[256] = "";
  tally_line(&w->tally, log_target(c ? c->audit : NULL), lost);
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
  /* The index in its slot is of the policy of that day. */
  bool known = m.local_len >= sizeof(sa_family_t) && m.remote_len >= sizeof(sa_family_t);
  const struct live *live =
      known ? live_find(c->worker, s, (struct sockaddr *)&m.local, (struct sockaddr *)&m.remote) : NULL;
  if (live)
    m.rule = live->rule;
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
  if (!m.inbound)
    canary_failed(s, s->config->policy, m.rule, r.remote,
                  h.reason); /* a server judges us when our connect() is done */
  ctl_reply(c, WIRE_OK, 0, "%s", "");
}
