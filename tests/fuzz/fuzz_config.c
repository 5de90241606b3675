/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_config.c - any text as a configuration. Beyond "no crash": a refusal has a place and a reason, an
 * accepted policy compiles to sane entries, and nobody is allowed whom the text does
 * not name. A change of a rule's mode in the text is that change and no other, and what explains and warns of a
 * policy has an answer to everything.
 */
#include "agentclient/policy/policy.h"

#include <stdlib.h>
#include <string.h>

#define STRANGER "spiffe://stranger.fuzz/a/b"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *vars(void *arg, const char *name) {
  (void)arg;
  return strcmp(name, "A") == 0 ? "6379" : strcmp(name, "B") == 0 ? "spiffe://d/\xc3\xa9 [*: " : NULL;
}

static void check_table(const struct policy *p) {
  static struct rules_table table;
  int rc = policy_compile(p, NULL, 0, &table);
  uint32_t count = table.count;
  if (rc != 0 || count > RULES_MAX)
    abort();
  for (uint32_t i = 0; i < count; i++) {
    const struct rules_entry *e = &table.entry[i];
    if (e->port_lo == 0 || e->port_lo > e->port_hi || e->prefix > 128 || !policy_rule_at(p, e->rule) ||
        e->kind != (uint8_t)policy_rule_at(p, e->rule)->kind || e->mode != (uint8_t)policy_rule_at(p, e->rule)->mode)
      abort();
  }
}

/* Every mode for one rule (which depends on the input, so that all have their turn). */
static void check_edits(const struct policy *p, const char *text, size_t size) {
  if (policy_rule_count(p) == 0)
    return;
  uint32_t rule = (uint32_t)(size % policy_rule_count(p));
  const char *name = policy_rule_at(p, rule)->name;
  for (unsigned mode = 0; mode < 4; mode++) {
    char why[512] = "", *out = NULL;
    size_t len = 0;
    uint32_t percent = mode == RULES_CANARY ? 50 : UINT32_MAX;
    if (policy_edit_mode("f", text, size, vars, NULL, name, (enum rules_mode)mode, percent, &out, &len, why,
                         sizeof why) != 0) {
      if (out || !why[0])
        abort();
      continue;
    }
    struct policy *q = policy_parse("f", out, len, vars, NULL, why, sizeof why);
    if (!q || policy_rule_count(q) != policy_rule_count(p) || policy_rule_at(q, rule)->mode != (enum rules_mode)mode)
      abort();
    for (uint32_t i = 0; i < policy_rule_count(p); i++)
      if (i != rule && policy_rule_at(q, i)->mode != policy_rule_at(p, i)->mode)
        abort();
    policy_unref(q);
    free(out);
  }
}

static void count_warning(void *arg, unsigned line, unsigned col, const char *text) {
  if (line == 0 || col == 0 || !*text)
    abort();
  ++*(unsigned *)arg;
}

static void check_answers(const struct policy *p, const struct spiffeid *peer) {
  static const char *const to[] = {"6379", "10.0.0.1:6379", "web.test:443", "[fd00::1]:80"};
  char why[256];
  unsigned warnings = 0;
  if (policy_warnings(p, count_warning, &warnings) != 0)
    abort();
  for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
    bool denied;
    struct policy_question q = {.from = peer, .peer = i % 2 ? peer : NULL, .to = to[i]};
    char *said = policy_explain(p, &q, i > 1, &denied, why, sizeof why);
    if (!said)
      abort();
    free(said);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data, *reason = NULL;
  char why[512] = "";
  struct policy *p = policy_parse("f", text, size, vars, NULL, why, sizeof why);
  if (!p) {
    if (strncmp(why, "f:", 2) != 0 || why[2] < '1' || why[2] > '9' || !strstr(why, ": "))
      abort();
    return 0;
  }
  check_table(p);
  struct spiffeid peer;
  if (spiffeid_parse(&peer, STRANGER, strlen(STRANGER), 1, &reason) != 0)
    abort();
  /* Escapes and variables can spell the name in other ways. */
  bool named = memmem(text, size, "stranger.fuzz", 13) || memchr(text, '\\', size) || memchr(text, '$', size);
  for (uint32_t i = 0; i <= policy_rule_count(p); i++)
    if (policy_allows(p, i, NULL, &peer, &reason) && !named)
      abort();
  char *shown = policy_describe(p, false), *json = policy_describe(p, true);
  if (!shown || !json)
    abort();
  check_edits(p, text, size);
  check_answers(p, &peer);
  free(shown);
  free(json);
  policy_unref(p);
  return 0;
}
