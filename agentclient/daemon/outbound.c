/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbound.c - one managed connect(): checks it against the policy, waits for an identity if one may still come,
 * has the handshake made, and answers once. Our copy of the program's TCP socket is closed before that: a close() in
 * the program must be the last one (FIN, and epoll sets that forget the socket).
 */
#include "outbound.h"
#include "canary.h"
#include "dial.h"
#include "message.h"
#include "report.h"
#include "worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_RULE    UINT32_MAX
#define LOOK_AGAIN "the rules have changed since the program looked at them"

struct outbound {
  LIST_ENTRY(outbound) link;
  struct worker *worker;
  struct session *session; /* referenced */
  struct ctl *ctl;         /* NULL: answered, or the program went away */
  int fd;
  struct wire_connect request;
  struct policy *policy; /* that it is judged by (referenced), and its rule */
  uint32_t rule;
  struct rules_hosts hosts; /* of the names in the request those that are believed */
  struct hostnames_wait names;
  struct session_wait wait;
  bool waited;
  bool withdrawn;    /* the identity was taken away meanwhile: it does not succeed any more, even if it has by now */
  struct dial *dial; /* under way */
};

static void let_go(struct outbound *o) {
  if (o->fd >= 0)
    close(o->fd);
  o->fd = -1;
}

static void outbound_free(struct outbound *o) {
  session_wait_end(&o->wait);
  hostnames_wait_end(&o->names);
  if (!o->session->ended)
    LIST_REMOVE(o, link);
  session_unref(o->session);
  policy_unref(o->policy);
  let_go(o);
  free(o);
}

static void answer(struct ctl *c, enum wire_status status, int err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void answer(struct ctl *c, enum wire_status status, int err, const char *fmt, ...) {
  struct wire_connected r = {.status = (int32_t)status, .err = err};
  message_header(&r.hdr, WIRE_CONNECTED, sizeof r);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(r.text, sizeof r.text, fmt, ap);
  va_end(ap);
  ctl_hold(c, NULL, NULL);
  ctl_answer(c, &r, sizeof r, NULL, 0, false);
}

/* -1: there is no line about it, and there has to be one (audit.required). */
static int report(struct outbound *o, const struct handshake_result *result) {
  struct sockaddr_storage local;
  socklen_t len = sizeof local;
  bool known = getsockname(o->fd, (struct sockaddr *)&local, &len) == 0;
  struct report_connection r = {.worker = o->worker,
                                .session = o->session,
                                .policy = o->policy,
                                .rule = o->rule,
                                .local = known ? (struct sockaddr *)&local : NULL,
                                .remote = (const struct sockaddr *)&o->request.dest,
                                .result = result};
  return report_connection(&r);
}

/* mTLS failed: a canary rule may have a word to say about it. */
static void failed(struct outbound *o, const char *reason) {
  if (!o->session->ended)
    canary_failed(o->session, o->policy, o->rule, (const struct sockaddr *)&o->request.dest, reason);
}

static void refuse_for_want(struct outbound *o, enum wire_status status, const char *text) {
  struct handshake_result result = {.outcome = HANDSHAKE_INTERNAL};
  snprintf(result.reason, sizeof result.reason, "%.255s", text);
  (void)report(o, &result);
  let_go(o);
  if (status == WIRE_NO_IDENTITY)
    failed(o, text);
  answer(o->ctl, status, ECONNREFUSED, "%s", text);
  outbound_free(o);
}

/* The rule comes from the address, and the address from the kernel: what the program said it connects to, and where
 * its socket is connected, must be the same rule's. A socket that is not connected (yet, or any more) is at nobody's.
 */
static uint32_t rule_by(const struct outbound *o, const struct sockaddr *sa, socklen_t len,
                        const struct rules_hosts *hosts) {
  struct rules_entry e;
  int found = config_match_host(o->session->config, RULES_CONNECT, sa, len, hosts, &e);
  return found == 1 && rules_entry_managed(&e) ? e.rule : NO_RULE;
}

/* The names that it gave are of the address that it named, and of no other. */
static uint32_t rule_of(const struct outbound *o, const struct sockaddr *sa, socklen_t len) {
  uint8_t at[16], named[16];
  uint16_t port;
  bool same = rules_address(sa, len, at, &port) == 0 &&
              rules_address((const struct sockaddr *)&o->request.dest, o->request.dest_len, named, &port) == 0 &&
              memcmp(at, named, sizeof at) == 0;
  return rule_by(o, sa, len, same ? &o->hosts : NULL);
}

static bool astray(const struct outbound *o) {
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  return getpeername(o->fd, (struct sockaddr *)&peer, &len) == 0 &&
         rule_of(o, (struct sockaddr *)&peer, len) != o->rule;
}

/* The rule of the present policy for what the program asked for. The index in its message is of the rules as it saw
 * them: they may be others by now. */
static void find_rule(struct outbound *o) {
  policy_unref(o->policy);
  o->policy = policy_ref(o->session->config->policy);
  o->hosts = o->request.hosts;
  /* A program may say what it likes, and chooses among its own rules by it. Where the rules are not its own we
   * believe what we found out ourselves. */
  if (o->session->config->enforced || policy_settings(o->policy)->enforce_config)
    hostnames_believe(o->session->config, (struct sockaddr *)&o->request.dest, o->request.dest_len, &o->hosts);
  o->rule = rule_of(o, (struct sockaddr *)&o->request.dest, o->request.dest_len);
}

/* The policy, or what we know of host names, changed during the handshake: the peer is judged by the new one. false:
 * refused. */
static bool judge_again(struct outbound *o, struct handshake_result *result) {
  const struct policy *judged_by = o->policy;
  uint32_t rule = o->rule;
  find_rule(o);
  if (o->policy == judged_by && o->rule == rule)
    return true;
  const struct policy_rule *r = policy_rule_at(o->policy, o->rule);
  const char *why = "no rule of the new policy covers this destination";
  bool allowed = r && policy_allows(o->policy, o->rule, &result->self, &result->peer, &why);
  result->would_deny = !allowed && r && r->audit_only;
  if (!allowed)
    snprintf(result->reason, sizeof result->reason, "%s", why);
  return allowed || result->would_deny;
}

static int deny_errno(const struct outbound *o) {
  const struct policy_rule *r = policy_rule_at(o->policy, o->rule);
  return r && r->deny_errno ? r->deny_errno : EACCES;
}

static void refuse_astray(struct outbound *o, struct handshake_result *result) {
  result->outcome = HANDSHAKE_DENIED;
  snprintf(result->reason, sizeof result->reason,
           "the socket is connected to another address than the program named, which the rule does not cover");
  o->session->dial_failed++;
  (void)report(o, result);
  let_go(o);
  answer(o->ctl, WIRE_REFUSED, EACCES, "%s", result->reason);
}

/* -1: out of memory. The hold is the record's, or released. */
static int remember(struct outbound *o, const struct handshake_result *result, struct slots_ticket t,
                    struct limits_hold *hold) {
  struct live_new n = {.session = o->session,
                       .rule = o->rule,
                       .fd = o->fd,
                       .match = (const struct sockaddr *)&o->request.dest,
                       .match_len = o->request.dest_len,
                       .hosts = &o->hosts,
                       .slots = o->session->slots,
                       .ticket = t,
                       .result = result,
                       .hold = *hold};
  int rc = live_add(o->worker, &n);
  if (rc != 0)
    limits_release(hold);
  return rc;
}

static void refuse_over_limit(struct outbound *o, struct handshake_result *result) {
  result->outcome = HANDSHAKE_DENIED;
  o->session->dial_failed++;
  (void)report(o, result);
  let_go(o);
  answer(o->ctl, WIRE_REFUSED, deny_errno(o), "%s", result->reason);
}

static void succeed(struct outbound *o, struct handshake_result *result) {
  const struct policy_rule *rule = policy_rule_at(o->policy, o->rule);
  struct limits_hold hold;
  if (!live_admit(o->worker, o->session->config, rule, result->peer.text, o->session->slots, &hold, result->reason,
                  sizeof result->reason)) {
    refuse_over_limit(o, result);
    return;
  }
  struct slots_fill fill = {.role = ARENA_CLIENT,
                            .flags = rule->flags & ARENA_TRUNCATION_EOF,
                            .rule = o->rule,
                            .peer = o->request.dest,
                            .peer_len = o->request.dest_len};
  socklen_t len = sizeof fill.peer;
  struct sockaddr_storage peer;
  if (getpeername(o->fd, (struct sockaddr *)&peer, &len) == 0) { /* as the kernel has it: 0.0.0.0 was given, say */
    fill.peer = peer;
    fill.peer_len = len;
  }
  struct slots_ticket t;
  if (slots_fill(o->session->slots, &fill, result, &t) != 0) {
    limits_release(&hold);
    result->outcome = HANDSHAKE_INTERNAL;
    snprintf(result->reason, sizeof result->reason, "%s", slots_why(errno));
    log_error(o->session->config->log, "%s (pid %d): %s", o->session->program, (int)o->session->pid, result->reason);
    (void)report(o, result);
    let_go(o);
    answer(o->ctl, WIRE_BUSY, ENOBUFS, "%s", result->reason);
    return;
  }
  if (remember(o, result, t, &hold) != 0) {
    slots_abandon(o->session->slots, t);
    let_go(o);
    answer(o->ctl, WIRE_BUSY, ENOBUFS, "the daemon is out of memory");
    return;
  }
  if (report(o, result) != 0) {
    slots_abandon(o->session->slots, t);
    o->session->dial_failed++;
    let_go(o);
    answer(o->ctl, WIRE_REFUSED, ECONNREFUSED, REPORT_LOST);
    return;
  }
  struct wire_connected r = {
      .status = WIRE_OK, .arena_id = slots_id(o->session->slots), .slot = t.slot, .slot_use = t.use};
  message_header(&r.hdr, WIRE_CONNECTED, sizeof r);
  slots_delivered(o->session->slots, t);
  o->session->dialed++;
  let_go(o);
  ctl_hold(o->ctl, NULL, NULL); /* the program closes it when it has read the answer, perhaps more than once */
  ctl_answer(o->ctl, &r, sizeof r, NULL, 0, true);
}

static void dialed(void *arg, int err, struct handshake_result *result) {
  struct outbound *o = arg;
  o->dial = NULL;
  bool withdrawn =
      (o->withdrawn || (result->outcome == HANDSHAKE_OK && !live_serves(o->session, result->self.text))) &&
      (result->outcome == HANDSHAKE_OK || result->outcome == HANDSHAKE_CANCELLED) && o->ctl;
  if (withdrawn) {
    result->outcome = HANDSHAKE_CANCELLED;
    snprintf(result->reason, sizeof result->reason, "the agent took our identity away during the handshake");
    o->session->dial_failed++;
    (void)report(o, result);
    let_go(o);
    failed(o, result->reason);
    answer(o->ctl, WIRE_NO_IDENTITY, ECONNREFUSED, "%s", result->reason);
  } else if (!o->ctl) {
    if (result->outcome == HANDSHAKE_OK || result->outcome == HANDSHAKE_CANCELLED) {
      result->outcome = HANDSHAKE_CANCELLED;
      snprintf(result->reason, sizeof result->reason, "the program gave the connection up");
    }
    (void)report(o, result);
  } else if (err == 0 && !judge_again(o, result)) {
    result->outcome = HANDSHAKE_DENIED;
    o->session->dial_failed++;
    (void)report(o, result);
    let_go(o);
    failed(o, result->reason);
    answer(o->ctl, WIRE_REFUSED, deny_errno(o), "%s", result->reason);
  } else if (err == 0 && astray(o)) {
    refuse_astray(o, result);
  } else if (err == 0) {
    succeed(o, result);
  } else if (result->outcome == HANDSHAKE_TCP_FAILED) {
    let_go(o);
    tally_handshake(&o->worker->tally, TALLY_OUTBOUND, HANDSHAKE_TCP_FAILED, 0);
    answer(o->ctl, WIRE_TCP_FAILED, 0, "%s", result->reason); /* nobody decided anything: no audit line */
  } else {
    o->session->dial_failed++;
    (void)report(o, result);
    let_go(o);
    failed(o, result->reason);
    answer(o->ctl, WIRE_REFUSED, err, "%s", result->reason);
  }
  outbound_free(o);
}

static void start(struct outbound *o, const struct identity_svid *svid) {
  struct session *s = o->session;
  uint32_t timeout = o->request.wait_ms ? o->request.wait_ms : policy_settings(o->policy)->handshake_timeout_ms;
  struct dial_request r = {.fd = o->fd,
                           .connecting = o->request.flags & WIRE_CONNECT_IN_PROGRESS,
                           .identity = source_identity(s->source),
                           .svid = svid,
                           .policy = o->policy,
                           .rule = o->rule,
                           .host = o->request.hosts.count ? o->request.hosts.name[0] : NULL,
                           .timeout_ms = timeout};
  o->dial = dial_begin(o->worker->post, o->worker->pool, &r, dialed, o);
  if (!o->dial) {
    let_go(o);
    answer(o->ctl, WIRE_BUSY, ENOBUFS, "the daemon is out of memory");
    outbound_free(o);
  }
}

static void waited(struct session_wait *w, bool gone);

/* The program saw a rule by which it has to ask us, and by now there is none that makes it: nothing has been sent,
 * and it looks again. Where the rule is off by now, and TLS can be had, it gets what it asked for: the server may
 * have accepted it while its own rule still enforced, and waits for a ClientHello. */
static bool must_look_again(const struct outbound *o, bool identity) {
  const struct policy_rule *r = policy_rule_at(o->policy, o->rule);
  return !r || (r->mode == RULES_OFF && !identity) || canary_suspended(o->worker, o->session->config, r->name) != 0;
}

/* Begins the handshake, or waits for what it needs, or answers why not. */
static void attempt(struct outbound *o) {
  struct session *s = o->session;
  char why[WIRE_TEXT_MAX];
  if (o->policy != s->config->policy)
    find_rule(o);
  const struct identity_svid *svid = o->rule == NO_RULE ? NULL : session_svid(s, o->rule, why, sizeof why);
  if (must_look_again(o, svid != NULL)) {
    let_go(o);
    answer(o->ctl, WIRE_BAD_REQUEST, EACCES, LOOK_AGAIN);
    outbound_free(o);
    return;
  }
  enum source_state state = source_state(s->source);
  /* An agent that went away is looked for while the SVID is still good, where no stand-in can be rung for it. */
  bool lost = !source_connected(s->source) && s->config->endpoint[0] && (!svid || LIST_EMPTY(&s->attached));
  if (lost && state != SOURCE_DENIED && session_ask_agent(s)) {
    let_go(o);
    answer(o->ctl, WIRE_NEED_AGENT, 0, "%s", "");
    outbound_free(o);
  } else if (svid && !report_admits(s->config, why, sizeof why)) {
    refuse_for_want(o, WIRE_REFUSED, why);
  } else if (svid) {
    start(o, svid);
  } else if (state == SOURCE_WAITING && !o->waited) {
    uint32_t ms = policy_settings(s->config->policy)->identity_wait_ms;
    session_wait_begin(s, &o->wait, ms, waited);
  } else {
    if (state != SOURCE_SERVED)
      session_no_identity(s, why, sizeof why);
    refuse_for_want(o, WIRE_NO_IDENTITY, why);
  }
}

static void waited(struct session_wait *w, bool gone) {
  struct outbound *o = POST_OWNER(w, struct outbound, wait);
  o->waited = true;
  if (!gone)
    attempt(o); /* the end of a session finds it by itself */
}

static void hung_up(struct ctl *c, void *arg) {
  (void)c;
  struct outbound *o = arg;
  o->ctl = NULL;
  if (o->dial)
    dial_cancel(o->dial); /* comes back through dialed() */
  else
    outbound_free(o);
}

void outbound_session_ended(struct session *s) {
  struct outbound *o;
  while ((o = LIST_FIRST(&s->outbounds))) {
    struct ctl *c = o->ctl;
    o->ctl = NULL;
    if (!o->dial)
      let_go(o);
    if (c)
      answer(c, WIRE_UNKNOWN_SESSION, ECONNABORTED, "the session has ended");
    if (o->dial) {
      LIST_REMOVE(o, link); /* the rest in dialed() */
      dial_cancel(o->dial);
    } else {
      outbound_free(o);
    }
  }
}

void outbound_identity_denied(struct session *s) {
  struct outbound *o;
  LIST_FOREACH(o, &s->outbounds, link)
  if (o->dial) {
    o->withdrawn = true;
    dial_cancel(o->dial); /* comes back through dialed(), from the loop */
  }
}

void outbound_policy_changed(struct session *s) {
  struct outbound *o, *next;
  for (o = LIST_FIRST(&s->outbounds); o; o = next) {
    next = LIST_NEXT(o, link);
    if (o->dial)
      continue; /* judged again at its end */
    find_rule(o);
    if (!o->wait.session || !must_look_again(o, false))
      continue;
    session_wait_end(&o->wait); /* it waits for an identity that it does not need any more */
    attempt(o);
  }
}

static bool is_tcp(int fd) {
  int type = 0, protocol = 0;
  socklen_t len = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
    return false;
  len = sizeof protocol;
  return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
         (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

/* Would it be another rule's if its names were believed? */
static bool disbelieved(const struct outbound *o) {
  return o->hosts.count < o->request.hosts.count &&
         rule_by(o, (const struct sockaddr *)&o->request.dest, o->request.dest_len, &o->request.hosts) != o->rule;
}

static void admit(struct outbound *o) {
  /* One whose connect() is under way is looked at again when it is through. */
  if (is_tcp(o->fd) && o->rule != NO_RULE && !astray(o)) {
    attempt(o);
    return;
  }
  if (disbelieved(o))
    log_warning(
        o->session->config->log,
        "%s (pid %d): refused: the address that it got for %s is not among those that the daemon finds for it, "
        "and no rule names the address (enforce_config: names are not believed)",
        o->session->program, (int)o->session->pid, o->request.hosts.name[0]);
  let_go(o);
  answer(o->ctl, WIRE_BAD_REQUEST, EACCES, "not a TCP socket to a destination that a connect rule covers");
  outbound_free(o);
}

static void names_looked_up(struct hostnames_wait *wait, bool gone) {
  struct outbound *o = POST_OWNER(wait, struct outbound, names);
  if (gone)
    return; /* the session has ended, too */
  find_rule(o);
  admit(o);
}

void outbound_connect(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  struct wire_connect m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct session *s = session_find(c->worker, &m.token, c->cred.uid);
  if (!s) {
    answer(c, WIRE_UNKNOWN_SESSION, ECONNABORTED, "no such session");
    return;
  }
  struct outbound *o = calloc(1, sizeof *o);
  if (!o) {
    answer(c, WIRE_BUSY, ENOBUFS, "the daemon is out of memory");
    return;
  }
  o->worker = c->worker;
  o->session = session_ref(s);
  o->ctl = c;
  o->fd = fds[0];
  fds[0] = -1;
  o->request = m;
  LIST_INSERT_HEAD(&s->outbounds, o, link);
  find_rule(o);
  ctl_hold(c, hung_up, o);
  if (!disbelieved(o)) {
    admit(o);
    return;
  }
  /* A name server that answers everybody something else, perhaps: we ask, too, and then decide. */
  hostnames_ask(c->worker->hostnames, s->config, &m.hosts);
  if (!hostnames_wait_begin(c->worker->hostnames, s->config, &o->names, names_looked_up))
    admit(o);
}
