/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survey.c - collects the ledger's lines under their rules and judges; see survey.h. Names that peers chose are
 * cleaned before they are written down.
 */
#include "survey.h"
#include "format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_PEERS 64 /* that are named */

struct open_peer {
  char peer[64];
  uint64_t count;
};

struct rule {
  struct rule *next;
  const char *config, *name;
  bool inbound, loaded, mixed, shadow, staged, suspended;
  enum rules_mode mode;
  uint32_t percent;
  struct ledger_line *lines;
  size_t count, room;
  uint64_t sum[LEDGER_RESULTS];
  time_t last, last_of[LEDGER_RESULTS];
  struct open_peer *open; /* OPEN_PEERS of them; the last one is the others */
  size_t open_peers;
};

struct survey {
  const struct ledger *ledger;
  time_t since, now;
  struct ledger_gaps gaps;
  struct rule *first, **end;
  bool failed;
};

static const char *const result_keys[LEDGER_RESULTS] = {"mtls", "would_deny", "plaintext", "denied", "failed"};

struct survey *survey_new(const struct ledger *l, time_t since, time_t now) {
  struct survey *s = calloc(1, sizeof *s);
  if (!s)
    return NULL;
  *s = (struct survey){.ledger = l, .since = since, .now = now};
  s->end = &s->first;
  ledger_gaps(l, &s->gaps);
  return s;
}

void survey_free(struct survey *s) {
  if (!s)
    return;
  while (s->first) {
    struct rule *r = s->first;
    s->first = r->next;
    free(r->lines);
    free(r->open);
    free(r);
  }
  free(s);
}

static struct rule *rule_of(struct survey *s, const char *config, const char *name, bool inbound) {
  for (struct rule *r = s->first; r; r = r->next)
    if (r->inbound == inbound && strcmp(r->name, name) == 0 && strcmp(r->config, config) == 0)
      return r;
  struct rule *r = calloc(1, sizeof *r);
  if (!r)
    return NULL;
  *r = (struct rule){.config = config, .name = name, .inbound = inbound};
  *s->end = r;
  s->end = &r->next;
  return r;
}

int survey_rule(struct survey *s, const char *config, const struct policy_rule *rule) {
  struct rule *r = rule_of(s, config, rule->name, rule->kind == RULES_LISTEN);
  if (!r)
    return -1;
  r->mixed |= r->loaded && (r->mode != rule->mode || r->percent != rule->percent);
  r->loaded = true;
  r->mode = rule->mode;
  r->percent = rule->percent;
  r->shadow |= rule->audit_only;
  r->staged |= rule->staged;
  return 0;
}

int survey_suspended(struct survey *s, const char *config, const char *name) {
  struct rule *r = rule_of(s, config, name, false);
  if (r)
    r->suspended = true;
  return r ? 0 : -1;
}

int survey_open(struct survey *s, const char *config, const char *name, bool inbound, const char *peer) {
  struct rule *r = rule_of(s, config, name, inbound);
  if (r && !r->open)
    r->open = calloc(OPEN_PEERS, sizeof *r->open);
  if (!r || !r->open)
    return -1;
  size_t i = 0;
  while (i < r->open_peers && strncmp(r->open[i].peer, peer, sizeof r->open[i].peer - 1) != 0)
    i++;
  if (i == OPEN_PEERS)
    i--;
  if (i == r->open_peers) {
    snprintf(r->open[i].peer, sizeof r->open[i].peer, "%s", i == OPEN_PEERS - 1 ? LEDGER_OTHERS : peer);
    r->open_peers++;
  }
  r->open[i].count++;
  return 0;
}

static bool take(void *arg, const struct ledger_line *line) {
  struct survey *s = arg;
  struct rule *r = rule_of(s, line->config, line->rule, line->inbound);
  if (r && r->count == r->room) {
    size_t room = r->room ? 2 * r->room : 8;
    struct ledger_line *more = realloc(r->lines, room * sizeof *more);
    if (more) {
      r->lines = more;
      r->room = room;
    }
  }
  if (!r || r->count == r->room) {
    s->failed = true;
    return false;
  }
  r->lines[r->count++] = *line;
  if (line->last > r->last)
    r->last = line->last;
  for (int i = 0; i < LEDGER_RESULTS; i++) {
    r->sum[i] += line->count[i];
    if (line->last_of[i] > r->last_of[i])
      r->last_of[i] = line->last_of[i];
  }
  return true;
}

/* What stands against enforcing first, then the busiest. */
static int by_weight(const void *va, const void *vb) {
  const struct ledger_line *a = va, *b = vb;
  const uint64_t ka[] = {a->count[LEDGER_PLAIN], a->count[LEDGER_WOULD_DENY], a->count[LEDGER_DENIED],
                         a->count[LEDGER_MTLS], a->count[LEDGER_FAILED]};
  const uint64_t kb[] = {b->count[LEDGER_PLAIN], b->count[LEDGER_WOULD_DENY], b->count[LEDGER_DENIED],
                         b->count[LEDGER_MTLS], b->count[LEDGER_FAILED]};
  for (size_t i = 0; i < sizeof ka / sizeof *ka; i++)
    if (ka[i] != kb[i])
      return ka[i] > kb[i] ? -1 : 1;
  return strcmp(a->peer, b->peer);
}

/* -- JSON -- */

static json_t *text(const char *s) {
  char clean[4096];
  return json_string(format_clean(s, clean, sizeof clean));
}

static const char *stamp(time_t t, char buf[32]) {
  struct tm tm;
  if (!gmtime_r(&t, &tm) || strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    buf[0] = '\0';
  return buf;
}

static json_t *when(time_t t) {
  char buf[32];
  return t ? json_string(stamp(t, buf)) : json_null();
}

static json_t *counts(const uint64_t count[LEDGER_RESULTS]) {
  json_t *o = json_object();
  for (int i = 0; i < LEDGER_RESULTS; i++)
    json_object_set_new(o, result_keys[i], json_integer((json_int_t)count[i]));
  return o;
}

static json_t *peer_json(const struct ledger_line *line) {
  json_t *o = counts(line->count);
  json_object_set_new(o, "peer", text(line->peer));
  json_object_set_new(o, "first_seen", when(line->first));
  json_object_set_new(o, "last_seen", when(line->last));
  json_object_set_new(o, "last_plaintext", when(line->last_plain));
  json_object_set_new(o, "last_reason", text(line->last_reason));
  return o;
}

/* -- the verdict -- */

struct words {
  char text[2048];
  size_t len;
};

static void say(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct words *w, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(w->text + w->len, sizeof w->text - w->len, fmt, ap);
  va_end(ap);
  if (n > 0)
    w->len = w->len + (size_t)n < sizeof w->text ? w->len + (size_t)n : sizeof w->text - 1;
}

#define NAMED 5 /* peers in the sentence; the list has all */

/* Everybody who was seen with this result: into the list, the first ones into the sentence. */
static void blame(const struct rule *r, enum ledger_result result, const char *what, struct words *w,
                  json_t *against) {
  size_t named = 0, more = 0;
  char clean[256], buf[32];
  if (!r->sum[result])
    return;
  say(w, "%s%s", w->len ? "; " : "", what);
  for (size_t i = 0; i < r->count; i++) {
    const struct ledger_line *line = &r->lines[i];
    if (!line->count[result])
      continue;
    json_t *o = json_pack("{s:s, s:I}", "what", result_keys[result], "count", (json_int_t)line->count[result]);
    json_object_set_new(o, "peer", text(line->peer));
    json_object_set_new(o, "last_seen", when(line->last_of[result]));
    json_object_set_new(o, "reason", text(line->last_reason));
    json_array_append_new(against, o);
    if (named++ < NAMED)
      say(w, "%s %s (%llu, last %s)", named == 1 ? "" : ",", format_clean(line->peer, clean, sizeof clean),
          (unsigned long long)line->count[result], stamp(line->last_of[result], buf));
    else
      more++;
  }
  if (more)
    say(w, " and %zu more", more);
}

static void blame_open(const struct rule *r, struct words *w, json_t *against) {
  if (!r->open_peers)
    return;
  say(w, "%splaintext connections still open:", w->len ? "; " : "");
  for (size_t i = 0; i < r->open_peers; i++) {
    if (i < NAMED)
      say(w, "%s %s (%llu)", i ? "," : "", r->open[i].peer, (unsigned long long)r->open[i].count);
    json_array_append_new(against, json_pack("{s:s, s:s, s:I}", "what", "open_plaintext", "peer", r->open[i].peer,
                                             "count", (json_int_t)r->open[i].count));
  }
  if (r->open_peers > NAMED)
    say(w, " and %zu more", r->open_peers - NAMED);
}

static void object(const char *what, const char *sentence, struct words *w, json_t *against) {
  say(w, "%s%s", w->len ? "; " : "", sentence);
  json_array_append_new(against, json_pack("{s:s, s:s}", "what", what, "reason", sentence));
}

static void missing(const struct survey *s, struct words *w, json_t *against) {
  char sentence[160], buf[32];
  if (s->gaps.damaged && s->gaps.damaged >= s->since) {
    snprintf(sentence, sizeof sentence, "the counters on disk were damaged: what was before %s is incomplete",
             stamp(s->gaps.damaged, buf));
    object("incomplete", sentence, w, against);
  }
  if (s->gaps.lost && s->gaps.lost >= s->since) {
    snprintf(sentence, sizeof sentence, "there was no room to count everything (last at %s)",
             stamp(s->gaps.lost, buf));
    object("incomplete", sentence, w, against);
  }
}

static json_t *verdict(const struct survey *s, const struct rule *r) {
  struct words w = {0};
  json_t *against = json_array();
  blame(r, LEDGER_PLAIN, r->inbound ? "plaintext from" : "plaintext to", &w, against);
  blame(r, LEDGER_WOULD_DENY, "policy would deny", &w, against);
  blame_open(r, &w, against);
  uint64_t seen = 0;
  for (int i = 0; i < LEDGER_RESULTS; i++)
    seen += r->sum[i];
  if (!seen)
    object("no_traffic", "no traffic seen in the window", &w, against);
  else if (!r->sum[LEDGER_MTLS] && !r->sum[LEDGER_WOULD_DENY])
    object("no_mtls", "no mTLS seen in the window", &w, against);
  missing(s, &w, against);
  bool safe = json_array_size(against) == 0;
  json_t *o = json_pack("{s:b, s:o}", "safe", safe, "against", against);
  char sentence[sizeof w.text + 16];
  snprintf(sentence, sizeof sentence, safe ? "safe to enforce" : "not safe: %s", w.text);
  if (o)
    json_object_set_new(o, "text", text(sentence));
  return o;
}

static void note(json_t *notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(json_t *notes, const char *fmt, ...) {
  char line[256];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(line, sizeof line, fmt, ap);
  va_end(ap);
  json_array_append_new(notes, json_string(line));
}

static json_t *notes(const struct rule *r) {
  json_t *n = json_array();
  if (!r->loaded)
    note(n, "no program that runs now has this rule");
  if (r->mixed)
    note(n, "programs that run now have this rule in different modes");
  if (r->loaded && r->mode == RULES_OFF && !r->staged)
    note(n, "mode off without an allow list: connections are not looked at, and not counted");
  if (r->suspended)
    note(n, "suspended after failures: connections go out in plaintext for now");
  if (r->sum[LEDGER_DENIED])
    note(n, "%llu refused by policy or verification, last reason with each peer",
         (unsigned long long)r->sum[LEDGER_DENIED]);
  if (r->sum[LEDGER_FAILED])
    note(n, "%llu failed without a decision", (unsigned long long)r->sum[LEDGER_FAILED]);
  return n;
}

static json_t *rule_json(const struct survey *s, struct rule *r) {
  json_t *o = json_object(), *peers = json_array();
  if (r->count > 1)
    qsort(r->lines, r->count, sizeof *r->lines, by_weight);
  for (size_t i = 0; i < r->count; i++)
    json_array_append_new(peers, peer_json(&r->lines[i]));
  json_object_set_new(o, "config", text(r->config));
  json_object_set_new(o, "rule", text(r->name));
  json_object_set_new(o, "direction", json_string(r->inbound ? "listen" : "connect"));
  json_object_set_new(o, "loaded", json_boolean(r->loaded));
  json_object_set_new(o, "mode",
                      r->loaded ? json_string(r->mixed ? "mixed" : policy_mode_name(r->mode)) : json_null());
  if (r->loaded && r->mode == RULES_CANARY)
    json_object_set_new(o, "percent", json_integer(r->percent));
  json_object_set_new(o, "policy_audit", json_boolean(r->shadow));
  json_object_set_new(o, "counts", counts(r->sum));
  json_object_set_new(o, "last_seen", when(r->last));
  json_object_set_new(o, "last_plaintext", when(r->last_of[LEDGER_PLAIN]));
  json_object_set_new(o, "peers", peers);
  json_object_set_new(o, "notes", notes(r));
  json_object_set_new(o, "verdict", verdict(s, r));
  return o;
}

json_t *survey_json(struct survey *s) {
  ledger_each_since(s->ledger, s->since, s->now, take, s);
  if (s->failed)
    return NULL;
  time_t counted = ledger_window(s->since, s->now);
  json_t *rules = json_array(), *o = json_object();
  for (struct rule *r = s->first; r; r = r->next)
    json_array_append_new(rules, rule_json(s, r));
  json_object_set_new(o, "now", when(s->now));
  json_object_set_new(o, "since", when(s->since > s->gaps.began ? s->since : s->gaps.began));
  json_object_set_new(o, "asked_since", when(s->since));
  json_object_set_new(o, "counts_since", when(counted > s->gaps.began ? counted : s->gaps.began));
  json_object_set_new(o, "counting_began", when(s->gaps.began));
  json_object_set_new(o, "rules", rules);
  return o;
}
