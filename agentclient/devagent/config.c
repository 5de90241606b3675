/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev-agent.yaml. Every complaint carries file, line and column, for the file is written by hand; an
 * unknown key or selector is an error and never passed over, for a typo must not hand out an identity.
 */
#include "config.h"

#include "../identity/spiffeid.h"
#include "roots.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define FILE_MAX     (1024 * 1024)
#define DURATION_MAX ((int64_t)10 * 365 * 24 * 3600)

struct reader {
  const char *path;
  yaml_document_t doc;
  char *why;
  size_t why_len;
};

static int complain(struct reader *r, const yaml_node_t *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int complain(struct reader *r, const yaml_node_t *at, const char *fmt, ...) {
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  snprintf(r->why, r->why_len, "%s:%zu:%zu: %s", r->path, at ? at->start_mark.line + 1 : 1,
           at ? at->start_mark.column + 1 : 1, text);
  return -1;
}

int64_t devagent_duration(const char *text) {
  int64_t total = 0;
  if (!*text)
    return -1;
  while (*text) {
    char *end;
    if (*text < '0' || *text > '9')
      return -1;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    int64_t unit = *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 0;
    if (errno || !unit || n > DURATION_MAX / unit)
      return -1;
    total += n * unit;
    if (total > DURATION_MAX)
      return -1;
    text = end + 1;
  }
  return total >= 1 ? total : -1;
}

static const yaml_node_t *node(struct reader *r, int id) { return yaml_document_get_node(&r->doc, id); }

/* The scalar's text, or NULL after a complaint. A NUL inside would cut it short where C looks at it. */
static const char *scalar(struct reader *r, const yaml_node_t *n, const char *what) {
  if (n->type != YAML_SCALAR_NODE) {
    complain(r, n, "%s must be a plain value", what);
    return NULL;
  }
  if (strlen((const char *)n->data.scalar.value) != n->data.scalar.length || n->data.scalar.length == 0) {
    complain(r, n, "%s is empty or holds a NUL", what);
    return NULL;
  }
  return (const char *)n->data.scalar.value;
}

static int take(struct reader *r, const yaml_node_t *n, const char *what, char **to) {
  const char *text = scalar(r, n, what);
  if (!text)
    return -1;
  if (*to)
    return complain(r, n, "%s is given twice", what);
  *to = strdup(text);
  return *to ? 0 : complain(r, n, "out of memory");
}

static int take_duration(struct reader *r, const yaml_node_t *n, const char *what, int64_t *to) {
  const char *text = scalar(r, n, what);
  if (!text)
    return -1;
  *to = devagent_duration(text);
  return *to > 0 ? 0 : complain(r, n, "%s: \"%s\" is not a duration; write 1h, 90s or 1h30m", what, text);
}

static int take_domain(struct reader *r, const yaml_node_t *n, char **to) {
  const char *why;
  if (take(r, n, "trust_domain", to) != 0)
    return -1;
  if (spiffeid_domain_valid(*to, strlen(*to), &why) != 0)
    return complain(r, n, "trust_domain: %s", why);
  return 0;
}

/* A name beside the configuration file, unless it is absolute. */
static int take_file(struct reader *r, const yaml_node_t *n, const char *what, char **to) {
  const char *slash = strrchr(r->path, '/');
  if (take(r, n, what, to) != 0)
    return -1;
  if (**to == '/' || !slash)
    return 0;
  char *joined;
  if (asprintf(&joined, "%.*s/%s", (int)(slash - r->path), r->path, *to) < 0)
    return complain(r, n, "out of memory");
  free(*to);
  *to = joined;
  return 0;
}

/* Walks a mapping: one call for each key. */
typedef int (*on_key)(struct reader *r, void *arg, const char *key, const yaml_node_t *key_node,
                      const yaml_node_t *value);

static int walk(struct reader *r, const yaml_node_t *map, const char *what, on_key fn, void *arg) {
  if (map->type != YAML_MAPPING_NODE)
    return complain(r, map, "%s must be a mapping (key: value)", what);
  for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
    const yaml_node_t *k = node(r, p->key), *v = node(r, p->value);
    const char *key = scalar(r, k, "a key");
    if (!key || fn(r, arg, key, k, v) != 0)
      return -1;
  }
  return 0;
}

static size_t length(const yaml_node_t *list) {
  return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static int take_selectors(struct reader *r, const yaml_node_t *list, struct devagent_entry *e) {
  static const char *const known[] = {
      "uid:", "user:", "gid:", "group:", "supplementary_gid:", "supplementary_group:", "path:", "sha256:"};
  if (list->type != YAML_SEQUENCE_NODE || length(list) == 0)
    return complain(r, list, "selectors must be a list with at least one selector, such as [\"unix:uid:0\"]");
  if (e->selectors)
    return complain(r, list, "selectors are given twice");
  e->selectors = calloc(length(list), sizeof *e->selectors);
  if (!e->selectors)
    return complain(r, list, "out of memory");
  for (size_t i = 0; i < length(list); i++) {
    const yaml_node_t *n = node(r, list->data.sequence.items.start[i]);
    char **to = &e->selectors[e->selector_count];
    if (take(r, n, "a selector", to) != 0)
      return -1;
    e->selector_count++;
    int ok = 0;
    for (size_t k = 0; k < sizeof known / sizeof *known && strncmp(*to, "unix:", 5) == 0; k++)
      ok |= strncmp(*to + 5, known[k], strlen(known[k])) == 0 && (*to)[5 + strlen(known[k])];
    if (!ok)
      return complain(r, n,
                      "\"%s\" is no selector; known are unix:uid: unix:user: unix:gid: unix:group: "
                      "unix:supplementary_gid: unix:supplementary_group: unix:path: unix:sha256:",
                      *to);
  }
  return 0;
}

static int entry_key(struct reader *r, void *arg, const char *key, const yaml_node_t *k, const yaml_node_t *v) {
  struct devagent_entry *e = arg;
  if (strcmp(key, "spiffe_id") == 0)
    return take(r, v, "spiffe_id", &e->spiffe_id);
  if (strcmp(key, "hint") == 0)
    return take(r, v, "hint", &e->hint);
  if (strcmp(key, "ttl") == 0)
    return take_duration(r, v, "ttl", &e->ttl_s);
  if (strcmp(key, "selectors") == 0)
    return take_selectors(r, v, e);
  return complain(r, k, "unknown key \"%s\" in an entry; known are spiffe_id, selectors, hint, ttl", key);
}

static int federation_key(struct reader *r, void *arg, const char *key, const yaml_node_t *k, const yaml_node_t *v) {
  struct devagent_federation *f = arg;
  if (strcmp(key, "trust_domain") == 0)
    return take_domain(r, v, &f->trust_domain);
  if (strcmp(key, "bundle") == 0) {
    char *file = NULL, why[256];
    int rc = f->bundle ? complain(r, v, "bundle is given twice") : take_file(r, v, "bundle", &file);
    if (rc == 0 && devagent_roots_read(file, &f->bundle, &f->bundle_len, why, sizeof why) != 0)
      rc = complain(r, v, "bundle: %s", why);
    free(file);
    return rc;
  }
  return complain(r, k, "unknown key \"%s\" in a federation; known are trust_domain, bundle", key);
}

static int ca_key(struct reader *r, void *arg, const char *key, const yaml_node_t *k, const yaml_node_t *v) {
  struct devagent_config *c = arg;
  if (strcmp(key, "cert") == 0)
    return take_file(r, v, "cert", &c->ca_cert);
  if (strcmp(key, "key") == 0)
    return take_file(r, v, "key", &c->ca_key);
  return complain(r, k, "unknown key \"%s\" in ca; known are cert, key", key);
}

static int take_entries(struct reader *r, const yaml_node_t *list, struct devagent_config *c) {
  if (list->type != YAML_SEQUENCE_NODE)
    return complain(r, list, "entries must be a list");
  if (c->entries)
    return complain(r, list, "entries are given twice");
  c->entries = calloc(length(list) + 1, sizeof *c->entries);
  if (!c->entries)
    return complain(r, list, "out of memory");
  for (size_t i = 0; i < length(list); i++) {
    const yaml_node_t *n = node(r, list->data.sequence.items.start[i]);
    struct devagent_entry *e = &c->entries[c->entry_count++];
    if (walk(r, n, "an entry", entry_key, e) != 0)
      return -1;
    if (!e->spiffe_id || !e->selectors)
      return complain(r, n, "an entry needs spiffe_id and selectors");
    if (!e->hint && !(e->hint = strdup("")))
      return complain(r, n, "out of memory");
    struct spiffeid id;
    const char *why;
    if (spiffeid_parse(&id, e->spiffe_id, strlen(e->spiffe_id), 1, &why) != 0)
      return complain(r, n, "spiffe_id %s: %s", e->spiffe_id, why);
  }
  return 0;
}

static int take_federation(struct reader *r, const yaml_node_t *list, struct devagent_config *c) {
  if (list->type != YAML_SEQUENCE_NODE)
    return complain(r, list, "federation must be a list");
  if (c->federation)
    return complain(r, list, "federation is given twice");
  c->federation = calloc(length(list) + 1, sizeof *c->federation);
  if (!c->federation)
    return complain(r, list, "out of memory");
  for (size_t i = 0; i < length(list); i++) {
    const yaml_node_t *n = node(r, list->data.sequence.items.start[i]);
    struct devagent_federation *f = &c->federation[c->federation_count++];
    if (walk(r, n, "a federation", federation_key, f) != 0)
      return -1;
    if (!f->trust_domain || !f->bundle)
      return complain(r, n, "a federation needs trust_domain and bundle");
  }
  return 0;
}

static int top_key(struct reader *r, void *arg, const char *key, const yaml_node_t *k, const yaml_node_t *v) {
  struct devagent_config *c = arg;
  if (strcmp(key, "trust_domain") == 0)
    return take_domain(r, v, &c->trust_domain);
  if (strcmp(key, "svid_ttl") == 0)
    return take_duration(r, v, "svid_ttl", &c->svid_ttl_s);
  if (strcmp(key, "entries") == 0)
    return take_entries(r, v, c);
  if (strcmp(key, "federation") == 0)
    return take_federation(r, v, c);
  if (strcmp(key, "ca") == 0)
    return walk(r, v, "ca", ca_key, c);
  return complain(r, k, "unknown key \"%s\"; known are trust_domain, svid_ttl, entries, federation, ca", key);
}

/* What only the whole can tell: defaults, and identities that belong to another trust domain. */
static int finish(struct reader *r, const yaml_node_t *root, struct devagent_config *c) {
  if (!c->trust_domain && !(c->trust_domain = strdup("example.org")))
    return complain(r, root, "out of memory");
  if (!c->svid_ttl_s)
    c->svid_ttl_s = 3600;
  if (!c->ca_cert != !c->ca_key)
    return complain(r, root, "ca needs both cert and key");
  size_t len = strlen(c->trust_domain);
  for (size_t i = 0; i < c->entry_count; i++) {
    struct devagent_entry *e = &c->entries[i];
    if (!e->ttl_s)
      e->ttl_s = c->svid_ttl_s;
    if (strncmp(e->spiffe_id + 9, c->trust_domain, len) != 0 || e->spiffe_id[9 + len] != '/')
      return complain(r, root, "spiffe_id %s is not in the trust domain %s", e->spiffe_id, c->trust_domain);
  }
  for (size_t i = 0; i < c->federation_count; i++)
    if (strcmp(c->federation[i].trust_domain, c->trust_domain) == 0)
      return complain(r, root, "federation with the own trust domain %s", c->trust_domain);
  return 0;
}

struct devagent_config *devagent_config_parse(const char *path, const char *text, size_t len, char *why,
                                              size_t why_len) {
  struct reader r = {.path = path, .why = why, .why_len = why_len};
  struct devagent_config *c = calloc(1, sizeof *c);
  yaml_parser_t parser;
  int rc = -1;
  if (!c || !yaml_parser_initialize(&parser)) {
    free(c);
    snprintf(why, why_len, "out of memory");
    return NULL;
  }
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
  if (!yaml_parser_load(&parser, &r.doc)) {
    snprintf(why, why_len, "%s:%zu:%zu: %s", path, parser.problem_mark.line + 1, parser.problem_mark.column + 1,
             parser.problem ? parser.problem : "not YAML");
  } else {
    const yaml_node_t *root = yaml_document_get_root_node(&r.doc);
    rc = !root                                                  ? complain(&r, NULL, "the file is empty")
         : walk(&r, root, "the configuration", top_key, c) != 0 ? -1
                                                                : finish(&r, root, c);
    yaml_document_delete(&r.doc);
  }
  yaml_parser_delete(&parser);
  if (rc == 0)
    return c;
  devagent_config_free(c);
  return NULL;
}

struct devagent_config *devagent_config_read(const char *path, char *why, size_t why_len) {
  struct devagent_config *c = NULL;
  FILE *f = fopen(path, "re");
  char *text = f ? malloc(FILE_MAX) : NULL;
  size_t len = text ? fread(text, 1, FILE_MAX, f) : 0;
  if (!text || ferror(f))
    snprintf(why, why_len, "%s: %s", path, strerror(errno));
  else if (len == FILE_MAX)
    snprintf(why, why_len, "%s: longer than a configuration can be", path);
  else
    c = devagent_config_parse(path, text, len, why, why_len);
  free(text);
  if (f)
    fclose(f);
  return c;
}

struct devagent_config *devagent_config_default(unsigned uid) {
  char text[256], why[256];
  int n = snprintf(text, sizeof text,
                   "entries:\n  - { spiffe_id: \"spiffe://example.org/dev\", selectors: [\"unix:uid:%u\"] }\n", uid);
  return devagent_config_parse("(built in)", text, (size_t)n, why, sizeof why);
}

void devagent_config_free(struct devagent_config *c) {
  if (!c)
    return;
  for (size_t i = 0; i < c->entry_count; i++) {
    for (size_t k = 0; k < c->entries[i].selector_count; k++)
      free(c->entries[i].selectors[k]);
    free(c->entries[i].selectors);
    free(c->entries[i].spiffe_id);
    free(c->entries[i].hint);
  }
  for (size_t i = 0; i < c->federation_count; i++) {
    free(c->federation[i].trust_domain);
    free(c->federation[i].bundle);
  }
  free(c->entries);
  free(c->federation);
  free(c->trust_domain);
  free(c->ca_cert);
  free(c->ca_key);
  free(c);
}
