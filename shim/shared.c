/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared.c - sockets with holders that the table of this process knows nothing of (see shared.h). It never lets a
 * byte onto a connection that the rules cover.
 */
#include "shared.h"

#include "libc.h"
#include "pending.h"
#include "plain.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static _Atomic bool ever; /* a socket of this process, or of the one it was forked from, has been marked */

/* enum of <netinet/tcp.h>; -1: no TCP socket. */
static int tcp_state(int fd) {
  uint8_t state = 0;
  socklen_t len = sizeof state;
  int keep = errno, rc = libc_real()->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len);
  errno = keep;
  return rc == 0 && len == sizeof state ? state : -1;
}

void shared_mark(int fd, bool connected) {
  int state = (unsigned)fd < FDTAB_MAX && fdtab_plain(fd) ? tcp_state(fd) : -1;
  if ((state == TCP_ESTABLISHED && !connected) || state == TCP_LISTEN)
    atomic_fetch_or(&fdtab_flags[fd], FDF_SETTLED);
  if (state < 0 || state == TCP_LISTEN || (state != TCP_CLOSE && !connected))
    return;
  struct sock *s = sock_new(SOCK_SHARED);
  if (!s)
    return; /* no memory: fork() is not going to succeed either */
  atomic_store(&ever, true);
  uint8_t flags = atomic_exchange(&fdtab_flags[fd], 0);
  fdtab_set(fd, s);
  fdtab_mark(fd, flags);
  sock_put(s);
}

void shared_again(int fd) {
  if (atomic_load_explicit(&ever, memory_order_relaxed))
    shared_mark(fd, false);
}

void shared_before_fork(void) {
  for (int fd = fdtab_next_flagged(0, FDF_TCP); fd >= 0; fd = fdtab_next_flagged(fd + 1, FDF_TCP)) {
    if (fdtab_plain(fd) && !(atomic_load(&fdtab_flags[fd]) & (FDF_PLAIN | FDF_SETTLED)))
      shared_mark(fd, false);
  }
}

bool shared_is(int fd) {
  struct sock *s = fdtab_plain(fd) ? NULL : fdtab_get(fd);
  bool yes = s && atomic_load(&s->kind) == SOCK_SHARED;
  if (s)
    sock_put(s);
  return yes;
}

bool shared_is_closed(int fd) { return tcp_state(fd) == TCP_CLOSE; }

static void let_go(int fd) {
  uint8_t flags = atomic_exchange(&fdtab_flags[fd], 0); /* it is what it was, and watched where it was */
  fdtab_fresh(fd);
  atomic_store(&fdtab_flags[fd], flags);
}

bool shared_release(int fd) {
  int state = tcp_state(fd);
  if (state >= 0 && state != TCP_CLOSE && state != TCP_LISTEN)
    return false;
  let_go(fd);
  return true;
}

/* -- a connection that this process did not make -- */

/* Not knowing is no reason to talk in plaintext; a rule that lets plaintext through is. */
static bool must_be_protected(enum rules_kind kind, const struct sockaddr *sa, socklen_t len) {
  struct rules_entry rule;
  int managed = session_match(kind, sa, len, &rule);
  return managed < 0 || (managed == 1 && rule.mode == RULES_ENFORCE);
}

/* 1: the rules cover it; 0: they do not; -1: it is not connected (yet). */
static int is_managed_connection(int fd) {
  struct sockaddr_storage local, remote;
  socklen_t local_len = sizeof local, remote_len = sizeof remote;
  int keep = errno, managed = -1;
  if (libc_real()->getsockname(fd, (struct sockaddr *)&local, &local_len) == 0 &&
      (local.ss_family == AF_INET || local.ss_family == AF_INET6) &&
      libc_real()->getpeername(fd, (struct sockaddr *)&remote, &remote_len) == 0)
    managed = must_be_protected(RULES_LISTEN, (struct sockaddr *)&local, local_len) ||
              must_be_protected(RULES_CONNECT, (struct sockaddr *)&remote, remote_len);
  errno = keep;
  return managed;
}

static int wait_connected(int fd, int flags) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  int status = libc_real()->fcntl(fd, F_GETFL);
  if ((flags & MSG_DONTWAIT) || status < 0 || (status & O_NONBLOCK)) {
    errno = EAGAIN;
    return -1;
  }
  return libc_real()->poll(&p, 1, -1) < 0 ? -1 : 0;
}

static void complain(int fd) {
  session_complain("descriptor %d was connected by another process, which has the keys of the connection: refused "
                   "here; connect before fork(), or pass the connection on",
                   fd);
}

/* What the kernel says of a socket that is not connected. No byte is sent: it may be, by the time of the call. -1 and
 * errno; 1: it is at its end, as after a refusal that has been told; 0: look again. */
static int not_connected(int fd, bool write, int flags) {
  char byte;
  ssize_t n = write ? libc_real()->send(fd, &byte, 0, flags & (MSG_NOSIGNAL | MSG_DONTWAIT))
                    : libc_real()->recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT | (flags & MSG_OOB));
  if (n < 0)
    return -1;
  if (tcp_state(fd) != TCP_CLOSE)
    return 0;
  if (n == 0 && !write)
    return 1;
  complain(fd); /* bytes are left of a connection that is over: whose, cannot be told any more */
  errno = EACCES;
  return -1;
}

bool shared_refuses(int fd) {
  bool refused = shared_is(fd) && is_managed_connection(fd) == 1;
  if (refused)
    complain(fd);
  return refused;
}

int shared_io(struct sock *s, int fd, bool write, int flags) {
  while (atomic_load(&s->kind) == SOCK_SHARED) {
    int state = tcp_state(fd), rc = 0;
    if (state < 0 || state == TCP_LISTEN)
      break;
    if (state == TCP_CLOSE)
      rc = not_connected(fd, write, flags);
    else if (state == TCP_SYN_SENT || state == TCP_SYN_RECV)
      rc = wait_connected(fd, flags);
    if (rc != 0)
      return rc;
    int managed = is_managed_connection(fd);
    if (managed == 0)
      break;
    if (managed < 0)
      continue;
    complain(fd);
    errno = EACCES;
    return -1;
  }
  let_go(fd);
  return 0;
}

bool shared_received(int fd, const char *what) {
  int pair[2], protocol = 0, keep = errno;
  socklen_t len = sizeof protocol;
  bool refused = false;
  if (libc_real()->getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
      (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) {
    refused = is_managed_connection(fd) == 1;
    if (!refused)
      shared_mark(fd, false);
  }
  if (refused) {
    int cloexec = libc_real()->fcntl(fd, F_GETFD);
    session_complain("%s is a connection that the rules cover, accepted or made by a program without svidwrap: "
                     "closed; wrap that program too, or let this one listen itself",
                     what);
    if (libc_real()->socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
      libc_real()->close(fd);
    } else {
      if (libc_real()->dup3(pair[0], fd, cloexec > 0 ? O_CLOEXEC : 0) < 0)
        libc_real()->close(fd);
      libc_real()->close(pair[0]);
      libc_real()->close(pair[1]);
    }
  }
  errno = keep;
  return refused;
}
