/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain.c - which rule decides about one connection, and why, for `svidwrap explain`.
 *
 * It looks at the configuration and at nothing else: no name is resolved, no agent and no daemon is asked. What only
 * they could tell (to which address a name leads, by which name a program found an address) is said, not guessed.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a connection goes. */
struct target {
  bool listen, by_name;
  char name[256];   /* by_name */
  uint8_t addr[16]; /* else, outbound */
  uint16_t port;
};

enum verdict { DENIED = 0, ALLOWED, WOULD_DENY, PLAINTEXT, DEPENDS };
static const char *const verdicts[] = {"denied", "allowed", "would_deny", "plaintext", "depends"};

struct answer {
  const struct policy_item *item; /* NULL: no rule */
  enum verdict verdict;
  const struct policy_pattern *pattern;
  char reason[512];
  json_t *notes;
};

static void note(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct answer *a, const char *fmt, ...) {
  char text[768];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  json_array_append_new(a->notes, json_string(text));
}

static bool read_port(const char *text, uint16_t *port) {
  unsigned v = 0;
  size_t n = strspn(text, "0123456789");
  if (n == 0 || n > 5 || text[n] || sscanf(text, "%u", &v) != 1 || v < 1 || v > 65535)
    return false;
  *port = (uint16_t)v;
  return true;
}

static int read_target(const char *to, struct target *t) {
  char host[300];
  memset(t, 0, sizeof *t);
  const char *colon = strrchr(to, ':');
  if (!colon) {
    t->listen = true;
    return read_port(to, &t->port) ? 0 : -1;
  }
  if (!read_port(colon + 1, &t->port) || (size_t)(colon - to) >= sizeof host)
    return -1;
  snprintf(host, sizeof host, "%.*s", (int)(colon - to), to);
  size_t len = strlen(host);
  if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
    host[len - 1] = '\0';
    return inet_pton(AF_INET6, host + 1, t->addr) == 1 ? 0 : -1;
  }
  t->addr[10] = t->addr[11] = 0xff;
  if (inet_pton(AF_INET, host, t->addr + 12) == 1)
    return 0;
  t->by_name = true;
  return address_host_name(host, t->name);
}

/* Does this entry decide: yes, no, or who knows (it depends on what a name leads to)? */
enum match { MATCH_NO, MATCH_YES, MATCH_MAYBE };

static enum match entry_match(const struct policy_entry *e, const struct target *t) {
  if (t->port < e->lo || t->port > e->hi)
    return MATCH_NO;
  if (t->listen)
    return MATCH_YES;
  if (e->host)
    return t->by_name ? (strcmp(e->host->name, t->name) == 0 ? MATCH_YES : MATCH_NO) : MATCH_MAYBE;
  if (t->by_name)
    return e->prefix == 0 ? MATCH_YES : MATCH_MAYBE;
  struct rules_entry r = {.prefix = e->prefix, .port_lo = e->lo, .port_hi = e->hi};
  memcpy(r.addr, e->addr, sizeof r.addr);
  return rules_entry_matches(&r, NULL, t->addr, t->port, NULL) ? MATCH_YES : MATCH_NO;
}

static void find_item(const struct policy *p, const struct target *t, struct answer *a) {
  for (size_t i = 0; i < p->item_count && !a->item; i++) {
    const struct policy_item *item = &p->items[i];
    if ((item->rule.kind == RULES_LISTEN) != t->listen)
      continue;
    for (const struct policy_entry *e = item->entries; e && !a->item; e = e->next) {
      enum match m = entry_match(e, t);
      char text[ADDRESS_TEXT];
      address_text(e, t->listen, text, sizeof text);
      if (m == MATCH_YES)
        a->item = item;
      else if (m == MATCH_MAYBE && t->by_name)
        note(a, "rule '%s' (line %d) may decide instead, where %s leads into %s; ask for the address to be sure",
             item->rule.name, item->rule.line, t->name, text);
      else if (m == MATCH_MAYBE)
        note(a, "rule '%s' (line %d) may decide instead, where %s leads to this address; ask for the name to be sure",
             item->rule.name, item->rule.line, text);
    }
  }
}

static void names_own_domain(struct answer *a, const struct policy_patterns *list) {
  for (size_t i = 0; i < list->count; i++)
    if (list->items[i].domain_kind == DOMAIN_OWN) {
      note(a,
           "'%s' is of the trust domain of our own SVID, which is not known here: name it (--as, or "
           "identity.spiffe_id)",
           list->items[i].text);
      return;
    }
}

/* What the lists of a rule say of a peer that has shown its SVID. */
static void judge(struct answer *a, const struct spiffeid *self, const struct spiffeid *peer) {
  const struct policy_rule *rule = &a->item->rule;
  a->verdict = DENIED;
  if (!self) {
    names_own_domain(a, &a->item->deny);
    names_own_domain(a, &a->item->allow);
  }
  if ((a->pattern = patterns_match(&a->item->deny, self, peer, true)))
    snprintf(a->reason, sizeof a->reason, "deny has '%.200s', and deny wins", a->pattern->text);
  else if ((a->pattern = patterns_match(&a->item->allow, self, peer, false))) {
    a->verdict = ALLOWED;
    snprintf(a->reason, sizeof a->reason, "allow has '%.200s', and nothing in deny matches", a->pattern->text);
  } else {
    snprintf(a->reason, sizeof a->reason, "nothing in allow matches %.200s", peer->text);
  }
  if (a->verdict == DENIED && rule->audit_only)
    a->verdict = WOULD_DENY;
  if (a->verdict == WOULD_DENY)
    note(a, "policy: audit lets it in and writes would_deny; without that line it would be denied");
  if (self && !spiffeid_same_domain(self, peer) && a->verdict != DENIED)
    note(a, "the peer is of another trust domain: the agent must serve that domain's bundle");
}

static void mode_notes(struct answer *a) {
  const struct policy_rule *r = &a->item->rule;
  if (r->mode == RULES_PERMISSIVE)
    note(a, "mode: permissive: this is about a peer that speaks TLS; one that does not is let in, in plaintext");
  if (r->mode == RULES_CANARY)
    note(a, "mode: canary: this is about %u of 100 %s; the others go out in plaintext", r->percent,
         r->sticky ? "processes" : "connections");
  if (r->mode == RULES_CANARY && r->on_failure == POLICY_FAILURE_SUSPEND)
    note(a, "on_failure: suspend: after failures everything goes out in plaintext for a while");
}

/* Left alone, or the peer is asked for its SVID? */
static bool is_asked(struct answer *a) {
  const struct policy_rule *r = a->item ? &a->item->rule : NULL;
  if (r && r->mode != RULES_OFF && !(r->mode == RULES_CANARY && r->percent == 0))
    return true;
  a->verdict = PLAINTEXT;
  if (!r)
    snprintf(a->reason, sizeof a->reason, "no rule names it, so it is left alone: plaintext, and nobody is asked");
  else if (r->mode == RULES_CANARY)
    snprintf(a->reason, sizeof a->reason, "the rule's percent is 0: plaintext, and nobody is asked");
  else
    snprintf(a->reason, sizeof a->reason, "the rule is off%s: plaintext, and nobody is asked",
             r->staged ? " (prepared: `svidwrap mode` can turn it on)" : "");
  return false;
}

static void answer_outbound(const struct policy_question *q, struct answer *a) {
  if (!is_asked(a))
    return;
  mode_notes(a);
  if (q->peer) {
    judge(a, q->from, q->peer);
    return;
  }
  a->verdict = DEPENDS;
  snprintf(a->reason, sizeof a->reason, "the server must show an SVID that the rule allows; ask with --peer ID");
}

static const struct spiffeid *own_id(const struct policy *p, const struct policy_item *item,
                                     const struct policy_question *q, struct spiffeid *room) {
  const char *why, *text = q->self                               ? q->self->text
                           : item->rule.spiffe_id                ? item->rule.spiffe_id
                           : item->rule.hint || p->settings.hint ? NULL
                                                                 : p->settings.spiffe_id;
  return text && spiffeid_parse(room, text, strlen(text), 1, &why) == 0 ? room : NULL;
}

static void answer_inbound(const struct policy *p, const struct policy_question *q, struct answer *a) {
  struct spiffeid room;
  if (!is_asked(a))
    return;
  mode_notes(a);
  judge(a, own_id(p, a->item, q, &room), q->from);
}

static json_t *texts(const struct policy_patterns *list) {
  json_t *out = json_array();
  for (size_t i = 0; i < list->count; i++)
    json_array_append_new(out, json_string(list->items[i].text));
  return out;
}

static json_t *answer_json(const struct answer *a, bool inbound) {
  const struct policy_item *item = a->item;
  json_t *o = json_pack("{s:s, s:s, s:s, s:s?, s:O}", "direction", inbound ? "inbound" : "outbound", "verdict",
                        verdicts[a->verdict], "reason", a->reason, "pattern", a->pattern ? a->pattern->text : NULL,
                        "notes", a->notes);
  if (!item) {
    json_object_set_new(o, "rule", json_null());
    return o;
  }
  json_object_set_new(o, "rule", json_string(item->rule.name));
  json_object_set_new(o, "line", json_integer(item->rule.line));
  json_object_set_new(o, "mode", json_string(policy_mode_name(item->rule.mode)));
  json_object_set_new(o, "policy", json_string(item->rule.audit_only ? "audit" : "enforce"));
  json_object_set_new(o, "allow", texts(&item->allow));
  json_object_set_new(o, "deny", texts(&item->deny));
  return o;
}

static void print_list(FILE *f, const char *label, const json_t *list) {
  for (size_t i = 0; i < json_array_size(list); i++)
    fprintf(f, "  %-8s %s\n", i ? "" : label, json_string_value(json_array_get(list, i)));
}

static void print_answer(FILE *f, const struct policy *p, const json_t *o) {
  const char *rule = json_string_value(json_object_get(o, "rule"));
  fprintf(f, "%s: %s\n", json_string_value(json_object_get(o, "direction")),
          json_string_value(json_object_get(o, "verdict")));
  fprintf(f, "  %-8s %s\n", "why", json_string_value(json_object_get(o, "reason")));
  if (rule) {
    fprintf(f, "  %-8s %s (%s:%d)\n", "rule", rule, p->path, (int)json_integer_value(json_object_get(o, "line")));
    fprintf(f, "  %-8s %s%s\n", "mode", json_string_value(json_object_get(o, "mode")),
            strcmp(json_string_value(json_object_get(o, "policy")), "audit") == 0 ? ", policy: audit" : "");
    print_list(f, "allow", json_object_get(o, "allow"));
    print_list(f, "deny", json_object_get(o, "deny"));
  }
  print_list(f, "note", json_object_get(o, "notes"));
}

static char *print(const struct policy *p, const struct policy_question *q, json_t *answers, bool json) {
  char *out = NULL;
  if (json) {
    json_t *o = json_pack("{s:s, s:s, s:O}", "from", q->from->text, "to", q->to, "answers", answers);
    out = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(o);
    return out;
  }
  size_t len = 0;
  FILE *f = open_memstream(&out, &len);
  if (!f)
    return NULL;
  fprintf(f, "%s to %s\n", q->from->text, q->to);
  for (size_t i = 0; i < json_array_size(answers); i++)
    print_answer(f, p, json_array_get(answers, i));
  if (fclose(f) != 0) {
    free(out);
    return NULL;
  }
  return out;
}

char *policy_explain(const struct policy *p, const struct policy_question *q, bool json, bool *denied, char *why,
                     size_t why_len) {
  struct target t;
  if (read_target(q->to, &t) != 0) {
    snprintf(why, why_len,
             "'%.100s' is neither a port (6379) nor HOST:PORT (redis.example.org:6379, 10.1.2.3:6379, "
             "'[fd00::1]:6379')",
             q->to);
    return NULL;
  }
  *denied = false;
  snprintf(why, why_len, "out of memory");
  json_t *answers = json_array();
  /* Out of a program of ours; and into one, where the same file has a rule for that port. */
  for (int inbound = t.listen; inbound < 2; inbound++) {
    struct answer a = {.notes = json_array()};
    bool both = !t.listen && inbound;
    t.listen = inbound;
    find_item(p, &t, &a);
    if (inbound)
      answer_inbound(p, q, &a);
    else
      answer_outbound(q, &a);
    if (both)
      note(&a, "as a program under this configuration at the other end would decide");
    if (!both || a.item) {
      json_array_append_new(answers, answer_json(&a, inbound));
      *denied = *denied || a.verdict == DENIED;
    }
    json_decref(a.notes);
  }
  char *out = print(p, q, answers, json);
  json_decref(answers);
  return out;
}
