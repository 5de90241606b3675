/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors of a process, spelled as SPIRE's unix attestor spells them. What cannot be read (another user's
 * /proc/PID/exe) is left out, so an entry that asks for it does not match: never the other way round.
 */
#include "attest.h"

#include <openssl/evp.h>

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int read_proc(pid_t pid, const char *name, char *buf, size_t len) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  size_t have = 0;
  ssize_t n;
  while (have < len - 1 && (n = read(fd, buf + have, len - 1 - have)) > 0)
    have += (size_t)n;
  close(fd);
  buf[have] = 0;
  return have ? 0 : -1;
}

/* A program can name itself ") R 1 1": the last parenthesis is the kernel's. */
static int start_time(pid_t pid, unsigned long long *out) {
  char text[1024];
  if (read_proc(pid, "stat", text, sizeof text) != 0)
    return -1;
  char *p = strrchr(text, ')');
  if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
    return -1;
  for (int field = 2; field < 22; field++) {
    p = strchr(p + 1, ' ');
    if (!p)
      return -1;
  }
  return sscanf(p, " %llu", out) == 1 ? 0 : -1;
}

int devagent_caller_take(int fd, struct devagent_caller *c) {
  struct ucred cred;
  socklen_t len = sizeof cred;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || cred.pid <= 0)
    return -1;
  c->pid = cred.pid;
  c->uid = cred.uid;
  c->gid = cred.gid;
  return start_time(cred.pid, &c->start_time);
}

static void add(struct devagent_selectors *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct devagent_selectors *s, const char *fmt, ...) {
  char **grown = realloc(s->at, (s->count + 1) * sizeof *grown);
  if (!grown)
    return;
  s->at = grown;
  va_list ap;
  va_start(ap, fmt);
  if (vasprintf(&s->at[s->count], fmt, ap) >= 0)
    s->count++;
  va_end(ap);
}

static void add_user(struct devagent_selectors *s, unsigned uid) {
  char buf[16384];
  struct passwd pw, *found = NULL;
  add(s, "unix:uid:%u", uid);
  if (getpwuid_r((uid_t)uid, &pw, buf, sizeof buf, &found) == 0 && found)
    add(s, "unix:user:%s", found->pw_name);
}

static void add_group(struct devagent_selectors *s, unsigned gid, const char *prefix) {
  char buf[16384];
  struct group gr, *found = NULL;
  add(s, "unix:%sgid:%u", prefix, gid);
  if (getgrgid_r((gid_t)gid, &gr, buf, sizeof buf, &found) == 0 && found)
    add(s, "unix:%sgroup:%s", prefix, found->gr_name);
}

/* Effective IDs, as SPIRE's attestor takes them. */
static int add_ids(struct devagent_selectors *s, pid_t pid) {
  char text[65536], *p;
  unsigned real, effective;
  if (read_proc(pid, "status", text, sizeof text) != 0)
    return -1;
  if (!(p = strstr(text, "\nUid:")) || sscanf(p, "\nUid: %u %u", &real, &effective) != 2)
    return -1;
  add_user(s, effective);
  if (!(p = strstr(text, "\nGid:")) || sscanf(p, "\nGid: %u %u", &real, &effective) != 2)
    return -1;
  add_group(s, effective, "");
  if ((p = strstr(text, "\nGroups:"))) {
    char *end = strchr(p + 1, '\n');
    p += strlen("\nGroups:");
    while (end && p < end) {
      char *next;
      unsigned long gid = strtoul(p, &next, 10);
      if (next == p || next > end)
        break;
      add_group(s, (unsigned)gid, "supplementary_");
      p = next;
    }
  }
  return 0;
}

static void add_program(struct devagent_selectors *s, pid_t pid) {
  char link[64], path[PATH_MAX], hex[2 * EVP_MAX_MD_SIZE + 1], block[65536];
  unsigned char md[EVP_MAX_MD_SIZE];
  unsigned md_len = 0;
  snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0)
    return;
  path[n] = 0;
  add(s, "unix:path:%s", path);
  /* By the link and not by the name: the file may have been replaced or lie in another mount namespace. */
  int fd = open(link, O_RDONLY | O_CLOEXEC);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  int ok = fd >= 0 && ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
  while (ok && (n = read(fd, block, sizeof block)) > 0)
    ok = EVP_DigestUpdate(ctx, block, (size_t)n) == 1;
  if (ok && n == 0 && EVP_DigestFinal_ex(ctx, md, &md_len) == 1) {
    for (unsigned i = 0; i < md_len; i++)
      snprintf(hex + 2 * i, 3, "%02x", md[i]);
    add(s, "unix:sha256:%s", hex);
  }
  EVP_MD_CTX_free(ctx);
  if (fd >= 0)
    close(fd);
}

int devagent_attest(const struct devagent_caller *c, struct devagent_selectors *out) {
  unsigned long long now;
  memset(out, 0, sizeof *out);
  if (add_ids(out, c->pid) == 0) {
    add_program(out, c->pid);
    /* Last: had the pid been reused meanwhile, all of the above would be another process's. */
    if (start_time(c->pid, &now) == 0 && now == c->start_time)
      return 0;
  }
  devagent_selectors_free(out);
  return -1;
}

void devagent_selectors_free(struct devagent_selectors *s) {
  for (size_t i = 0; i < s->count; i++)
    free(s->at[i]);
  free(s->at);
  memset(s, 0, sizeof *s);
}

int devagent_selectors_match(const struct devagent_selectors *have, char *const *wanted, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t k = 0;
    while (k < have->count && strcmp(have->at[k], wanted[i]) != 0)
      k++;
    if (k == have->count)
      return 0;
  }
  return count > 0;
}
