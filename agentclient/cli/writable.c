/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writable.c - can the log and the audit lines be written where a configuration wants them? Found out before a
 * program starts, and without leaving a file behind.
 *
 * It is the daemon that writes them, with its own rights: those of this user, or root's where root runs one.
 */
#include "config.h"

#include "svidwrap/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Does root run a daemon here? Then it is that one's rights that count for a file of root's. */
static bool root_serves(void) {
  const char *instance = getenv("SVIDWRAP_INSTANCE");
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  int n = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, WIRE_DAEMON_PREFIX "0%s%.32s",
                   instance && *instance ? "/" : "", instance ? instance : "");
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return false;
  bool yes =
      connect(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0 ||
      errno == EAGAIN;
  close(fd);
  return yes;
}

/* 0, or an errno. */
static int try_target(const char *path) {
  char dir[PATH_MAX];
  int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd >= 0) {
    close(fd);
    return 0;
  }
  if (errno != ENOENT || snprintf(dir, sizeof dir, "%s", path) >= (int)sizeof dir)
    return errno;
  *(strrchr(dir, '/') + (strrchr(dir, '/') == dir)) = '\0';
  return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

int config_check_targets(const struct policy *p, const char *path, char *why, size_t why_len) {
  const struct policy_settings *s = policy_settings(p);
  const char *const targets[][2] = {{"log.to", s->log_to}, {"audit.to", s->audit_to}};
  struct stat st;
  if (geteuid() != 0 && stat(path, &st) == 0 && st.st_uid == 0 && root_serves())
    return 0;
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    int err = targets[i][1][0] == '/' ? try_target(targets[i][1]) : 0;
    if (err == 0)
      continue;
    snprintf(why, why_len,
             "%s: %s: %s cannot be written: %s; make the directory, let this user write there, or name another file",
             path, targets[i][0], targets[i][1], err == ENXIO ? "nobody reads this FIFO" : strerror(err));
    return -1;
  }
  return 0;
}
