/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.c - the patterns of allow and deny lists: which SPIFFE IDs they stand for.
 *
 * A pattern is compared with a parsed ID, segment by segment, never as a string prefix: an ID from
 * "example.org.evil.test" has another trust domain, whatever its text begins with. The trust domain is
 * always there: spelled out, "{trust_domain}" for that of our own SVID, or "*" for any that we have a bundle for.
 * In the path '*' is one segment, '**' is one or more.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define SCHEME     "spiffe://"
#define SCHEME_LEN 9u
#define OWN        "{trust_domain}"
#define WRITE_ALL                                                                                                    \
  "write spiffe://" OWN                                                                                              \
  "/** for everyone in the trust domain of our own SVID, spiffe://example.org/** for everyone "                      \
  "in that one, or spiffe://*/** for everyone in any domain that the agent has a bundle for"

/* A pattern is well-formed when the ID that it becomes with "x" for each wildcard is: the rules for IDs are
 * told in one place, spiffeid.c. */
static int check_as_id(const struct policy_pattern *p, const char *path, const char **why) {
  char plain[SPIFFEID_MAX + 1];
  struct spiffeid id;
  size_t n =
      (size_t)snprintf(plain, sizeof plain, SCHEME "%.*s", p->domain_kind == DOMAIN_SPELLED ? (int)p->domain_len : 1,
                       p->domain_kind == DOMAIN_SPELLED ? p->domain : "x");
  for (const char *s = path; *s; s++) {
    if (*s == '*' && s[-1] == '*' && s > path)
      continue;
    if (n >= SPIFFEID_MAX) {
      *why = "it is longer than a SPIFFE ID may be (2048 bytes)";
      return -1;
    }
    plain[n++] = *s == '*' ? 'x' : *s;
  }
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

/* Which trust domains: path is where the domain ends. */
static int read_domain(struct policy_pattern *p, const char *path, const char **why) {
  p->domain = p->text + SCHEME_LEN;
  p->domain_len = (size_t)(path - p->domain);
  if (p->domain_len == 1 && p->domain[0] == '*') {
    p->domain_kind = DOMAIN_ANY;
  } else if (p->domain_len == strlen(OWN) && memcmp(p->domain, OWN, p->domain_len) == 0) {
    p->domain_kind = DOMAIN_OWN;
  } else if (p->domain_len > SPIFFEID_DOMAIN_MAX) {
    *why = "the trust domain is longer than 255 bytes";
    return -1;
  } else if (memchr(p->domain, '*', p->domain_len)) {
    *why =
        "the trust domain is spelled out, or '*' alone for any that the agent has a bundle for; '*' cannot be part "
        "of it";
    return -1;
  } else if (memchr(p->domain, '{', p->domain_len) || memchr(p->domain, '}', p->domain_len)) {
    *why = "the trust domain of our own SVID is written {trust_domain}: spiffe://{trust_domain}/path";
    return -1;
  }
  return 0;
}

int pattern_compile(struct pool *pool, const char *text, struct policy_pattern *out, const char **why) {
  memset(out, 0, sizeof *out);
  out->text = text;
  if (text[strspn(text, "*/")] == '\0') {
    *why = "this does not say in which trust domain; " WRITE_ALL;
    return -1;
  }
  if (strncmp(text, SCHEME, SCHEME_LEN) != 0) {
    *why = "a pattern begins with its scheme and trust domain: spiffe://example.org/path";
    return -1;
  }
  const char *path = text + SCHEME_LEN + strcspn(text + SCHEME_LEN, "/");
  if (strcmp(text + SCHEME_LEN, "**") == 0 || strncmp(text + SCHEME_LEN, "**/", 3) == 0) {
    *why = "this does not say in which trust domain; " WRITE_ALL;
    return -1;
  }
  if (read_domain(out, path, why) != 0 || check_as_id(out, path, why) != 0)
    return -1;
  if (!*path) {
    *why = "this names a trust domain and no workload; write spiffe://DOMAIN/** for everyone in it";
    return -1;
  }
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

static bool domain_matches(const struct policy_pattern *p, const struct spiffeid *self, const struct spiffeid *id,
                           bool unknown_matches) {
  switch (p->domain_kind) {
  case DOMAIN_ANY:
    return true;
  case DOMAIN_OWN:
    return self && self->len > 0 ? spiffeid_same_domain(self, id) != 0 : unknown_matches;
  case DOMAIN_SPELLED:
    break;
  }
  return id->domain_len == p->domain_len && memcmp(id->text + SCHEME_LEN, p->domain, p->domain_len) == 0;
}

/* Greedy, going back to the latest TOKEN_ANY only: at most segments x tokens steps. */
static bool path_matches(const struct policy_pattern *p, const struct spiffeid *id) {
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

const struct policy_pattern *patterns_match(const struct policy_patterns *list, const struct spiffeid *self,
                                            const struct spiffeid *id, bool unknown_matches) {
  if (id->len <= SCHEME_LEN + id->domain_len) /* not known, or a trust domain's own ID */
    return NULL;
  for (size_t i = 0; i < list->count; i++)
    if (domain_matches(&list->items[i], self, id, unknown_matches) && path_matches(&list->items[i], id))
      return &list->items[i];
  return NULL;
}
