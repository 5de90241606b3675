/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.c - finds the program, and what is behind a script's #! line: see program.h.
 */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <sysexits.h>
#include <unistd.h>

#define SCRIPTS_MAX  4   /* a script run by a script run by ...: Linux itself follows no more */
#define LINE_MAX_LEN 256 /* of a #! line, BINPRM_BUF_SIZE */

/* 0, or 126 for a file that cannot be executed, 127 for none. errno says why. */
static int executable(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0)
    return errno == ENOENT || errno == ENOTDIR ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE;
  if (!S_ISREG(st.st_mode)) {
    errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
    return PROGRAM_NOT_EXECUTABLE;
  }
  return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : PROGRAM_NOT_EXECUTABLE;
}

static const char *reason(const char *path, int err) {
  struct statvfs vfs;
  if (err == EACCES && statvfs(path, &vfs) == 0 && (vfs.f_flag & ST_NOEXEC))
    return "it is on a file system that is mounted noexec; install it on another, or mount that with exec";
  if (err == EACCES)
    return "Permission denied (does it have an x bit for this user?)";
  return strerror(err);
}

int program_find(const char *name, const char *path_env, char path[PATH_MAX], char *why, size_t why_len) {
  int worst = PROGRAM_NOT_FOUND, err = ENOENT;
  char seen[PATH_MAX] = "";
  if (strchr(name, '/')) {
    int rc = executable(name);
    if (rc == 0 && (size_t)snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX) {
      rc = PROGRAM_NOT_EXECUTABLE;
      errno = ENAMETOOLONG;
    }
    if (rc != 0)
      snprintf(why, why_len, "%s: %s", name, reason(name, errno));
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
      if (rc == PROGRAM_NOT_EXECUTABLE && errno != EISDIR) {
        worst = rc;
        err = errno;
        memcpy(seen, path, sizeof seen);
      }
    }
    dir = *end ? end + 1 : NULL;
  }
  if (worst == PROGRAM_NOT_FOUND)
    snprintf(why, why_len, "%s: not found in PATH", name);
  else
    snprintf(why, why_len, "%s: found in PATH, but %s", name, reason(seen, err));
  return worst;
}

/* ---- scripts -------------------------------------------------------------------------------------------- */

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

/* line: what follows "#!". The interpreter's path is written to next. false: refused. */
static bool interpreter(const char *script, char *line, const char *path_env, char next[PATH_MAX],
                        struct findings *out) {
  char why[512], text[600], found[PATH_MAX];
  char *rest = line;
  const char *name = word(&rest);
  if (!name) {
    findings_refuse(out, PROGRAM_NOT_EXECUTABLE, "script", script, "its first line names no interpreter behind #!",
                    NULL, NULL);
    return false;
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
  int rc = program_find(name, path_env, found, why, sizeof why);
  if (rc != 0) {
    snprintf(text, sizeof text, "its interpreter: %s", why);
    findings_refuse(out, rc, "script", script, text, NULL, NULL);
    return false;
  }
  memcpy(next, found, sizeof found);
  findings_say(out, FINDING_OK, "script", script, "a script that %s runs", next);
  return true;
}

/* A shell's work is done by others. */
static void judge_shell(const char *path, struct findings *out) {
  static const char *const shells[] = {"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "busybox"};
  const char *base = strrchr(path, '/');
  base = base ? base + 1 : path;
  for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
    if (strcmp(base, shells[i]) == 0)
      findings_add(out, FINDING_UNKNOWN, "children", path, "it is a shell, and what matters is what it starts",
                   "for those programs are wrapped too, but what cannot be wrapped among them runs unprotected",
                   "check each of them");
}

static bool examine_elf(const char *path, int fd, const struct program_setting *setting, struct findings *out) {
  static struct program_facts f;
  struct statvfs vfs;
  f = (struct program_facts){.path = path};
  if (fstat(fd, &f.st) != 0 || program_elf_read(fd, &f.elf) != 0) {
    findings_add(out, FINDING_CANNOT, "unreadable", path, "it cannot be examined", strerror(errno), NULL);
    return false;
  }
  f.nosuid = fstatvfs(fd, &vfs) == 0 && (vfs.f_flag & ST_NOSUID);
  f.file_capabilities = fgetxattr(fd, "security.capability", NULL, 0) > 0;
  if (!program_judge(&f, out))
    return false;
  judge_shell(path, out);
  if (program_elf_makes_ring(fd))
    f.elf.traits |= ELF_URING;
  return program_judge_libraries(&f, setting, out);
}

bool program_examine(const char *path, const struct program_setting *setting, struct findings *out) {
  bool sanitized = false;
  char at[PATH_MAX], head[LINE_MAX_LEN + 1], next[PATH_MAX];
  snprintf(at, sizeof at, "%s", path);
  for (int depth = 0; depth <= SCRIPTS_MAX; depth++) {
    int fd = open(at, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
      findings_add(out, FINDING_CANNOT, "unreadable", at, "it cannot be read to see what it is", strerror(errno),
                   "give this user the right to read it");
      return false;
    }
    ssize_t n = pread(fd, head, LINE_MAX_LEN, 0);
    head[n > 0 ? n : 0] = '\0';
    if (n >= 4 && memcmp(head, "\177ELF", 4) == 0)
      sanitized = examine_elf(at, fd, setting, out);
    else if (n < 2 || memcmp(head, "#!", 2) != 0)
      findings_refuse(out, PROGRAM_NOT_EXECUTABLE, "format", at,
                      "it is neither an ELF program nor a script that begins with #!", NULL, NULL);
    close(fd);
    if (n < 2 || memcmp(head, "#!", 2) != 0)
      return sanitized;
    head[strcspn(head, "\n")] = '\0';
    if (!interpreter(at, head + 2, setting->path_env, next, out))
      return false;
    memcpy(at, next, sizeof at);
  }
  findings_refuse(out, PROGRAM_NOT_EXECUTABLE, "script", path,
                  "a script whose interpreter is a script, too many times over", NULL, NULL);
  return false;
}
