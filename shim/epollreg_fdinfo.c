/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epollreg_fdinfo.c - asks the kernel whether a one-shot registration has fired.
 *
 * epoll has no call for it; the mask is in /proc/self/fdinfo. The file is read to its end: with many
 * registrations a number's line may be far down. Where /proc is missing the answer is "armed".
 */
#include "epollreg_int.h"

#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

/* The bits that stay set when a one-shot has fired. */
#define PRIVATE_BITS ((uint32_t)EPOLLWAKEUP | (uint32_t)EPOLLONESHOT | (uint32_t)EPOLLET | (uint32_t)EPOLLEXCLUSIVE)

/* "tfd:       5 events: 40000000 data: ..." : 1 it is this number's line and disarmed, 0 its line and armed, -1
 * another. */
static int judge_line(const char *line, int fd) {
  if (strncmp(line, "tfd:", 4) != 0)
    return -1;
  char *end;
  if (strtol(line + 4, &end, 10) != fd)
    return -1;
  const char *events = strstr(end, "events:");
  if (!events)
    return -1;
  return ((uint32_t)strtoul(events + 7, NULL, 16) & ~PRIVATE_BITS) == 0;
}

bool epollreg_disarmed(int epfd, int fd) {
  char path[48], buf[4096];
  size_t have = 0;
  int verdict = -1, keep = errno;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epfd);
  int in = (int)libc_real()->syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  while (in >= 0 && verdict < 0) {
    ssize_t n = libc_real()->read(in, buf + have, sizeof buf - 1 - have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    have += (size_t)n;
    buf[have] = 0;
    char *line = buf, *nl;
    while (verdict < 0 && (nl = strchr(line, '\n')) != NULL) {
      *nl = 0;
      verdict = judge_line(line, fd);
      line = nl + 1;
    }
    have = (size_t)(buf + have - line);
    if (have == sizeof buf - 1)
      have = 0; /* no such line exists */
    memmove(buf, line, have);
  }
  if (in >= 0)
    libc_real()->close(in);
  errno = keep;
  return verdict == 1;
}
