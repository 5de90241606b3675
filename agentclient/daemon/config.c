/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - reads, parses, compiles and shares configurations. Never trusts a file further than its owner.
 */
#include "config.h"
#include "memory.h"
#include "wirecheck.h"
#include "../workload/workload.h"

#include <errno.h>
#include <linux/magic.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TEXT_MAX (1024 * 1024)

/* A regular file only, and none that another uid could make us wait for. */
int config_read(const struct config_source *src, char **text, size_t *len, struct stat *st, char *why,
                size_t why_len) {
  struct statfs fs;
  size_t n = 0;
  if (fstat(src->fd, st) != 0 || !S_ISREG(st->st_mode)) {
    snprintf(why, why_len, "%s: not a regular file", src->path);
    return -1;
  }
  if (src->uid != geteuid() && fstatfs(src->fd, &fs) == 0 && (unsigned long)fs.f_type == FUSE_SUPER_MAGIC) {
    snprintf(why, why_len, "%s: is on a FUSE file system of another user", src->path);
    return -1;
  }
  char *data = st->st_size > TEXT_MAX ? NULL : malloc(TEXT_MAX + 1);
  if (!data) {
    snprintf(why, why_len, "%s: %s", src->path, st->st_size > TEXT_MAX ? "longer than 1 MiB" : "out of memory");
    return -1;
  }
  while (n <= TEXT_MAX) {
    ssize_t got = pread(src->fd, data + n, TEXT_MAX + 1 - n, (off_t)n);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0) {
      snprintf(why, why_len, "%s: %s", src->path, strerror(errno));
      free(data);
      return -1;
    }
    if (got == 0) {
      *text = data;
      *len = n;
      return 0;
    }
    n += (size_t)got;
  }
  snprintf(why, why_len, "%s: longer than 1 MiB", src->path);
  free(data);
  return -1;
}

static bool trusts(const struct config_source *src, const struct stat *st) {
  return src->uid == geteuid() || (st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH)));
}

/* Sessions of two users never share one: it is read again with the rights of who brought it. */
static bool key_of(const struct config_source *src, const char *text, size_t len, bool trusted,
                   unsigned char key[32]) {
  const uint64_t lens[5] = {strlen(src->path), len, src->vars_len, (uint64_t)trusted | (uint64_t)src->stderr_log << 1,
                            src->uid};
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, lens, sizeof lens) == 1 &&
            EVP_DigestUpdate(md, src->path, lens[0]) == 1 && EVP_DigestUpdate(md, text, len) == 1 &&
            EVP_DigestUpdate(md, src->vars, src->vars_len) == 1 && EVP_DigestFinal_ex(md, key, NULL) == 1;
  EVP_MD_CTX_free(md);
  return ok;
}

static const char *lookup(void *arg, const char *name) {
  const struct config_source *src = arg;
  return wire_vars_find(src->vars, src->vars_len, name);
}

/* Where lines go. An untrusted configuration gets the daemon's own log: it may not have us open files. Nor may
 * another user's program, by the variables that a file of ours mentions. */
static struct log *open_log(const struct config_draft *d, const struct config_source *src, const char *to, char *why,
                            size_t why_len) {
  const struct policy_settings *set = policy_settings(d->policy);
  if (!to)
    to = "auto";
  bool ours = d->trusted && (src->uid == geteuid() || !set->target_varies);
  if (!ours && strcmp(to, "auto") != 0 && strcmp(to, "stderr") != 0 && strcmp(to, "syslog") != 0) {
    log_warning(NULL,
                "%s: log target %s ignored: the file, or a variable in the target, is not of this daemon's user",
                src->path, to);
    to = "auto";
  }
  return log_open(to, set->log_format, set->log_level, src->stderr_log, why, why_len);
}

static int compile(struct config *c, const char *path, char *why, size_t why_len) {
  c->rules_fd = memory_create("svidwrap-rules", sizeof *c->rules);
  if (c->rules_fd >= 0)
    c->rules = memory_map(c->rules_fd, 0, sizeof *c->rules);
  if (!c->rules) {
    snprintf(why, why_len, "%s: no memory for the rules: %s", path, strerror(errno));
    return -1;
  }
  if (policy_compile(c->policy, NULL, 0, c->rules) != 0) {
    snprintf(why, why_len, "%s: more than %u addresses and ports in the rules", path, RULES_MAX);
    return -1;
  }
  c->rules->magic = RULES_MAGIC;
  atomic_store(&c->rules->generation, 1);
  if (memory_seal(c->rules_fd) != 0) {
    snprintf(why, why_len, "%s: cannot seal the rules: %s", path, strerror(errno));
    return -1;
  }
  return 0;
}

static int check_settings(struct config_draft *d, const char *path, bool foreign, char *why, size_t why_len) {
  const struct policy_settings *set = policy_settings(d->policy);
  d->endpoint = strdup(set->workload_socket ? set->workload_socket : "");
  if (!d->endpoint) {
    snprintf(why, why_len, "%s: out of memory", path);
    return -1;
  }
  struct sockaddr_storage addr;
  unsigned addr_len;
  char cause[256];
  if (d->endpoint[0] && workload_endpoint_parse(d->endpoint, &addr, &addr_len, cause, sizeof cause) != 0) {
    snprintf(why, why_len, "%s: workload_api.socket: %s", path, cause);
    return -1;
  }
  if (set->scope == POLICY_SCOPE_DAEMON && (!d->trusted || (foreign && set->agent_varies))) {
    snprintf(why, why_len,
             "%s: identity.scope: daemon needs a file that only the daemon's user can write, and there a scope and a "
             "workload_api.socket without variables",
             path);
    return -1;
  }
  return 0;
}

/* Another user's program chooses what path it names: its rules are not to be taken for ours. */
static char *label_of(const struct config_source *src, bool trusted) {
  char *label = NULL;
  if (trusted)
    return strdup(src->path);
  return asprintf(&label, "%s (uid %u)", src->path, (unsigned)src->uid) < 0 ? NULL : label;
}

void config_draft_free(struct config_draft *d) {
  log_unref(d->audit);
  log_unref(d->log);
  policy_unref(d->policy);
  free(d->endpoint);
  *d = (struct config_draft){0};
}

/* A mode that is not the file's is told: who reads the file would not know. */
static void log_overrides(const struct config_draft *d, const char *path) {
  for (uint32_t i = 0; i < policy_rule_count(d->policy); i++) {
    const struct policy_rule *r = policy_rule_at(d->policy, i);
    if (r->mode_from)
      log_warning(d->log, "%s: rule '%s' has mode %s by the environment (%s)", path, r->name,
                  policy_mode_name(r->mode), r->mode_from);
    if (r->percent_from)
      log_warning(d->log, "%s: rule '%s' has percent %u by the environment (%s)", path, r->name, r->percent,
                  r->percent_from);
  }
}

int config_draft(const struct config_source *src, const char *text, size_t len, const struct stat *st,
                 const unsigned char *known, struct config_draft *d, char *why, size_t why_len) {
  *d = (struct config_draft){.trusted = trusts(src, st)};
  if (!key_of(src, text, len, d->trusted, d->key)) {
    snprintf(why, why_len, "%s: cannot hash", src->path);
    return -1;
  }
  if (known && memcmp(known, d->key, sizeof d->key) == 0)
    return 1;
  d->policy = policy_parse(src->path, text, len, lookup, (void *)(uintptr_t)src, why, why_len);
  bool foreign = src->uid != geteuid(); /* the variables are another user's */
  if (d->policy && check_settings(d, src->path, foreign, why, why_len) == 0) {
    const struct policy_settings *set = policy_settings(d->policy);
    char cause[256];
    d->log = open_log(d, src, set->log_to, cause, sizeof cause);
    d->audit = d->log ? open_log(d, src, set->audit_to ? set->audit_to : set->log_to, cause, sizeof cause) : NULL;
    if (d->audit) {
      log_overrides(d, src->path);
      return 0;
    }
    snprintf(why, why_len, "%s: %s%s", src->path, d->log ? "audit" : "log", cause + strlen("log"));
  }
  config_draft_free(d);
  return -1;
}

/* What it takes to read the file again. */
static int remember_source(struct config *c, const struct config_source *src, const struct stat *st) {
  c->path = strdup(src->path);
  c->label = label_of(src, c->trusted);
  c->vars = malloc(src->vars_len + 1);
  if (!c->path || !c->label || !c->vars)
    return -1;
  memcpy(c->vars, src->vars, src->vars_len);
  c->vars_len = src->vars_len;
  c->uid = src->uid;
  c->pid = src->pid;
  c->gid = src->gid;
  c->stderr_log = src->stderr_log;
  c->owner = st->st_uid;
  c->dev = st->st_dev;
  c->ino = st->st_ino;
  return 0;
}

static struct config *config_new(const struct config_source *src, struct config_draft *d, const struct stat *st,
                                 char *why, size_t why_len) {
  struct config *c = calloc(1, sizeof *c);
  if (c) {
    *c = (struct config){.refs = 1,
                         .rules_fd = -1,
                         .dirs = {-1, -1},
                         .trusted = d->trusted,
                         .policy = d->policy,
                         .log = d->log,
                         .audit = d->audit,
                         .endpoint = d->endpoint};
    memcpy(c->key, d->key, sizeof c->key);
    memcpy(c->seen, d->key, sizeof c->seen);
    *d = (struct config_draft){0};
    if (remember_source(c, src, st) == 0 && compile(c, src->path, why, why_len) == 0)
      return c;
    if (!c->path || !c->label || !c->vars)
      snprintf(why, why_len, "%s: out of memory", src->path);
    config_unref(c);
  } else {
    snprintf(why, why_len, "%s: out of memory", src->path);
  }
  return NULL;
}

int config_key(const struct config *c, const char *text, size_t len, unsigned char key[32]) {
  struct config_source src = {
      .path = c->path, .vars = c->vars, .vars_len = c->vars_len, .uid = c->uid, .stderr_log = c->stderr_log};
  return key_of(&src, text, len, c->trusted, key) ? 0 : -1;
}

void config_expect(struct config *c, const unsigned char from[32], const unsigned char to[32]) {
  if (memcmp(c->key, c->seen, sizeof c->key) == 0) /* else nobody is to find it by its text */
    memcpy(c->key, to, sizeof c->key);
  memcpy(c->seen, to, sizeof c->seen);
  memcpy(c->stale, from, sizeof c->stale);
}

bool config_known(struct config *c, const struct config_source *src, const char *text, size_t len,
                  const struct stat *st) {
  unsigned char key[32];
  if (!key_of(src, text, len, trusts(src, st), key))
    return false;
  if (memcmp(key, c->stale, sizeof key) == 0)
    return true;
  memset(c->stale, 0, sizeof c->stale);
  return memcmp(key, c->seen, sizeof key) == 0;
}

/* Also by a text that is about to be replaced: who begins in between is not to be a change of the file later. */
static bool found_by(const struct config *c, const unsigned char key[32]) {
  return memcmp(c->key, key, sizeof c->key) == 0 ||
         (memcmp(c->stale, key, sizeof c->stale) == 0 && memcmp(c->key, c->seen, sizeof c->key) == 0);
}

struct config *config_shared(struct config_list *all, const struct config_source *src, char *why, size_t why_len) {
  struct stat st;
  struct config *c = NULL;
  struct config_draft d = {0};
  unsigned char key[32];
  char *text = NULL;
  size_t len;
  if (config_read(src, &text, &len, &st, why, why_len) != 0)
    return NULL;
  if (!key_of(src, text, len, trusts(src, &st), key)) {
    snprintf(why, why_len, "%s: cannot hash", src->path);
    goto done;
  }
  LIST_FOREACH(c, all, link)
  if (found_by(c, key)) {
    config_ref(c);
    goto done;
  }
  if (config_draft(src, text, len, &st, NULL, &d, why, why_len) == 0)
    c = config_new(src, &d, &st, why, why_len);
  config_draft_free(&d);
  if (c)
    LIST_INSERT_HEAD(all, c, link);
done:
  free(text);
  return c;
}

struct config *config_ref(struct config *c) {
  c->refs++;
  return c;
}

void config_unref(struct config *c) {
  if (!c || --c->refs)
    return;
  if (c->link.le_prev)
    LIST_REMOVE(c, link);
  if (c->rules)
    munmap(c->rules, sizeof *c->rules);
  if (c->rules_fd >= 0)
    close(c->rules_fd);
  for (size_t i = 0; i < c->found_count; i++) {
    free((void *)(uintptr_t)c->found[i].name);
    free((void *)(uintptr_t)c->found[i].addr);
  }
  free(c->found);
  log_unref(c->audit);
  log_unref(c->log);
  policy_unref(c->policy);
  free(c->endpoint);
  free(c->label);
  free(c->path);
  free(c->vars);
  free(c);
}

void config_reopen_logs(struct config_list *all) {
  struct config *c;
  LIST_FOREACH(c, all, link) {
    log_reopen(c->log);
    log_reopen(c->audit);
  }
}

void config_rules_lock(struct config *c) {
  uint32_t seq = atomic_load_explicit(&c->rules->seq, memory_order_relaxed);
  atomic_store_explicit(&c->rules->seq, seq + 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_release);
}

void config_rules_unlock(struct config *c) {
  uint32_t seq = atomic_load_explicit(&c->rules->seq, memory_order_relaxed);
  atomic_store_explicit(&c->rules->seq, seq + 1, memory_order_release);
}

int config_match_host(const struct config *c, enum rules_kind kind, const struct sockaddr *sa, socklen_t len,
                      const struct rules_hosts *hosts, struct rules_entry *out) {
  uint8_t addr[16];
  uint16_t port;
  if (rules_address(sa, len, addr, &port) != 0)
    return -1;
  return rules_match_host(c->rules, kind, addr, port, hosts, out);
}

int config_match(const struct config *c, enum rules_kind kind, const struct sockaddr *sa, socklen_t len,
                 struct rules_entry *out) {
  return config_match_host(c, kind, sa, len, NULL, out);
}
