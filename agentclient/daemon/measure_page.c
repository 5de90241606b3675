/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure_page.c - everything that is counted, as one page for Prometheus. Labels are bounded: results and reasons
 * are from enumerations, rules and peers from the ledger (which lumps together what is too many), sessions by how
 * many descriptors there are.
 */
#include "measure.h"
#include "status.h"
#include "worker.h"
#include "../observe/ledger.h"
#include "../observe/metrics.h"
#include "../relay/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const directions[] = {[TALLY_INBOUND] = "inbound", [TALLY_OUTBOUND] = "outbound"};

static void process(struct metrics *m, const struct worker *w) {
  metrics_family(m, "build_info", METRICS_GAUGE, "The version, as a label; always 1.");
  metrics_count(m, "build_info", 1, "version", SVIDWRAP_VERSION, (char *)NULL);
  metrics_family(m, "start_time_seconds", METRICS_GAUGE, "When this daemon began, in Unix time.");
  metrics_value(m, "start_time_seconds", (double)w->started.tv_sec + (double)w->started.tv_nsec / 1e9, (char *)NULL);
  metrics_family(m, "sessions", METRICS_GAUGE, "Wrapped workloads.");
  metrics_count(m, "sessions", w->session_count, (char *)NULL);
  metrics_family(m, "control_rejected_total", METRICS_COUNTER,
                 "Connections of programs to this daemon that were refused for their user or their number.");
  metrics_count(m, "control_rejected_total", w->control.rejected, (char *)NULL);
  metrics_family(m, "control_malformed_total", METRICS_COUNTER, "Messages to this daemon that were malformed.");
  metrics_count(m, "control_malformed_total", w->control.malformed, (char *)NULL);
}

/* -- decisions and handshakes -- */

static void decisions(struct metrics *m, const struct tally *t) {
  metrics_family(m, "decisions_total", METRICS_COUNTER,
                 "Decisions about connections, as in the audit log: every one is a line there.");
  for (int d = 0; d < TALLY_DIRECTIONS; d++)
    for (int r = 0; r < TALLY_RESULTS; r++)
      metrics_count(m, "decisions_total", t->results[d][r], "direction", directions[d], "result",
                    tally_result_name((enum tally_result)r), (char *)NULL);
  metrics_family(m, "audit_lines_lost_total", METRICS_COUNTER, "Audit lines that could not be written.");
  metrics_count(m, "audit_lines_lost_total", tally_lost(t), (char *)NULL);
}

static const char *handshake_result_name(unsigned outcome) {
  switch (outcome) {
  case HANDSHAKE_OK:
    return "ok";
  case HANDSHAKE_NOT_TLS:
  case HANDSHAKE_UNVERIFIED:
  case HANDSHAKE_DENIED:
    return "denied";
  case HANDSHAKE_PEER_REFUSED:
    return "refused_by_peer";
  default:
    return "failed";
  }
}

static void handshakes(struct metrics *m, const struct tally *t) {
  metrics_family(m, "handshakes_total", METRICS_COUNTER, "TLS handshakes, by how they ended and why.");
  for (int d = 0; d < TALLY_DIRECTIONS; d++)
    for (unsigned o = 0; o < TALLY_OUTCOMES; o++) {
      const char *reason = handshake_outcome_name((enum handshake_outcome)o);
      if (strcmp(reason, "unknown") != 0 || t->outcomes[d][o])
        metrics_count(m, "handshakes_total", t->outcomes[d][o], "direction", directions[d], "result",
                      handshake_result_name(o), "reason", reason, (char *)NULL);
    }
  metrics_family(m, "handshakes_resumed_total", METRICS_COUNTER, "Handshakes that went well by a ticket.");
  for (int d = 0; d < TALLY_DIRECTIONS; d++)
    metrics_count(m, "handshakes_resumed_total", t->resumed[d], "direction", directions[d], (char *)NULL);
  metrics_family(m, "handshake_duration_seconds", METRICS_HISTOGRAM,
                 "How long handshakes took, from the connected socket on, successful or not.");
  for (int d = 0; d < TALLY_DIRECTIONS; d++)
    metrics_histogram(m, "handshake_duration_seconds", tally_bounds, t->duration[d].bucket, TALLY_BUCKETS,
                      (double)t->duration[d].sum_us / 1e6, "direction", directions[d]);
}

/* -- rules and peers -- */

struct ledger_family {
  struct metrics *m;
  const char *name;
  enum ledger_result result;
};

static bool ledger_sample(void *arg, const struct ledger_line *line) {
  const struct ledger_family *f = arg;
  if (line->count[f->result])
    metrics_count(f->m, f->name, line->count[f->result], "config", line->config, "rule", line->rule, "direction",
                  directions[line->inbound ? TALLY_INBOUND : TALLY_OUTBOUND], "peer", line->peer, (char *)NULL);
  return true;
}

static void rules(struct metrics *m, const struct worker *w) {
  static const struct {
    const char *name, *help;
    enum ledger_result result;
  } families[] = {
      {"denials_total",
       "Connections refused by a rule, a limit or because the peer cannot be verified, by rule and peer.",
       LEDGER_DENIED},
      {"would_deny_total", "Connections that policy: audit let through, by rule and peer.", LEDGER_WOULD_DENY},
      {"plaintext_connections_total", "Connections let through in plaintext, as their rule says, by rule and peer.",
       LEDGER_PLAIN},
  };
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    struct ledger_family f = {m, families[i].name, families[i].result};
    metrics_family(m, families[i].name, METRICS_COUNTER, families[i].help);
    ledger_each(w->ledger, ledger_sample, &f);
  }
}

/* -- identities -- */

static void pid_text(char buf[16], const struct session *s) { snprintf(buf, 16, "%d", (int)s->pid); }

/* A program that changed its uid has two sessions for a moment: no series may be there twice. */
static bool repeated(const struct worker *w, const struct session *s) {
  const struct session *e;
  LIST_FOREACH(e, &w->sessions, link) {
    if (e == s)
      return false;
    if (e->pid == s->pid && e->uid == s->uid && strcmp(e->program, s->program) == 0)
      return true;
  }
  return false;
}

static bool same_before(struct identity *id, size_t i) {
  for (size_t k = 0; k < i; k++)
    if (strcmp(identity_svid_at(id, k)->id.text, identity_svid_at(id, i)->id.text) == 0 &&
        strcmp(identity_svid_at(id, k)->hint, identity_svid_at(id, i)->hint) == 0)
      return true;
  return false;
}

static void expiries(struct metrics *m, const struct worker *w) {
  const struct session *s;
  char pid[16];
  metrics_family(m, "svid_expiry_timestamp_seconds", METRICS_GAUGE, "When an SVID expires, in Unix time.");
  LIST_FOREACH(s, &w->sessions, link) {
    struct identity *id = source_identity(s->source);
    if (!id || repeated(w, s))
      continue;
    pid_text(pid, s);
    for (size_t i = 0; i < identity_svid_count(id); i++)
      if (!same_before(id, i))
        metrics_value(m, "svid_expiry_timestamp_seconds", (double)identity_svid_at(id, i)->not_after, "program",
                      s->program, "pid", pid, "spiffe_id", identity_svid_at(id, i)->id.text, "hint",
                      identity_svid_at(id, i)->hint, (char *)NULL);
  }
}

static void agents(struct metrics *m, const struct worker *w) {
  const struct session *s;
  struct source_totals t;
  char pid[16];
  metrics_family(m, "agent_up", METRICS_GAUGE,
                 "1: the SPIFFE agent serves this workload an identity; 0: it is away, or has none for it.");
  LIST_FOREACH(s, &w->sessions, link) {
    if (repeated(w, s))
      continue;
    pid_text(pid, s);
    bool up = source_connected(s->source) && source_state(s->source) == SOURCE_SERVED;
    metrics_count(m, "agent_up", up, "program", s->program, "pid", pid, (char *)NULL);
  }
  source_totals(&t);
  metrics_family(m, "svid_updates_total", METRICS_COUNTER, "Identities that agents have sent, the first included.");
  metrics_count(m, "svid_updates_total", t.updates, (char *)NULL);
  metrics_family(m, "svid_update_failures_total", METRICS_COUNTER,
                 "Answers of agents that were no identity, and streams that ended.");
  metrics_count(m, "svid_update_failures_total", t.failures, (char *)NULL);
}

/* -- policies -- */

/* The same file with other variables is another configuration: they are summed up under one label. */
static bool labelled_before(const struct worker *w, const struct config *c) {
  const struct config *e;
  LIST_FOREACH(e, &w->configs, link) {
    if (e == c)
      return false;
    if (strcmp(e->label, c->label) == 0)
      return true;
  }
  return false;
}

static uint64_t generation(const struct config *c) { return atomic_load(&c->rules->generation); }
static uint64_t reloads(const struct config *c) { return c->reloads; }
static uint64_t failures(const struct config *c) { return c->reload_failures; }
static uint64_t unresolved(const struct config *c) {
  const char *name;
  uint32_t rule;
  uint64_t n = 0;
  for (size_t i = 0; policy_host_at(c->policy, i, &name, &rule); i++) {
    bool found = false;
    for (size_t k = 0; k < c->found_count && !found; k++)
      found = strcmp(c->found[k].name, name) == 0;
    n += !found;
  }
  return n;
}
static uint64_t failing(const struct config *c) { return c->failure[0] != '\0'; }

static void policies(struct metrics *m, const struct worker *w) {
  static const struct {
    const char *name, *help;
    enum metrics_type type;
    uint64_t (*value)(const struct config *c);
  } families[] = {
      {"policy_generation", "How often the policy in force has changed; the file as first read is 1.", METRICS_GAUGE,
       generation},
      {"policy_reloads_total", "Changed configurations that came into force.", METRICS_COUNTER, reloads},
      {"policy_reload_failures_total", "Changed configurations that were refused.", METRICS_COUNTER, failures},
      {"policy_reload_failing", "1: the file is not what is in force, for it was refused.", METRICS_GAUGE, failing},
      {"policy_hosts_unresolved", "Host names in rules for which there is no address.", METRICS_GAUGE, unresolved},
  };
  const struct config *c, *e;
  metrics_family(m, "revocations_total", METRICS_COUNTER,
                 "Live connections that were ended, for their identity was taken away or a new policy refuses them.");
  metrics_count(m, "revocations_total", w->revoked, (char *)NULL);
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    metrics_family(m, families[i].name, families[i].type, families[i].help);
    LIST_FOREACH(c, &w->configs, link) {
      uint64_t sum = 0, most = 0;
      if (labelled_before(w, c))
        continue;
      LIST_FOREACH(e, &w->configs, link) {
        if (strcmp(e->label, c->label) != 0)
          continue;
        uint64_t n = families[i].value(e);
        sum += n;
        most = n > most ? n : most;
      }
      metrics_count(m, families[i].name, families[i].type == METRICS_COUNTER ? sum : most, "config", c->label,
                    (char *)NULL);
    }
  }
}

/* -- connections -- */

static void add_arena(void *arg, const struct slots *a, const struct session *s) {
  (void)s;
  slots_totals(a, arg);
}

/* The counters of live connections lie in memory that programs can write to: what is shown never goes back. */
static uint64_t onwards(uint64_t *most, uint64_t n) {
  if (n > *most)
    *most = n;
  return *most;
}

static void connections(struct metrics *m, struct worker *w) {
  static uint64_t most_in, most_out;
  struct slots_totals t;
  slots_past(&t);
  t.live = t.ready = 0;
  status_each_arena(w, add_arena, &t);
  struct relay_totals relayed = {0};
  if (w->relay)
    relay_totals(w->relay, &relayed);
  metrics_family(m, "connections", METRICS_GAUGE, "Live protected connections.");
  metrics_count(m, "connections", t.live, "engine", "record", (char *)NULL);
  metrics_count(m, "connections", relayed.live, "engine", "relay", (char *)NULL);
  metrics_family(m, "lingering", METRICS_GAUGE,
                 "Of the relay's: closed by the program, not yet taken in by the peer.");
  metrics_count(m, "lingering", relayed.lingering, (char *)NULL);
  metrics_family(m, "lingering_refused_total", METRICS_COUNTER, "Connections that could not linger: too many did.");
  metrics_count(m, "lingering_refused_total", relayed.linger_refused, (char *)NULL);
  metrics_family(m, "connections_total", METRICS_COUNTER, "Connections that were authenticated and let through.");
  for (int d = 0; d < TALLY_DIRECTIONS; d++)
    metrics_count(m, "connections_total", w->tally.results[d][TALLY_ALLOWED] + w->tally.results[d][TALLY_WOULD_DENY],
                  "direction", directions[d], (char *)NULL);
  metrics_family(m, "received_bytes_total", METRICS_COUNTER, "Payload received over protected connections.");
  metrics_count(m, "received_bytes_total", onwards(&most_in, t.bytes_in + relayed.bytes_in), (char *)NULL);
  metrics_family(m, "sent_bytes_total", METRICS_COUNTER, "Payload sent over protected connections.");
  metrics_count(m, "sent_bytes_total", onwards(&most_out, t.bytes_out + relayed.bytes_out), (char *)NULL);
  const struct listener *l;
  unsigned listeners = 0, handshaking = 0, waiting = 0;
  LIST_FOREACH(l, &w->listeners, link) {
    struct serve_counts n;
    serve_counts(l->serve, &n);
    listeners++;
    handshaking += n.handshaking;
    waiting += n.waiting;
  }
  metrics_family(m, "listeners", METRICS_GAUGE, "Managed listeners.");
  metrics_count(m, "listeners", listeners, (char *)NULL);
  metrics_family(m, "handshaking", METRICS_GAUGE, "Inbound connections whose handshake is under way.");
  metrics_count(m, "handshaking", handshaking, (char *)NULL);
  metrics_family(m, "waiting", METRICS_GAUGE, "Authenticated connections that their program has not accepted yet.");
  metrics_count(m, "waiting", waiting, (char *)NULL);
}

char *measure_page(void *worker) {
  struct worker *w = worker;
  struct metrics m = {0};
  process(&m, w);
  decisions(&m, &w->tally);
  handshakes(&m, &w->tally);
  rules(&m, w);
  expiries(&m, w);
  agents(&m, w);
  policies(&m, w);
  connections(&m, w);
  if (!m.failed)
    return m.text;
  free(m.text);
  return NULL;
}
