/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spiffeid.c - one parser for SPIFFE IDs (SPIFFE-ID.md section 2), used for certificates, for the agent's
 * replies and for the configuration alike, so that no two places disagree on what an ID is.
 *
 * It accepts the one canonical spelling and never normalises: what passes can be compared byte by byte.
 */
#include "spiffeid.h"

#include <stdbool.h>
#include <string.h>

#define SCHEME     "spiffe://"
#define SCHEME_LEN (sizeof SCHEME - 1)

/* Not isalnum(): it follows the locale, and a SPIFFE ID is ASCII. */
static bool domain_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static bool path_char(char c) { return domain_char(c) || (c >= 'A' && c <= 'Z'); }

static int refuse(const char **why, const char *text) {
  if (why)
    *why = text;
  return -1;
}

/* What the field calls the character that does not belong: the parts of a URI that people try. */
static const char *domain_complaint(char c) {
  switch (c) {
  case '@':
    return "the trust domain has user information";
  case ':':
    return "the trust domain has a port";
  case '%':
    return "percent-encoding is not allowed";
  case '?':
    return "a query is not allowed";
  case '#':
    return "a fragment is not allowed";
  default:
    return "the trust domain may hold only a-z, 0-9, '.', '-' and '_'";
  }
}

static const char *path_complaint(char c) {
  switch (c) {
  case '%':
    return "percent-encoding is not allowed";
  case '?':
    return "a query is not allowed";
  case '#':
    return "a fragment is not allowed";
  default:
    return "the path may hold only letters, digits, '.', '-' and '_'";
  }
}

int spiffeid_domain_valid(const char *name, size_t len, const char **why) {
  if (len == 0)
    return refuse(why, "the trust domain is empty");
  if (len > SPIFFEID_DOMAIN_MAX)
    return refuse(why, "the trust domain is longer than 255 bytes");
  for (size_t i = 0; i < len; i++)
    if (!domain_char(name[i]))
      return refuse(why, domain_complaint(name[i]));
  return 0;
}

static int segment_valid(const char *segment, size_t len, const char **why) {
  if (len == 0)
    return refuse(why, "the path has an empty segment or ends in '/'");
  if ((len == 1 && segment[0] == '.') || (len == 2 && segment[0] == '.' && segment[1] == '.'))
    return refuse(why, "the path has a '.' or '..' segment");
  for (size_t i = 0; i < len; i++)
    if (!path_char(segment[i]))
      return refuse(why, path_complaint(segment[i]));
  return 0;
}

/* path is empty or begins with '/'. */
static int path_valid(const char *path, size_t len, const char **why) {
  size_t at = 0;
  while (at < len) {
    size_t start = at + 1;
    const char *slash = start < len ? memchr(path + start, '/', len - start) : NULL;
    size_t end = slash ? (size_t)(slash - path) : len;
    if (segment_valid(path + start, end - start, why) != 0)
      return -1;
    at = end;
  }
  return 0;
}

int spiffeid_parse(struct spiffeid *id, const char *text, size_t len, int need_path, const char **why) {
  memset(id, 0, sizeof *id);
  if (len > SPIFFEID_MAX)
    return refuse(why, "longer than 2048 bytes");
  if (len < SCHEME_LEN || memcmp(text, SCHEME, SCHEME_LEN) != 0)
    return refuse(why, "does not begin with spiffe://");

  const char *domain = text + SCHEME_LEN;
  size_t rest = len - SCHEME_LEN;
  const char *slash = rest ? memchr(domain, '/', rest) : NULL;
  size_t domain_len = slash ? (size_t)(slash - domain) : rest;
  if (spiffeid_domain_valid(domain, domain_len, why) != 0)
    return -1;
  if (path_valid(domain + domain_len, rest - domain_len, why) != 0)
    return -1;
  if (need_path && rest == domain_len)
    return refuse(why, "has no path: it names a trust domain, not a workload");

  memcpy(id->text, text, len);
  id->len = len;
  id->domain_len = domain_len;
  return 0;
}

int spiffeid_same_domain(const struct spiffeid *a, const struct spiffeid *b) {
  return a->len && b->len && a->domain_len == b->domain_len &&
         memcmp(a->text + SCHEME_LEN, b->text + SCHEME_LEN, a->domain_len) == 0;
}
