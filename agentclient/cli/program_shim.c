/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_shim.c - svidwrap's own library, and the LD_PRELOAD that leads to it. The dynamic loader only warns about a
 * library that it cannot preload, and starts the program without it: so what would make it fail is tried here.
 */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#define SHIM_NAME "libsvidwrap.so"

/* Another machine's file, no right to read, a noexec file system. */
static int try_shim(const char *shim, struct program_elf *elf, char *why, size_t why_len) {
  int rc = EX_OK, fd = open(shim, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || program_elf_read(fd, elf) != 0) {
    snprintf(why, why_len, "%s cannot be read, so it cannot be preloaded", shim);
    rc = EX_OSFILE;
  } else if (elf->malformed || elf->foreign || !elf->executable) {
    snprintf(why, why_len, "%s is not a library for this machine; install svidwrap again", shim);
    rc = EX_OSFILE;
  } else {
    void *p = mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      snprintf(why, why_len, "%s cannot be mapped for execution (a noexec file system?); install it elsewhere", shim);
      rc = EX_OSFILE;
    } else
      munmap(p, 1);
  }
  if (fd >= 0)
    close(fd);
  return rc;
}

int program_shim(char self[PATH_MAX], char shim[PATH_MAX], struct program_elf *elf, char *why, size_t why_len) {
  static const char *const tails[] = {"/" SHIM_NAME, "/../lib/svidwrap/" SHIM_NAME, NULL};
  static struct program_elf own;
  char try[PATH_MAX + 64];
  ssize_t n = readlink("/proc/self/exe", self, PATH_MAX - 1);
  if (n <= 0) {
    snprintf(why, why_len, "/proc/self/exe: %s", strerror(errno));
    return EX_OSFILE;
  }
  self[n] = '\0';
  int dir = (int)(strrchr(self, '/') - self);
  for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
    if (tails[i])
      snprintf(try, sizeof try, "%.*s%s", dir, self, tails[i]);
    else
      snprintf(try, sizeof try, "%s", SVIDWRAP_PREFIX "/lib/svidwrap/" SHIM_NAME);
    if (access(try, R_OK) != 0 || !realpath(try, shim))
      continue;
    if (!strpbrk(shim, ": \t\n"))
      return try_shim(shim, elf ? elf : &own, why, why_len);
    snprintf(why, why_len, "%s: LD_PRELOAD cannot hold a path with spaces or colons; install svidwrap elsewhere",
             shim);
    return EX_OSFILE;
  }
  snprintf(why, why_len,
           SHIM_NAME " is neither beside %s nor in ../lib/svidwrap nor in " SVIDWRAP_PREFIX
                     "/lib/svidwrap; install it there",
           self);
  return EX_OSFILE;
}

static const char *base_of(const char *name) {
  const char *slash = strrchr(name, '/');
  return slash ? slash + 1 : name;
}

bool program_is_shim(const char *name) { return strcmp(base_of(name), SHIM_NAME) == 0; }

bool program_is_sanitizer(const char *name) {
  static const char *const known[] = {"libasan.so", "liblsan.so", "libtsan.so", "libhwasan.so", "libclang_rt."};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strncmp(base_of(name), known[i], strlen(known[i])) == 0)
      return true;
  return false;
}

void program_preload_each(const char *list, void (*fn)(void *arg, const char *name), void *arg) {
  char name[PATH_MAX];
  for (const char *s = list; s && *(s += strspn(s, ": "));) {
    size_t len = strcspn(s, ": ");
    if (len < sizeof name) {
      memcpy(name, s, len);
      name[len] = '\0';
      fn(arg, name);
    }
    s += len;
  }
}

struct preload {
  char *value;
  bool sanitizers;
};

static void append(struct preload *p, const char *name) {
  if (*p->value)
    strcat(p->value, ":");
  strcat(p->value, name);
}

static void take(void *arg, const char *name) {
  struct preload *p = arg;
  if (!program_is_shim(name) && program_is_sanitizer(name) == p->sanitizers)
    append(p, name);
}

char *program_preload(const char *shim, const char *old) {
  struct preload p = {.value = calloc(1, strlen(shim) + (old ? strlen(old) : 0) + 3), .sanitizers = true};
  if (!p.value)
    return NULL;
  program_preload_each(old, take, &p);
  append(&p, shim);
  p.sanitizers = false;
  program_preload_each(old, take, &p);
  return p.value;
}
