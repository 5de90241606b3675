/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_config.c - any text as a configuration. Beyond "no crash": a refusal has a place and a reason, an
 * accepted policy compiles to sane entries, and nobody is allowed whom the text does
 * not name.
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
  free(shown);
  free(json);
  policy_unref(p);
  return 0;
}
