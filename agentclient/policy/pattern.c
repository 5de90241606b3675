/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.c - the patterns of allow and deny lists: which SPIFFE IDs they stand for.
 *
 * A pattern is compared with a parsed ID, segment by segment, never as a string prefix: an ID from
 * "example.org.evil.test" has another trust domain, whatever its text begins with. The trust domain is
 * always spelled out. '*' is one path segment, '**' is one or more.
 */
#include "internal.h"

#include <string.h>

#define SCHEME     "spiffe://"
#define SCHEME_LEN 9u

/* A pattern is well-formed when the ID that it becomes with "x" for each wildcard is: the rules for IDs are
 * told in one place, spiffeid.c. */
static int check_as_id(const char *text, size_t len, const char **why) {
  char plain[SPIFFEID_MAX + 1];
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '*' && i > 0 && text[i - 1] == '*')
      continue;
    if (n >= SPIFFEID_MAX) {
      *why = "it is longer than a SPIFFE ID may be (2048 bytes)";
      return -1;
    }
    plain[n++] = text[i] == '*' ? 'x' : text[i];
  }
  plain[n] = '\0';
  struct spiffeid id;
  return spiffeid_parse(&id, plain, n, 0, why);
}

static int add_segment(struct policy_pattern *p, const char *s, size_t len, const char **why) {
  if (!memchr(s, '*', len)) {
    p->tokens[p->token_count++] = (struct policy_token){TOKEN_EXACT, s, len};
    return 0;
  }
  if (len > 2 || s[0] != '*' || s[len - 1] != '*') {
    *why = "'*' stands for one whole path segment and '**' for one or more; it cannot be part of a segment";
    return -1;
  }
  p->tokens[p->token_count++] = (struct policy_token){TOKEN_ONE, s, len};
  if (len == 2)
    p->tokens[p->token_count++] = (struct policy_token){TOKEN_ANY, s, len};
  return 0;
}

int pattern_compile(struct pool *pool, const char *text, struct policy_pattern *out, const char **why) {
  size_t len = strlen(text);
  memset(out, 0, sizeof *out);
  if (strncmp(text, SCHEME, SCHEME_LEN) != 0) {
    *why = "a pattern begins with its scheme and trust domain: spiffe://example.org/path";
    return -1;
  }
  const char *domain = text + SCHEME_LEN;
  const char *path = strchr(domain, '/');
  size_t domain_len = path ? (size_t)(path - domain) : strlen(domain);
  if (memchr(domain, '*', domain_len)) {
    *why = "the trust domain must be spelled out; wildcards stand in the path only";
    return -1;
  }
  if (check_as_id(text, len, why) != 0)
    return -1;
  if (!path) {
    *why = "this names a trust domain and no workload; write spiffe://DOMAIN/** for everyone in it";
    return -1;
  }
  out->text = text;
  out->domain = domain;
  out->domain_len = domain_len;
  size_t segments = 0;
  for (const char *s = path; *s; s++)
    segments += *s == '/';
  out->tokens = pool_alloc(pool, 2 * segments * sizeof *out->tokens);
  if (!out->tokens) {
    *why = "out of memory";
    return -1;
  }
  for (const char *s = path; s && *s;) {
    const char *next = strchr(s + 1, '/');
    size_t seg = next ? (size_t)(next - s - 1) : strlen(s + 1);
    if (add_segment(out, s + 1, seg, why) != 0)
      return -1;
    s = next;
  }
  return 0;
}

/* End of the segment whose leading '/' is at s. */
static const char *segment_end(const char *s, const char *end) {
  const char *next = memchr(s + 1, '/', (size_t)(end - s - 1));
  return next ? next : end;
}

/* Greedy, going back to the latest TOKEN_ANY only: at most segments x tokens steps. */
bool pattern_matches(const struct policy_pattern *p, const struct spiffeid *id) {
  if (id->len <= SCHEME_LEN + id->domain_len || id->domain_len != p->domain_len ||
      memcmp(id->text + SCHEME_LEN, p->domain, p->domain_len) != 0)
    return false;
  const char *s = id->text + SCHEME_LEN + id->domain_len, *end = id->text + id->len;
  const char *retry = NULL;
  size_t t = 0, after_any = 0;
  while (s < end) {
    const char *next = segment_end(s, end);
    const struct policy_token *tok = t < p->token_count ? &p->tokens[t] : NULL;
    if (tok && tok->kind == TOKEN_ANY) {
      after_any = ++t;
      retry = s;
    } else if (tok && (tok->kind == TOKEN_ONE ||
                       (tok->len == (size_t)(next - s - 1) && memcmp(tok->text, s + 1, tok->len) == 0))) {
      t++;
      s = next;
    } else if (retry) {
      s = retry = segment_end(retry, end);
      t = after_any;
    } else {
      return false;
    }
  }
  while (t < p->token_count && p->tokens[t].kind == TOKEN_ANY)
    t++;
  return t == p->token_count;
}

bool patterns_match(const struct policy_patterns *list, const struct spiffeid *id) {
  for (size_t i = 0; i < list->count; i++)
    if (pattern_matches(&list->items[i], id))
      return true;
  return false;
}
