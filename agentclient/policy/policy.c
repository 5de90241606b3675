/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - a configuration file as one immutable policy, and the questions that are asked of it.
 *
 * Every answer starts as "denied". A policy that does not fit a table cannot be compiled, so that no rule is ever
 * silently left out.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct reader_choice scopes[] = {
    {"process", POLICY_SCOPE_PROCESS}, {"daemon", POLICY_SCOPE_DAEMON}, {NULL, 0}};
static const struct reader_choice formats[] = {{"text", POLICY_LOG_TEXT}, {"json", POLICY_LOG_JSON}, {NULL, 0}};
static const struct reader_choice levels[] = {{"error", POLICY_LOG_ERROR},
                                              {"warning", POLICY_LOG_WARNING},
                                              {"info", POLICY_LOG_INFO},
                                              {"debug", POLICY_LOG_DEBUG},
                                              {NULL, 0}};
static const struct reader_choice io_urings[] = {
    {"deny", POLICY_IO_URING_DENY}, {"allow-unsafe", POLICY_IO_URING_ALLOW_UNSAFE}, {NULL, 0}};
static const struct reader_bounds handshake_bounds = {1, 3600000};
static const struct reader_bounds wait_bounds = {0, 86400000};
static const struct reader_bounds thread_bounds = {0, 256};

/* What the file says, in the types of the readers. */
struct raw {
  const char *workload_socket, *spiffe_id, *hint, *log_to, *audit_to, *metrics_listen, *state_dir;
  bool enforce_config, audit_required;
  int scope, log_format, log_level, io_uring;
  uint32_t handshake_timeout_ms, identity_wait_ms, linger_ms, threads;
  const struct ynode *listen, *connect;
};

static int section(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  uint32_t seen;
  char what[64];
  snprintf(what, sizeof what, "the section '%s'", key->name);
  return reader_map(r, n, what, key->more, target, &seen);
}

static int read_identity(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  struct raw *raw = target;
  if (section(r, n, key, target) != 0)
    return -1;
  if (raw->spiffe_id && raw->hint)
    return reader_fail(r, n, "identity: name the SVID by spiffe_id or by hint, not by both");
  return 0;
}

static int read_scope(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  if (n->kind == YNODE_SCALAR && strstr(n->text, "${"))
    r->policy->settings.agent_varies = true;
  return reader_pick(r, n, key, target);
}

/* Rules are read last: their place in the file does not matter. */
static int keep_node(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  (void)r;
  (void)key;
  *(const struct ynode **)target = n;
  return 0;
}

#define END                                                                                                          \
  { NULL, NULL, 0, NULL }
static const struct reader_key workload_keys[] = {
    {"socket", reader_endpoint, offsetof(struct raw, workload_socket), NULL}, END};
static const struct reader_key identity_keys[] = {
    {"spiffe_id", reader_spiffe_id, offsetof(struct raw, spiffe_id), NULL},
    {"hint", reader_string, offsetof(struct raw, hint), NULL},
    {"scope", read_scope, offsetof(struct raw, scope), scopes},
    END};
static const struct reader_key log_keys[] = {{"to", reader_target, offsetof(struct raw, log_to), NULL},
                                             {"format", reader_pick, offsetof(struct raw, log_format), formats},
                                             {"level", reader_pick, offsetof(struct raw, log_level), levels},
                                             END};
static const struct reader_key audit_keys[] = {{"to", reader_target, offsetof(struct raw, audit_to), NULL},
                                               {"required", reader_bool, offsetof(struct raw, audit_required), NULL},
                                               END};
static const struct reader_key metrics_keys[] = {
    {"listen", reader_metrics, offsetof(struct raw, metrics_listen), NULL}, END};
static const struct reader_key daemon_keys[] = {
    {"linger", reader_duration, offsetof(struct raw, linger_ms), &wait_bounds},
    {"threads", reader_number, offsetof(struct raw, threads), &thread_bounds},
    END};
const struct reader_key policy_keys[] = {
    {"workload_api", section, 0, workload_keys},
    {"identity", read_identity, 0, identity_keys},
    {"listen", keep_node, offsetof(struct raw, listen), NULL},
    {"connect", keep_node, offsetof(struct raw, connect), NULL},
    {"log", section, 0, log_keys},
    {"audit", section, 0, audit_keys},
    {"metrics", section, 0, metrics_keys},
    {"state_dir", reader_path, offsetof(struct raw, state_dir), NULL},
    {"enforce_config", reader_bool, offsetof(struct raw, enforce_config), NULL},
    {"handshake_timeout", reader_duration, offsetof(struct raw, handshake_timeout_ms), &handshake_bounds},
    {"identity_wait", reader_duration, offsetof(struct raw, identity_wait_ms), &wait_bounds},
    {"daemon", section, 0, daemon_keys},
    {"io_uring", reader_pick, offsetof(struct raw, io_uring), io_urings},
    END};

static int settle(struct reader *r, const struct raw *raw) {
  struct policy_settings *s = &r->policy->settings;
  s->workload_socket = raw->workload_socket;
  const char *env = r->lookup ? r->lookup(r->arg, "SPIFFE_ENDPOINT_SOCKET") : NULL;
  if (!s->workload_socket && env && *env) {
    s->workload_socket = pool_strndup(&r->policy->pool, env, strnlen(env, YAML_SIZE_MAX));
    if (!s->workload_socket)
      return reader_fail(r, NULL, "out of memory");
    s->agent_varies = true;
  }
  s->spiffe_id = raw->spiffe_id;
  s->hint = raw->hint;
  s->scope = (enum policy_scope)raw->scope;
  s->log_to = raw->log_to ? raw->log_to : "auto";
  s->log_format = (enum policy_log_format)raw->log_format;
  s->log_level = (enum policy_log_level)raw->log_level;
  s->audit_to = raw->audit_to ? raw->audit_to : s->log_to;
  s->handshake_timeout_ms = raw->handshake_timeout_ms;
  s->identity_wait_ms = raw->identity_wait_ms;
  s->daemon_linger_ms = raw->linger_ms;
  s->handshake_threads = raw->threads;
  s->io_uring = (enum policy_io_uring)raw->io_uring;
  s->enforce_config = raw->enforce_config;
  s->audit_required = raw->audit_required;
  s->metrics_listen = raw->metrics_listen;
  s->state_dir = raw->state_dir;
  return 0;
}

static int read_file(struct reader *r, struct pool *nodes, const char *text, size_t len) {
  struct yaml_error err = {0};
  struct ynode *root = NULL;
  struct raw raw = {
      .log_level = POLICY_LOG_INFO, .handshake_timeout_ms = 10000, .identity_wait_ms = 10000, .linger_ms = 30000};
  uint32_t seen;
  if (yaml_read(nodes, text, len, &root, &err) != 0) {
    struct ynode at = {.line = err.line, .col = err.col};
    return reader_fail(r, &at, "%s", err.text);
  }
  bool empty = !root || (root->kind == YNODE_SCALAR && root->plain && root->len == 0);
  if (!empty && reader_map(r, root, "the configuration", policy_keys, &raw, &seen) != 0)
    return -1;
  if (settle(r, &raw) != 0)
    return -1;
  return reader_rules(r, raw.listen, raw.connect) != 0 ? -1 : reader_overrides(r);
}

static struct policy *parse(const char *path, const char *text, size_t len, policy_lookup lookup, void *arg,
                            bool as_written, char *why, size_t why_len) {
  struct policy *p = calloc(1, sizeof *p);
  struct pool nodes = {NULL};
  struct reader r = {.policy = p,
                     .path = path,
                     .lookup = lookup,
                     .arg = arg,
                     .as_written = as_written,
                     .why = why,
                     .why_len = why_len};
  snprintf(why, why_len, "%s:1:1: out of memory", path);
  if (!p)
    return NULL;
  atomic_init(&p->refs, 1);
  p->hosts_tail = &p->hosts;
  p->mentions_tail = &p->mentions;
  p->path = pool_strndup(&p->pool, path, strlen(path));
  int rc = p->path ? read_file(&r, &nodes, text, len) : -1;
  pool_free(&nodes);
  if (rc != 0) {
    policy_unref(p);
    return NULL;
  }
  if (why_len)
    *why = '\0';
  return p;
}

struct policy *policy_parse(const char *path, const char *text, size_t len, policy_lookup lookup, void *arg,
                            char *why, size_t why_len) {
  return parse(path, text, len, lookup, arg, false, why, why_len);
}

struct policy *policy_parse_as_written(const char *path, const char *text, size_t len, policy_lookup lookup,
                                       void *arg, char *why, size_t why_len) {
  return parse(path, text, len, lookup, arg, true, why, why_len);
}

struct policy *policy_read(const char *path, int fd, policy_lookup lookup, void *arg, char *why, size_t why_len) {
  struct policy *p = NULL;
  size_t have = 0;
  char *text = malloc(YAML_SIZE_MAX + 1);
  if (!text) {
    snprintf(why, why_len, "%s:1:1: out of memory", path);
    return NULL;
  }
  /* One byte more than is accepted: policy_parse() then says that it is too long. */
  while (have < YAML_SIZE_MAX + 1) {
    ssize_t n = pread(fd, text + have, YAML_SIZE_MAX + 1 - have, (off_t)have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      snprintf(why, why_len, "%s:1:1: cannot be read: %s", path, strerror(errno));
      goto out;
    }
    if (n == 0)
      break;
    have += (size_t)n;
  }
  p = policy_parse(path, text, have, lookup, arg, why, why_len);
out:
  free(text);
  return p;
}

struct policy *policy_ref(struct policy *p) {
  atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
  return p;
}

void policy_unref(struct policy *p) {
  if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
    return;
  policy_unref(p->base);
  pool_free(&p->pool);
  free(p);
}

const struct policy_settings *policy_settings(const struct policy *p) { return &p->settings; }
size_t policy_rule_count(const struct policy *p) { return p->item_count; }

const struct policy_rule *policy_rule_at(const struct policy *p, uint32_t rule) {
  return rule < p->item_count ? &p->items[rule].rule : NULL;
}

bool policy_allows(const struct policy *p, uint32_t rule, const struct spiffeid *self, const struct spiffeid *peer,
                   const char **why) {
  bool allowed = false;
  const struct policy_rule *r = policy_rule_at(p, rule);
  if (!r || (r->mode == RULES_OFF && !r->staged)) /* staged: for those who began to speak TLS before it was off */
    *why = "no such rule";
  else if (patterns_match(&p->items[rule].deny, self, peer, true))
    *why = "denied by deny";
  else if (!patterns_match(&p->items[rule].allow, self, peer, false))
    *why = "not in allow";
  else
    allowed = true;
  return allowed;
}
