/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complain.c - a line for the operator when the daemon cannot be told.
 *
 * To stderr and to the system log's socket, at most a few lines a second. It allocates nothing and never
 * blocks; losing a line is better than hurting the program.
 */
#include "libc.h"
#include "lock.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINES_PER_SECOND 5

static bool too_many(void) {
  static _Atomic long second;
  static _Atomic int lines;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  if (atomic_exchange(&second, now.tv_sec) != now.tv_sec)
    atomic_store(&lines, 0);
  return atomic_fetch_add(&lines, 1) >= LINES_PER_SECOND;
}

/* Never into a socket or a pipe that may be the program's protocol: only a terminal, a file or a pipe on
 * descriptor 2 that cannot block us. */
static void to_stderr(const char *line, size_t len) {
  struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
  int type;
  socklen_t type_len = sizeof type;
  if (libc_real()->getsockopt(STDERR_FILENO, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0)
    return;
  if (libc_real()->poll(&p, 1, 0) == 1 && (p.revents & POLLOUT)) {
    ssize_t n = libc_real()->write(STDERR_FILENO, line, len);
    (void)n;
  }
}

static void to_syslog(const char *text) {
  struct sockaddr_un sun = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
  char line[WIRE_TEXT_MAX + 64];
  int n = snprintf(line, sizeof line, "<27>svidwrap[%d]: %s", (int)getpid(), text);
  int s = libc_real()->socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s < 0)
    return;
  if (n > 0)
    libc_real()->sendto(s, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1, MSG_DONTWAIT | MSG_NOSIGNAL,
                        (const struct sockaddr *)&sun, sizeof sun);
  libc_real()->close(s);
}

void session_complain_scarce(const char *what, int err) {
  if (err == EMFILE)
    session_complain("%s: the process has no descriptor left that svidwrap could use; raise its hard limit above its "
                     "soft one (ulimit -Hn, LimitNOFILE=)",
                     what);
  else if (err == ENFILE)
    session_complain("%s: the system has no more open files to give; raise fs.file-max", what);
  else if (err == ENOMEM || err == ENOBUFS)
    session_complain("%s: the process gets no more memory; raise its limit (ulimit -v, MemoryMax=)", what);
}

void session_complain(const char *fmt, ...) {
  LOCK_NO_CANCEL;
  int keep = errno;
  char text[WIRE_TEXT_MAX], line[WIRE_TEXT_MAX + 32];
  va_list ap;
  if (too_many())
    return;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  int n = snprintf(line, sizeof line, "svidwrap: %s\n", text);
  if (n > 0)
    to_stderr(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
  to_syslog(text);
  errno = keep;
}
