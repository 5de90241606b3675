/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy_schema.c - does docs/svidwrap.schema.json know exactly the keys, choices and bounds that the parser
 * has? (Whether both judge whole files alike is tests/integration/test_schema.py.)
 */
#include "agentclient/policy/internal.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *schema;

static json_t *definition(const char *name) { return json_object_get(json_object_get(schema, "definitions"), name); }

/* What may stand for a value: the alternatives beside a variable. */
static json_t *alternatives(json_t *value) {
  json_t *any = json_object_get(value, "anyOf");
  assert_non_null(any);
  return any;
}

static void same_choices(const char *key, json_t *value, const struct reader_choice *c) {
  json_t *list = json_object_get(json_array_get(alternatives(value), 0), "enum");
  size_t count = 0;
  for (; c->name; c++, count++) {
    bool known = false;
    for (size_t i = 0; i < json_array_size(list); i++)
      known = known || strcmp(json_string_value(json_array_get(list, i)), c->name) == 0;
    if (!known)
      fail_msg("%s: the schema does not have '%s'", key, c->name);
  }
  if (count != json_array_size(list))
    fail_msg("%s: the schema has %zu choices, the parser %zu", key, json_array_size(list), count);
}

static void same_bounds(const char *key, json_t *value, const struct reader_bounds *b) {
  json_t *number = json_array_get(alternatives(value), 0);
  if (json_integer_value(json_object_get(number, "minimum")) != b->min ||
      json_integer_value(json_object_get(number, "maximum")) != b->max)
    fail_msg("%s: not the parser's bounds, %u to %u", key, b->min, b->max);
}

static void same_keys(const char *what, json_t *object, const struct reader_key *keys) {
  json_t *properties = json_object_get(object, "properties");
  size_t count = 0;
  assert_true(json_is_false(json_object_get(object, "additionalProperties")));
  for (; keys->name; keys++, count++) {
    json_t *value = json_object_get(properties, keys->name);
    if (!value)
      fail_msg("%s: the schema does not have '%s'", what, keys->name);
    if (keys->read == reader_pick)
      same_choices(keys->name, value, keys->more);
    else if (keys->read == reader_number)
      same_bounds(keys->name, value, keys->more);
    else if (json_object_get(value, "properties"))
      same_keys(keys->name, value, keys->more);
  }
  if (count != json_object_size(properties))
    fail_msg("%s: the schema has %zu keys, the parser %zu", what, json_object_size(properties), count);
}

static void the_schema_has_the_parsers_keys_choices_and_bounds(void **state) {
  (void)state;
  same_keys("the configuration", schema, policy_keys);
  same_keys("a listen rule", definition("listen_rule"), policy_listen_keys);
  same_keys("a connect rule", definition("connect_rule"), policy_connect_keys);
}

/* A default in the schema is what an editor shows: it must be what the parser takes. */
static void the_schemas_defaults_are_the_parsers(void **state) {
  (void)state;
  static const char *const kinds[] = {"listen_rule", "connect_rule"};
  static const char *const rule[] = {"listen: [{port: 1, allow: [spiffe://d/a]%s%s%s}]",
                                     "connect: [{to: '*:1', allow: [spiffe://d/a]%s%s%s}]"};
  for (size_t k = 0; k < 2; k++) {
    char text[512], why[512], *plain;
    snprintf(text, sizeof text, rule[k], "", "", "");
    struct policy *p = policy_parse("t", text, strlen(text), NULL, NULL, why, sizeof why);
    plain = policy_describe(p, true);
    policy_unref(p);
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(definition(kinds[k]), "properties"), key, value) {
      json_t *standard = json_object_get(value, "default");
      if (!standard)
        continue;
      char *word = json_dumps(standard, JSON_ENCODE_ANY), tail[128];
      snprintf(tail, sizeof tail, ": %s", word);
      snprintf(text, sizeof text, rule[k], ", ", key, tail);
      p = policy_parse("t", text, strlen(text), NULL, NULL, why, sizeof why);
      if (!p)
        fail_msg("%s", why);
      char *said = policy_describe(p, true);
      if (strcmp(said, plain) != 0)
        fail_msg("%s: %s is not the parser's default", key, word);
      policy_unref(p);
      free(said);
      free(word);
    }
    free(plain);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_schema_has_the_parsers_keys_choices_and_bounds),
      cmocka_unit_test(the_schemas_defaults_are_the_parsers),
  };
  json_error_t error;
  schema = json_load_file("docs/svidwrap.schema.json", JSON_REJECT_DUPLICATES, &error);
  if (!schema) {
    fprintf(stderr, "docs/svidwrap.schema.json:%d: %s\n", error.line, error.text);
    return 1;
  }
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  json_decref(schema);
  return failed;
}
