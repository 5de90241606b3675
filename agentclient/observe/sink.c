/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.c - lines to stderr, a file or syslog's datagram socket, without ever waiting; see sink.h.
 *
 * libc's syslog() is not used: its send() blocks while the logger does not read. stderr's O_NONBLOCK is
 * not touched: it belongs to the description that others share.
 */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

const char *sink_syslog_path = "/dev/log";

static int open_path(const char *path) {
  return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static void remember(struct sink *s) {
  struct stat st;
  if (fstat(s->fd, &st) == 0) {
    s->dev = st.st_dev;
    s->ino = st.st_ino;
  }
}

static int open_syslog(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  snprintf(un.sun_path, sizeof un.sun_path, "%s", sink_syslog_path);
  if (connect(fd, (struct sockaddr *)&un, sizeof un) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

int sink_open(struct sink *s, const char *to) {
  memset(s, 0, sizeof *s);
  s->fd = -1;
  s->kind = strcmp(to, "stderr") == 0 ? SINK_STDERR : strcmp(to, "syslog") == 0 ? SINK_SYSLOG : SINK_FILE;
  if (s->kind == SINK_SYSLOG)
    s->fd = open_syslog(); /* it may come later: sink_write() looks again */
  if (s->kind != SINK_FILE)
    return 0;
  s->path = strdup(to);
  if (!s->path)
    return -1;
  s->fd = open_path(to);
  if (s->fd < 0) {
    int err = errno;
    free(s->path);
    s->path = NULL;
    errno = err;
    return -1;
  }
  remember(s);
  return 0;
}

void sink_close(struct sink *s) {
  if (s->fd >= 0)
    close(s->fd);
  s->fd = -1;
  free(s->path);
  s->path = NULL;
}

int sink_reopen(struct sink *s) {
  if (s->kind == SINK_STDERR)
    return 0;
  int fd = s->kind == SINK_FILE ? open_path(s->path) : open_syslog();
  if (fd < 0)
    return -1;
  if (s->fd >= 0)
    close(s->fd);
  s->fd = fd;
  if (s->kind == SINK_FILE)
    remember(s);
  return 0;
}

/* Is there a file to write to? The path may have been moved away, and the file behind our descriptor deleted. */
static bool follow(struct sink *s) {
  struct stat st;
  if (stat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
    return true;
  if (sink_reopen(s) == 0)
    return true;
  s->err = errno;
  return fstat(s->fd, &st) == 0 && st.st_nlink > 0;
}

/* How much was written, and why not more. In pieces of PIPE_BUF at most: poll() promises a pipe's writer that much
 * and no more. */
static size_t write_some(int fd, const char *data, size_t len, int *err) {
  size_t done = 0;
  while (done < len) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)) {
      *err = p.revents & (POLLERR | POLLHUP) ? EPIPE : p.revents & POLLNVAL ? EBADF : EAGAIN;
      break;
    }
    ssize_t n = write(fd, data + done, len - done < PIPE_BUF ? len - done : PIPE_BUF);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      *err = n < 0 ? errno : EIO;
      break;
    }
    done += (size_t)n;
  }
  return done;
}

static bool write_stream(struct sink *s, int fd, const char *line, size_t len) {
  char small[1024], *buf = len + 2 <= sizeof small ? small : malloc(len + 2);
  if (!buf) {
    s->err = ENOMEM;
    return false;
  }
  size_t begin = s->torn ? 1 : 0, all = begin + len + 1;
  buf[0] = '\n';
  memcpy(buf + begin, line, len);
  buf[all - 1] = '\n';
  size_t done = write_some(fd, buf, all, &s->err);
  if (done > 0)
    s->torn = done < all;
  if (buf != small)
    free(buf);
  return done == all;
}

/* RFC 3164's header, as syslog(3) writes it to the socket. */
static bool write_syslog(struct sink *s, int severity, const char *line, size_t len) {
  char head[96], stamp[32];
  time_t now = time(NULL);
  struct tm tm;
  localtime_r(&now, &tm);
  strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &tm);
  int n = snprintf(head, sizeof head, "<%d>%s svidwrap[%d]: ", LOG_DAEMON | severity, stamp, (int)getpid());
  struct iovec iov[2] = {{head, (size_t)n}, {(void *)(uintptr_t)line, len}};
  struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
  for (int tries = 0; tries < 2; tries++) {
    if (s->fd >= 0 && sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
      return true;
    s->err = errno;
    if (s->fd >= 0 && (errno == EAGAIN || errno == EINTR || errno == EMSGSIZE || errno == ENOBUFS))
      return false;
    if (sink_reopen(s) != 0) { /* the logger was restarted, or was not there yet */
      s->err = errno;
      return false;
    }
  }
  return false;
}

int sink_write(struct sink *s, int severity, const char *line, size_t len) {
  bool ok = s->kind == SINK_SYSLOG   ? write_syslog(s, severity, line, len)
            : s->kind == SINK_STDERR ? write_stream(s, STDERR_FILENO, line, len)
                                     : follow(s) && write_stream(s, s->fd, line, len);
  s->dropped += !ok;
  return ok ? 0 : -1;
}

uint64_t sink_dropped(struct sink *s) {
  uint64_t n = s->dropped;
  s->dropped = 0;
  return n;
}
