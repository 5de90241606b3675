/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.c - finds the program and judges it: see program.h. Reasons name the cause and what to do instead.
 */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <sysexits.h>
#include <unistd.h>

#define NOT_EXECUTABLE 126
#define NOT_FOUND      127
#define SCRIPTS_MAX    4   /* a script run by a script run by ...: Linux itself follows no more */
#define LINE_MAX_LEN   256 /* of a #! line, BINPRM_BUF_SIZE */

/* 0, or 126 for a file that cannot be executed, 127 for none. errno says why. */
static int executable(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0)
    return errno == ENOENT || errno == ENOTDIR ? NOT_FOUND : NOT_EXECUTABLE;
  if (!S_ISREG(st.st_mode)) {
    errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
    return NOT_EXECUTABLE;
  }
  return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : NOT_EXECUTABLE;
}

int program_find(const char *name, const char *path_env, char path[PATH_MAX], char *why, size_t why_len) {
  int worst = NOT_FOUND, err = ENOENT;
  if (strchr(name, '/')) {
    int rc = executable(name);
    if (rc == 0 && (size_t)snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) {
      rc = NOT_EXECUTABLE;
      errno = ENAMETOOLONG;
    }
    if (rc != 0)
      snprintf(why, why_len, "%s: %s", name, strerror(errno));
    return rc;
  }
  if (!path_env)
    path_env = "/usr/local/bin:/usr/bin:/bin";
  for (const char *dir = path_env; *name && dir;) {
    const char *end = strchrnul(dir, ':');
    int len = (int)(end - dir);
    if (snprintf(path, PATH_MAX, "%.*s%s%s", len, dir, len ? "/" : "./", name) < PATH_MAX) {
      int rc = executable(path);
      if (rc == 0)
        return 0;
      if (rc == NOT_EXECUTABLE && errno != EISDIR) {
        worst = rc;
        err = errno;
      }
    }
    dir = *end ? end + 1 : NULL;
  }
  if (worst == NOT_FOUND)
    snprintf(why, why_len, "%s: not found in PATH", name);
  else
    snprintf(why, why_len, "%s: found in PATH, but %s", name, strerror(err));
  return worst;
}

/* ---- the checks, in the order in which they are made --------------------------------------------------- */

struct facts {
  struct stat st;
  bool nosuid; /* the file system ignores setuid and capabilities */
  bool file_capabilities;
  struct program_elf elf;
};

static bool changed_ids(const struct facts *f) {
  (void)f;
  return getuid() != geteuid() || getgid() != getegid();
}
static bool setuid_to_another(const struct facts *f) {
  return !f->nosuid && (f->st.st_mode & S_ISUID) && f->st.st_uid != geteuid();
}
static bool setgid_to_another(const struct facts *f) {
  return !f->nosuid && (f->st.st_mode & S_ISGID) && (f->st.st_mode & S_IXGRP) && f->st.st_gid != getegid();
}
static bool gains_capabilities(const struct facts *f) { return !f->nosuid && f->file_capabilities && getuid() != 0; }
static bool foreign(const struct facts *f) { return f->elf.foreign; }
static bool malformed(const struct facts *f) { return f->elf.malformed || !f->elf.executable; }
static bool go(const struct facts *f) { return f->elf.go; }
static bool is_static(const struct facts *f) { return !f->elf.has_interpreter; }
static bool loader_begins(const struct facts *f, const char *name) {
  const char *base = strrchr(f->elf.interpreter, '/');
  return strncmp(base ? base + 1 : f->elf.interpreter, name, strlen(name)) == 0;
}
static bool musl(const struct facts *f) { return loader_begins(f, "ld-musl"); }
static bool not_glibc(const struct facts *f) {
  static const char *const glibc[] = {"ld-linux", "ld64.so.", "ld.so.", "ld-2."};
  for (size_t i = 0; i < sizeof glibc / sizeof *glibc; i++)
    if (loader_begins(f, glibc[i]))
      return false;
  return true;
}

static const struct {
  bool (*applies)(const struct facts *);
  const char *text;
} checks[] = {
    {changed_ids,
     "this process runs with changed ids (its effective and real uid or gid differ), so the dynamic loader "
     "will not preload anything; start svidwrap from a process whose ids are equal"},
    {setuid_to_another,
     "it is setuid to another user, so the dynamic loader will not preload anything into it; start "
     "svidwrap as that user (sudo, runuser, User= of systemd) instead"},
    {setgid_to_another,
     "it is setgid to another group, so the dynamic loader will not preload anything into it; start "
     "svidwrap with that group instead"},
    {gains_capabilities,
     "it has file capabilities, so the dynamic loader will not preload anything into it; remove them "
     "(setcap -r) and give svidwrap the capabilities instead (AmbientCapabilities= of systemd, "
     "setpriv --ambient-caps)"},
    {foreign,
     "it is built for another architecture or word size than svidwrap; use a build of it for this machine, or "
     "a svidwrap built for its architecture"},
    {malformed, "its ELF headers make no sense (is the file complete?)"},
    {go,
     "it is a Go program, and Go makes its system calls itself, past the C library, where nothing that is preloaded "
     "sees them (with cgo too); have it use the go-spiffe library, or put a wrapped proxy (nginx, haproxy) in front"},
    {is_static, "it is statically linked, so nothing can be preloaded into it; use a dynamically linked build of it"},
    {musl,
     "it is built for the musl C library and svidwrap's library for glibc; use a glibc build of it (a Debian-based "
     "image instead of an Alpine-based one)"},
    {not_glibc, "its loader is not glibc's, and svidwrap's library is made for glibc; use a glibc build of it"},
};

static int gather(const char *path, int fd, struct facts *f, char *why, size_t why_len) {
  struct statvfs vfs;
  memset(f, 0, sizeof *f);
  if (fstat(fd, &f->st) != 0 || program_elf_read(fd, &f->elf) != 0) {
    snprintf(why, why_len, "%s: cannot be examined: %s", path, strerror(errno));
    return EX_DATAERR;
  }
  f->nosuid = fstatvfs(fd, &vfs) == 0 && (vfs.f_flag & ST_NOSUID);
  f->file_capabilities = fgetxattr(fd, "security.capability", NULL, 0) > 0;
  return 0;
}

static int check_elf(const char *path, int fd, char *why, size_t why_len) {
  struct facts f;
  int rc = gather(path, fd, &f, why, why_len);
  if (rc != 0)
    return rc;
  for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
    if (!checks[i].applies(&f))
      continue;
    snprintf(why, why_len, "%s cannot be wrapped: %s", path, checks[i].text);
    return EX_DATAERR;
  }
  if (access(f.elf.interpreter, X_OK) != 0) {
    snprintf(why, why_len, "%s: its loader %s: %s", path, f.elf.interpreter, strerror(errno));
    return NOT_FOUND;
  }
  return 0;
}

/* The next word of a #! line; *at moves behind it. NULL: no more. */
static char *word(char **at) {
  char *s = *at + strspn(*at, " \t");
  if (!*s)
    return NULL;
  char *end = s + strcspn(s, " \t");
  *at = *end ? end + 1 : end;
  *end = '\0';
  return s;
}

/* What env(1) would run: the first word that is neither an option nor an assignment. */
static const char *env_program(char *rest) {
  char *w;
  while ((w = word(&rest))) {
    if (strcmp(w, "-u") == 0 || strcmp(w, "--unset") == 0 || strcmp(w, "-C") == 0 || strcmp(w, "--chdir") == 0)
      word(&rest);
    else if (strncmp(w, "-S", 2) == 0 && w[2])
      return w + 2;
    else if (w[0] != '-' && !strchr(w, '='))
      return w;
  }
  return NULL;
}

/* line: what follows "#!". The interpreter's path is written to next. 0, or an exit code and a reason. */
static int interpreter(const char *script, char *line, const char *path_env, char next[PATH_MAX], char *why,
                       size_t why_len) {
  char reason[512];
  char *rest = line;
  const char *name = word(&rest);
  if (!name) {
    snprintf(why, why_len, "%s: its first line names no interpreter behind #!", script);
    return NOT_EXECUTABLE;
  }
  const char *base = strrchr(name, '/');
  if (strcmp(base ? base + 1 : name, "env") == 0) {
    const char *named = env_program(rest);
    if (named)
      name = named;
  } else if (!base) { /* the kernel takes it as a path: from the working directory */
    snprintf(next, PATH_MAX, "./%s", name);
    name = next;
  }
  char found[PATH_MAX];
  int rc = program_find(name, path_env, found, reason, sizeof reason);
  if (rc != 0)
    snprintf(why, why_len, "%s: its interpreter: %s", script, reason);
  else
    memcpy(next, found, sizeof found);
  return rc;
}

int program_check(const char *path, const char *path_env, char *why, size_t why_len) {
  char at[PATH_MAX], head[LINE_MAX_LEN + 1], next[PATH_MAX];
  snprintf(at, sizeof at, "%s", path);
  for (int depth = 0; depth <= SCRIPTS_MAX; depth++) {
    int fd = open(at, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
      snprintf(why, why_len, "%s cannot be wrapped: it cannot be read to see what it is: %s", at, strerror(errno));
      return EX_DATAERR;
    }
    ssize_t n = pread(fd, head, LINE_MAX_LEN, 0);
    head[n > 0 ? n : 0] = '\0';
    if (n < 2 || memcmp(head, "#!", 2) != 0) {
      int rc = NOT_EXECUTABLE;
      if (n >= 4 && memcmp(head, "\177ELF", 4) == 0)
        rc = check_elf(at, fd, why, why_len);
      else
        snprintf(why, why_len, "%s is neither an ELF program nor a script that begins with #!", at);
      close(fd);
      return rc;
    }
    close(fd);
    head[strcspn(head, "\n")] = '\0';
    int rc = interpreter(at, head + 2, path_env, next, why, why_len);
    if (rc != 0)
      return rc;
    memcpy(at, next, sizeof at);
  }
  snprintf(why, why_len, "%s: a script whose interpreter is a script, too many times over", path);
  return NOT_EXECUTABLE;
}
