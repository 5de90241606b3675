/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expand.c - ${NAME} and ${NAME:-default} in values.
 *
 * It runs on scalars after the file was parsed, so that what a variable holds is never read as YAML, and
 * never more than once, so that it cannot name further variables.
 */
#include "internal.h"
#include "text.h"

#include <ctype.h>
#include <string.h>

#define EXPAND_ONE_MAX 65536u
#define EXPAND_ALL_MAX (1024u * 1024u)
#define NAME_LEN_MAX   127u /* the shim passes no longer names on to the daemon */

static size_t name_length(const char *s) {
  size_t n = 0;
  if (isdigit((unsigned char)s[0]))
    return 0;
  while (s[n] == '_' || (isalnum((unsigned char)s[n]) && (unsigned char)s[n] < 0x80))
    n++;
  return n;
}

/* One reference at s ("${..."); its value (and length), and where it ends. */
static const char *reference(struct reader *r, const struct ynode *n, const char *s, size_t *len, const char **end) {
  size_t name_len = name_length(s + 2);
  const char *after = s + 2 + name_len;
  const char *close = strchr(after, '}');
  if (name_len == 0 || name_len > NAME_LEN_MAX || !close || (*after != '}' && strncmp(after, ":-", 2) != 0)) {
    reader_fail(r, n, "malformed variable '%.40s': write ${NAME} or ${NAME:-default}", s);
    return NULL;
  }
  char name[NAME_LEN_MAX + 1];
  memcpy(name, s + 2, name_len);
  name[name_len] = '\0';
  const char *value = r->lookup ? r->lookup(r->arg, name) : NULL;
  *end = close + 1;
  if (*after == ':') {
    const char *standby = after + 2;
    size_t standby_len = (size_t)(close - standby);
    if (memchr(standby, '$', standby_len)) {
      reader_fail(r, n, "the default of ${%s} must not hold another variable", name);
      return NULL;
    }
    if (!value || !*value) {
      *len = standby_len;
      return standby;
    }
  } else if (!value) {
    reader_fail(r, n, "the variable %s is not set; set it, or write ${%s:-default}", name, name);
    return NULL;
  }
  *len = strlen(value);
  if (text_clean(value, *len, "") != *len) {
    reader_fail(r, n, "the variable %s holds control characters or is not UTF-8", name);
    return NULL;
  }
  return value;
}

const char *expand_variables(struct reader *r, const struct ynode *n) {
  if (!strstr(n->text, "${"))
    return n->text;
  char *out = NULL;
  size_t have = 0;
  /* Twice: the first pass measures, the second copies. */
  for (int pass = 0; pass < 2; pass++) {
    size_t at = 0;
    for (const char *s = n->text; *s;) {
      const char *piece = s, *end = s + 1;
      size_t len = 1;
      if (s[0] == '$' && s[1] == '{') {
        piece = reference(r, n, s, &len, &end);
        if (!piece)
          return NULL;
      }
      if (pass == 0 && (len > EXPAND_ONE_MAX || at + len > EXPAND_ONE_MAX + n->len)) {
        reader_fail(r, n, "the variables make this value longer than 64 KiB");
        return NULL;
      }
      if (pass == 1 && at + len > have) {
        reader_fail(r, n, "a variable changed while it was read");
        return NULL;
      }
      if (pass == 1)
        memcpy(out + at, piece, len);
      at += len;
      s = end;
    }
    if (pass == 1)
      break;
    have = at;
    r->expanded += at;
    out = r->expanded > EXPAND_ALL_MAX ? NULL : pool_alloc(&r->policy->pool, have + 1);
    if (!out) {
      reader_fail(r, n, "%s",
                  r->expanded > EXPAND_ALL_MAX ? "variables make this file longer than 1 MiB" : "out of memory");
      return NULL;
    }
  }
  return out;
}
