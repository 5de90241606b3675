/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epollreg_fdinfo.c - asks the kernel how a number is registered in an epoll set: whether a one-shot has fired.
 *
 * epoll has no call for it; it is in /proc/self/fdinfo. The file is read to its end: with many
 * registrations a number's line may be far down. Where /proc is missing the answer is "not registered", and "armed".
 */
#include "epollreg_int.h"

#include "libc.h"
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

/* The bits that stay set when a one-shot has fired. */
#define PRIVATE_BITS ((uint32_t)EPOLLWAKEUP | (uint32_t)EPOLLONESHOT | (uint32_t)EPOLLET | (uint32_t)EPOLLEXCLUSIVE)

/* "tfd:       5 events: 40000000 data: 7fe8 ..." : is it this number's line? */
static bool line_of(const char *line, int fd, uint32_t *events, uint64_t *data) {
  if (strncmp(line, "tfd:", 4) != 0)
    return false;
  char *end;
  if (strtol(line + 4, &end, 10) != fd)
    return false;
  const char *e = strstr(end, "events:"), *d = strstr(end, "data:");
  if (!e || !d)
    return false;
  *events = (uint32_t)strtoul(e + 7, NULL, 16);
  *data = strtoull(d + 5, NULL, 16);
  return true;
}

bool epollreg_registered(int epfd, int fd, uint32_t *events, uint64_t *data) {
  LOCK_NO_CANCEL;
  char path[48], buf[1024];
  size_t have = 0;
  bool found = false;
  int keep = errno;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epfd);
  int in = (int)libc_real()->syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  while (in >= 0 && !found) {
    ssize_t n = libc_real()->read(in, buf + have, sizeof buf - 1 - have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    have += (size_t)n;
    buf[have] = 0;
    char *line = buf, *nl;
    while (!found && (nl = strchr(line, '\n')) != NULL) {
      *nl = 0;
      found = line_of(line, fd, events, data);
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
  return found;
}

bool epollreg_disarmed(int epfd, int fd) {
  uint32_t events;
  uint64_t data;
  return epollreg_registered(epfd, fd, &events, &data) && (events & ~PRIVATE_BITS) == 0;
}
