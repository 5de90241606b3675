/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.c - messages to and from the daemon: dialing, sending with a descriptor, receiving.
 *
 * Every wait has a deadline. Both ends check SO_PEERCRED; what comes back is checked for magic, version,
 * type and length before anybody reads it.
 */
#include "transport.h"

#include "environ.h"
#include "fdtab.h"
#include "launch.h"
#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DIAL_DEADLINE_MS 10000
#define DIAL_GRACE_MS    200 /* a daemon that served us is given this long to come back by itself */
#define SEND_DEADLINE_MS 5000

uint64_t transport_now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

void transport_sleep_ms(unsigned ms) { libc_real()->poll(NULL, 0, (int)ms); }

static socklen_t daemon_address(struct sockaddr_un *sun, uid_t uid) {
  const char *instance = environ_get("SVIDWRAP_INSTANCE");
  memset(sun, 0, sizeof *sun);
  sun->sun_family = AF_UNIX;
  int n = snprintf(sun->sun_path + 1, sizeof sun->sun_path - 1, WIRE_DAEMON_PREFIX "%u%s%.32s", (unsigned)uid,
                   instance && *instance ? "/" : "", instance ? instance : "");
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

bool transport_peer_trusted(int sock, struct ucred *cred) {
  socklen_t len = sizeof *cred;
  if (libc_real()->getsockopt(sock, SOL_SOCKET, SO_PEERCRED, cred, &len) != 0)
    return false;
  return cred->uid == 0 || cred->uid == geteuid();
}

/* One attempt; -1 and errno. */
static int dial_once(uid_t uid) {
  struct sockaddr_un sun;
  socklen_t len = daemon_address(&sun, uid);
  struct timeval limit = {.tv_sec = 2};
  struct ucred cred;
  int s = libc_real()->socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (s < 0)
    return -1;
  fdtab_fresh(s);
  libc_real()->setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (libc_real()->connect(s, (struct sockaddr *)&sun, len) == 0) {
    if (transport_peer_trusted(s, &cred))
      return s;
    session_complain("the daemon's socket @%s belongs to another user: refused; end that process, or set "
                     "SVIDWRAP_INSTANCE",
                     sun.sun_path + 1);
    errno = EACCES;
  }
  int keep = errno;
  libc_real()->close(s);
  errno = keep;
  return -1;
}

int transport_dial_running(uid_t uid) { return dial_once(uid); }

int transport_dial(uid_t uid, bool known) {
  uint64_t start = transport_now_ms(), launched = 0;
  unsigned pause = 1;
  int keep = errno;
  for (;;) {
    int s = dial_once(uid);
    if (s >= 0) {
      errno = keep;
      return s;
    }
    if (errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR)
      return -1;
    uint64_t now = transport_now_ms();
    if (now - start > DIAL_DEADLINE_MS) {
      session_complain("no svidwrap daemon answers, and none could be started; look at its log, or start it by hand: "
                       "svidwrap daemon --foreground");
      errno = ECONNREFUSED;
      return -1;
    }
    /* Only a daemon of our own uid can be started from here; root's is root's to start. */
    if (errno == ECONNREFUSED && uid == geteuid() && (!known || now - start >= DIAL_GRACE_MS) &&
        (launched == 0 || now - launched > 2000)) {
      if (launch_daemon() != 0)
        return -1;
      launched = now ? now : 1;
    }
    transport_sleep_ms(pause);
    pause = pause < 32 ? pause * 2 : 50;
  }
}

void session_header(struct wire_hdr *h, enum wire_type type, size_t length) {
  *h = (struct wire_hdr){
      .magic = WIRE_MAGIC, .version = WIRE_VERSION, .type = (uint16_t)type, .length = (uint32_t)length};
}

int session_send(int sock, const void *msg, size_t len, int fd) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = len};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
  if (fd >= 0) {
    memset(&control, 0, sizeof control);
    m.msg_control = control.bytes;
    m.msg_controllen = sizeof control.bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  uint64_t deadline = transport_now_ms() + SEND_DEADLINE_MS;
  int keep = errno;
  for (;;) {
    if (libc_real()->sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len) {
      errno = keep;
      return 0;
    }
    if ((errno != EAGAIN && errno != ETOOMANYREFS && errno != EINTR && errno != ENOBUFS) ||
        transport_now_ms() >= deadline)
      return -1;
    transport_sleep_ms(1);
  }
}

static void take_fds(struct msghdr *m, int fds[WIRE_FDS_MAX]) {
  size_t used = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int got;
      memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
      fdtab_fresh(got);
      if (fds && used < WIRE_FDS_MAX)
        fds[used++] = got;
      else
        libc_real()->close(got);
    }
  }
}

static bool well_formed(const void *buf, size_t n, enum wire_type type) {
  struct wire_hdr h;
  if (n < sizeof h)
    return false;
  memcpy(&h, buf, sizeof h);
  return h.magic == WIRE_MAGIC && h.version == WIRE_VERSION && h.type == (uint16_t)type && h.length == n;
}

ssize_t session_recv(int sock, void *buf, size_t size, enum wire_type type, int fds[WIRE_FDS_MAX], int timeout_ms) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
  } control;
  struct iovec iov = {.iov_base = buf, .iov_len = size};
  struct msghdr m = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
  uint64_t deadline = transport_now_ms() + (uint64_t)timeout_ms;
  if (fds)
    fds[0] = fds[1] = -1;
  for (;;) {
    ssize_t n = libc_real()->recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n >= 0) {
      take_fds(&m, fds);
      if (n > 0 && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && well_formed(buf, (size_t)n, type))
        return n;
      for (int i = 0; fds && i < WIRE_FDS_MAX; i++) {
        if (fds[i] >= 0)
          libc_real()->close(fds[i]);
        fds[i] = -1;
      }
      errno = n == 0 ? ECONNRESET : EPROTO;
      return -1;
    }
    if (errno != EAGAIN && errno != EINTR)
      return -1;
    uint64_t now = transport_now_ms();
    if (now >= deadline) {
      errno = ETIMEDOUT;
      return -1;
    }
    struct pollfd p = {.fd = sock, .events = POLLIN};
    libc_real()->poll(&p, 1, (int)(deadline - now));
  }
}
