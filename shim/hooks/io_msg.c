/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_msg.c - recvmsg, sendmsg and their vectors. On a connection they carry bytes and nothing else, as on TCP:
 * no name, no control data.
 */
#include "io.h"

#include "../conn_pages.h"
#include "../listener.h"
#include "../pending.h"
#include "../relay.h"
#include "../session.h"
#include "../shared.h"

#include <limits.h>
#include <string.h>
#include <time.h>

static ssize_t fail(int err) {
  errno = err;
  return -1;
}

/* What the kernel says of a header and its vector before it looks at the socket. 0 or an errno. */
static int header(const struct msghdr *m) {
  if (!io_there(m, sizeof *m))
    return EFAULT;
  if (m->msg_name && (int)m->msg_namelen < 0)
    return EINVAL;
  if (m->msg_iovlen > IOV_MAX)
    return EMSGSIZE;
  return io_there(m->msg_iov, m->msg_iovlen * sizeof *m->msg_iov) ? 0 : EFAULT;
}

/* TCP has no name and no control data to tell. */
static ssize_t nothing_else(struct msghdr *m, ssize_t n, int flags) {
  if (pages_writable(m, sizeof *m) != sizeof *m)
    return fail(EFAULT);
  if (m->msg_name)
    m->msg_namelen = 0;
  m->msg_controllen = 0;
  m->msg_flags = flags & MSG_CMSG_CLOEXEC;
  return n;
}

static ssize_t message_in(int fd, struct msghdr *m, int flags) {
  int odd = header(m);
  if (odd)
    return fail(odd);
  struct sock *s;
  int real_fd;
  bool eof;
  int route = io_route(fd, false, flags, &s, &real_fd, &eof);
  if (route < 0 && !eof)
    return -1;
  ssize_t n = 0;
  if (route == 0 || (route > 0 && (flags & MSG_ERRQUEUE)))
    n = libc_real()->recvmsg(real_fd, m, flags);
  else if (route > 0)
    n = conn_readv(&s->conn, fd, m->msg_iov, (int)m->msg_iovlen, flags);
  if (n >= 0 && (route < 0 || (route > 0 && !(flags & MSG_ERRQUEUE))))
    n = nothing_else(m, n, flags);
  if (s && route >= 0)
    sock_put(s);
  return n;
}

/* What TCP says to control data: most of it is ignored, descriptors among it; nonsense is EINVAL. */
static bool control_is_fine(const struct msghdr *m) {
  struct msghdr copy = *m;
  if (!m->msg_control || m->msg_controllen < sizeof(struct cmsghdr))
    return true;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
    const char *end = (const char *)m->msg_control + m->msg_controllen;
    if (c->cmsg_len < sizeof *c || c->cmsg_len > (size_t)(end - (const char *)c))
      return false;
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_CREDENTIALS)
      return false; /* SO_MARK, SO_TIMESTAMPING, SCM_TXTIME: they would have to reach the kernel's segments */
  }
  return true;
}

static ssize_t message_out(int fd, const struct msghdr *m, int flags) {
  int odd = header(m);
  if (!odd && m->msg_name && m->msg_namelen > 0 &&
      !io_there(m->msg_name,
                m->msg_namelen < sizeof(struct sockaddr_storage) ? m->msg_namelen : sizeof(struct sockaddr_storage)))
    odd = EFAULT;
  if (!odd && m->msg_controllen > INT_MAX)
    odd = ENOBUFS;
  if (!odd && m->msg_control && !io_there(m->msg_control, m->msg_controllen))
    odd = EFAULT;
  if (!odd && !control_is_fine(m))
    odd = EINVAL;
  if (odd)
    return fail(odd);
  return io_send(fd, m->msg_iov, m->msg_iovlen, flags);
}

/* Descriptors from other processes: fresh numbers, and never a connection in clear that the rules cover. */
static void received(const struct msghdr *m) {
  struct msghdr copy = *m;
  if (!m->msg_control || m->msg_controllen < CMSG_LEN(sizeof(int)))
    return;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c && c->cmsg_len >= CMSG_LEN(0); c = CMSG_NXTHDR(&copy, c)) {
    size_t n =
        c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    for (size_t i = 0; i < n; i++) {
      int passed;
      memcpy(&passed, CMSG_DATA(c) + i * sizeof passed, sizeof passed);
      fdtab_fresh(passed);
      if (!shared_received(passed, "a descriptor that was passed to this program"))
        listener_found(passed);
    }
  }
}

HOOK ssize_t recvmsg(int fd, struct msghdr *m, int flags) {
  if (fdtab_plain(fd)) {
    ssize_t n = libc_real()->recvmsg(fd, m, flags);
    if (n >= 0)
      received(m);
    return n;
  }
  return message_in(fd, m, flags);
}

/* A protected connection goes to another process as the relay's: that one has no keys for it. (A stand-in goes as it
 * is: whoever receives it knows it by its name.) false: it cannot, and must not go in clear. */
static bool may_pass(const struct msghdr *m) {
  if (!fdtab_marked() || pages_readable(m, sizeof *m) != sizeof *m || !m->msg_control ||
      m->msg_controllen < sizeof(struct cmsghdr) || m->msg_controllen > INT_MAX ||
      pages_readable(m->msg_control, m->msg_controllen) != m->msg_controllen)
    return true; /* nothing passes, or the kernel says what is wrong */
  struct msghdr copy = *m;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c && c->cmsg_len >= CMSG_LEN(0); c = CMSG_NXTHDR(&copy, c)) {
    size_t n =
        c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    for (size_t i = 0; i < n; i++) {
      int passed;
      memcpy(&passed, CMSG_DATA(c) + i * sizeof passed, sizeof passed);
      if (fdtab_is_hidden(passed)) {
        errno = EBADF;
        return false;
      }
      if (relay_needed(passed) && relay_convert(passed, "a descriptor that is passed to another process") != 0) {
        errno = EPERM;
        return false;
      }
      if ((unsigned)passed < FDTAB_MAX && fdtab_plain(passed) && (atomic_load(&fdtab_flags[passed]) & FDF_TCP))
        shared_mark(passed, false); /* whoever gets it may connect it */
    }
  }
  return true;
}

HOOK ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
  if ((flags & MSG_FASTOPEN) && pages_readable(m, sizeof *m) == sizeof *m && m->msg_name) {
    int rc = pending_fastopen(fd, m->msg_name, m->msg_namelen);
    if (rc < 0)
      return -1;
    if (rc > 0)
      flags &= ~MSG_FASTOPEN;
  }
  if (fdtab_plain(fd))
    return !may_pass(m) ? -1 : libc_real()->sendmsg(fd, m, flags);
  return message_out(fd, m, flags);
}

/* Messages that went through before one failed count, and then there was no error. */
static int counted(unsigned done, unsigned n, int keep) {
  if (done == 0 && n != 0)
    return -1;
  errno = keep;
  return (int)done;
}

static int send_each(int fd, struct mmsghdr *v, unsigned n, int flags) {
  unsigned done = 0;
  int keep = errno;
  while (done < n && done < IOV_MAX) {
    ssize_t sent = sendmsg(fd, &v[done].msg_hdr, flags);
    if (sent >= 0 && pages_writable(&v[done], sizeof *v) != sizeof *v)
      sent = fail(EFAULT);
    if (sent < 0)
      break;
    v[done++].msg_len = (unsigned)sent;
  }
  return counted(done, n, keep);
}

static bool is_over(const struct timespec *until) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

/* The timeout is looked at between messages only, as the kernel does (recvmmsg(2), BUGS). */
HOOK int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout) {
  if (fdtab_plain(fd)) {
    int got = libc_real()->recvmmsg(fd, v, n, flags, timeout);
    for (int i = 0; i < got; i++)
      received(&v[i].msg_hdr);
    return got;
  }
  struct timespec until = {0};
  if (timeout && !io_there(timeout, sizeof *timeout))
    return -1;
  if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999)) {
    errno = EINVAL;
    return -1;
  }
  if (timeout) {
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout->tv_sec;
    until.tv_nsec += timeout->tv_nsec;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
  }
  unsigned done = 0;
  int keep = errno, error = 0;
  int pass = flags & ~MSG_WAITFORONE;
  socklen_t size = sizeof error;
  /* It tells a pending error before it looks at what has come. */
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0)
    return (int)fail(error);
  while (done < n && done < IOV_MAX) {
    ssize_t got = message_in(fd, &v[done].msg_hdr, pass);
    if (got >= 0 && pages_writable(&v[done], sizeof *v) != sizeof *v)
      got = fail(EFAULT);
    if (got < 0)
      break;
    v[done++].msg_len = (unsigned)got;
    if (flags & MSG_WAITFORONE)
      pass |= MSG_DONTWAIT;
    if (got == 0 || (timeout && is_over(&until)))
      break;
  }
  return counted(done, n, keep);
}

HOOK int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags) {
  if (flags & MSG_FASTOPEN) /* may connect: one by one, and the first decides */
    return send_each(fd, v, n, flags);
  if (fdtab_plain(fd)) {
    for (unsigned i = 0; i < n && fdtab_marked() && pages_readable(&v[i], sizeof *v) == sizeof *v; i++) {
      if (!may_pass(&v[i].msg_hdr))
        return -1;
    }
    return libc_real()->sendmmsg(fd, v, n, flags);
  }
  unsigned done = 0;
  int keep = errno;
  while (done < n && done < IOV_MAX) {
    size_t want = 0;
    const struct msghdr *m = &v[done].msg_hdr;
    ssize_t sent = message_out(fd, m, flags);
    if (sent >= 0 && pages_writable(&v[done], sizeof *v) != sizeof *v)
      sent = fail(EFAULT);
    if (sent < 0)
      break;
    for (size_t i = 0; i < m->msg_iovlen; i++)
      want += m->msg_iov[i].iov_len;
    v[done++].msg_len = (unsigned)sent;
    if ((size_t)sent < want)
      break;
  }
  return counted(done, n, keep);
}
