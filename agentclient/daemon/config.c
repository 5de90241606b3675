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

struct text {
  char *data;
  size_t len;
};

/* A regular file only, and none that another uid could make us wait for. */
static int text_read(const struct config_source *src, struct text *t, struct stat *st, char *why, size_t why_len) {
  struct statfs fs;
  if (fstat(src->fd, st) != 0 || !S_ISREG(st->st_mode)) {
    snprintf(why, why_len, "%s: not a regular file", src->path);
    return -1;
  }
  if (src->uid != geteuid() && fstatfs(src->fd, &fs) == 0 && (unsigned long)fs.f_type == FUSE_SUPER_MAGIC) {
    snprintf(why, why_len, "%s: is on a FUSE file system of another user", src->path);
    return -1;
  }
  if (st->st_size > TEXT_MAX) {
    snprintf(why, why_len, "%s: longer than 1 MiB", src->path);
    return -1;
  }
  t->data = malloc(TEXT_MAX + 1);
  if (!t->data) {
    snprintf(why, why_len, "%s: out of memory", src->path);
    return -1;
  }
  while (t->len <= TEXT_MAX) {
    ssize_t n = pread(src->fd, t->data + t->len, TEXT_MAX + 1 - t->len, (off_t)t->len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      snprintf(why, why_len, "%s: %s", src->path, strerror(errno));
      return -1;
    }
    if (n == 0)
      return 0;
    t->len += (size_t)n;
  }
  snprintf(why, why_len, "%s: longer than 1 MiB", src->path);
  return -1;
}

static bool key_of(const struct config_source *src, const struct text *t, bool trusted, unsigned char key[32]) {
  const uint64_t lens[4] = {strlen(src->path), t->len, src->vars_len,
                            (uint64_t)trusted | (uint64_t)src->stderr_log << 1 |
                                (uint64_t)(src->uid != geteuid()) << 2};
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, lens, sizeof lens) == 1 &&
            EVP_DigestUpdate(md, src->path, lens[0]) == 1 && EVP_DigestUpdate(md, t->data, t->len) == 1 &&
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
static struct log *open_log(const struct config *c, const struct config_source *src, const char *to, char *why,
                            size_t why_len) {
  const struct policy_settings *set = policy_settings(c->policy);
  if (!to)
    to = "auto";
  bool ours = c->trusted && (src->uid == geteuid() || !set->target_varies);
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

static int check_settings(struct config *c, const char *path, bool foreign, char *why, size_t why_len) {
  const struct policy_settings *set = policy_settings(c->policy);
  c->endpoint = strdup(set->workload_socket ? set->workload_socket : "");
  if (!c->endpoint) {
    snprintf(why, why_len, "%s: out of memory", path);
    return -1;
  }
  struct sockaddr_storage addr;
  unsigned addr_len;
  char cause[256];
  if (c->endpoint[0] && workload_endpoint_parse(c->endpoint, &addr, &addr_len, cause, sizeof cause) != 0) {
    snprintf(why, why_len, "%s: workload_api.socket: %s", path, cause);
    return -1;
  }
  if (set->scope == POLICY_SCOPE_DAEMON && (!c->trusted || (foreign && set->agent_varies))) {
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

static struct config *config_new(const struct config_source *src, const struct text *t, bool trusted, char *why,
                                 size_t why_len) {
  struct config *c = calloc(1, sizeof *c);
  if (!c) {
    snprintf(why, why_len, "%s: out of memory", src->path);
    return NULL;
  }
  c->refs = 1;
  c->rules_fd = -1;
  c->trusted = trusted;
  c->label = label_of(src, trusted);
  if (!c->label) {
    snprintf(why, why_len, "%s: out of memory", src->path);
    config_unref(c);
    return NULL;
  }
  c->policy = policy_parse(src->path, t->data, t->len, lookup, (void *)(uintptr_t)src, why, why_len);
  bool foreign = src->uid != geteuid(); /* the variables are another user's */
  if (c->policy && check_settings(c, src->path, foreign, why, why_len) == 0 &&
      compile(c, src->path, why, why_len) == 0) {
    const struct policy_settings *set = policy_settings(c->policy);
    char cause[256];
    c->log = open_log(c, src, set->log_to, cause, sizeof cause);
    c->audit = c->log ? open_log(c, src, set->audit_to ? set->audit_to : set->log_to, cause, sizeof cause) : NULL;
    if (c->audit)
      return c;
    snprintf(why, why_len, "%s: log: %s", src->path, cause);
  }
  config_unref(c);
  return NULL;
}

struct config *config_shared(struct config_list *all, const struct config_source *src, char *why, size_t why_len) {
  struct text t = {0};
  struct stat st;
  struct config *c = NULL;
  unsigned char key[32];
  if (text_read(src, &t, &st, why, why_len) != 0)
    goto done;
  bool trusted = src->uid == geteuid() || (st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)));
  if (!key_of(src, &t, trusted, key)) {
    snprintf(why, why_len, "%s: cannot hash", src->path);
    goto done;
  }
  LIST_FOREACH(c, all, link)
  if (memcmp(c->key, key, sizeof key) == 0) {
    c->refs++;
    goto done;
  }
  c = config_new(src, &t, trusted, why, why_len);
  if (c) {
    memcpy(c->key, key, sizeof key);
    LIST_INSERT_HEAD(all, c, link);
  }
done:
  free(t.data);
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
  log_unref(c->audit);
  log_unref(c->log);
  policy_unref(c->policy);
  free(c->endpoint);
  free(c->label);
  free(c);
}

void config_reopen_logs(struct config_list *all) {
  struct config *c;
  LIST_FOREACH(c, all, link) {
    log_reopen(c->log);
    log_reopen(c->audit);
  }
}

int config_match(const struct config *c, enum rules_kind kind, const struct sockaddr *sa, socklen_t len,
                 struct rules_entry *out) {
  uint8_t addr[16];
  uint16_t port;
  if (rules_address(sa, len, addr, &port) != 0)
    return -1;
  return rules_match(c->rules, kind, addr, port, out);
}
