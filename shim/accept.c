/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept.c - accept() on a stand-in listener: a unix connection comes in, the TCP socket that travels over it (of an
 * authenticated peer, or in plaintext where the rule's mode lets it through) takes its number.
 *
 * A connection is never lost here: what cannot be taken is parked with the daemon, which offers it again.
 * The message is looked at with MSG_PEEK before the descriptor in it is received.
 */
#include "conn_pages.h"
#include "headroom.h"
#include "libc.h"
#include "listener.h"
#include "relay.h"
#include "seat.h"
#include "session.h"
#include "spare.h"
#include "stream.h"
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_WAIT_MS 50 /* between the daemon's connect() and its send() */

enum verdict { TAKEN, AGAIN, FAILED };

/* Waits for the message without taking it. 1: there, 0: not yet, -1: gone or not the daemon's. */
static int peek_message(int n, struct wire_handover *m) {
  uint64_t deadline = transport_now_ms() + MESSAGE_WAIT_MS;
  for (;;) {
    ssize_t got = libc_real()->recv(n, m, sizeof *m, MSG_PEEK | MSG_DONTWAIT);
    if (got == (ssize_t)sizeof *m)
      return m->hdr.magic == WIRE_MAGIC && m->hdr.version == WIRE_VERSION && m->hdr.type == WIRE_HANDOVER &&
                     m->hdr.length == sizeof *m
                 ? 1
                 : -1;
    if (got >= 0 || (errno != EAGAIN && errno != EINTR))
      return -1;
    uint64_t now = transport_now_ms();
    if (now >= deadline)
      return 0;
    struct pollfd p = {.fd = n, .events = POLLIN};
    libc_real()->poll(&p, 1, (int)(deadline - now));
  }
}

/* Receives the message for good, with the descriptor in it. The number, -1: none came (truncated). */
static int take_message(int n, struct wire_handover *m) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {.iov_base = m, .iov_len = sizeof *m};
  struct msghdr h = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
  int fd = -1;
  if (libc_real()->recvmsg(n, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *m)
    return -1;
  struct cmsghdr *c = CMSG_FIRSTHDR(&h);
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd)) {
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    fdtab_fresh(fd);
  }
  return fd;
}

static void park(int n) {
  const char byte = HANDOVER_PARK;
  libc_real()->send(n, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Connections that the daemon could not end itself: who waits on them, wakes. */
static void shut_revoked(int fd, struct sock *s, void *arg) {
  (void)arg;
  if (atomic_load(&s->kind) == SOCK_CONN && conn_revoked(&s->conn))
    libc_real()->shutdown(fd, SHUT_RDWR);
}

/* The daemon rang: it is new, or it needs a fresh agent connection. */
static void answer_ring(struct listener *l, uint32_t kind, const struct ucred *from) {
  if (session_is_elsewhere(from->uid)) {
    /* A daemon of root's is new, and looks for its programs. */
  } else if (kind == HANDOVER_REGISTER && session_is_with(from->pid)) {
    /* It rings every stand-in, and there is a session already: by another stand-in, or by a connect(). */
    listener_register(l);
  } else if (kind == HANDOVER_REGISTER) {
    session_follow(from->uid);
    if (session_ready(true) == 0) {
      session_agent(0, NULL, NULL);
      listener_register_all();
    }
  } else if (kind == HANDOVER_AGENT) {
    if (session_ready(false) == 0)
      session_agent(0, NULL, NULL);
  } else if (kind == HANDOVER_SWEEP) {
    fdtab_each(shut_revoked, NULL);
  }
}

/* The daemon had it set until now, to reset what is never accepted. Here an accepted socket has what its listener
 * has, as natively. */
static void inherit_linger(const struct listener *l, int tcp) {
  struct linger native = {0};
  socklen_t len = sizeof native;
  libc_real()->getsockopt(l->real, SOL_SOCKET, SO_LINGER, &native, &len);
  libc_real()->setsockopt(tcp, SOL_SOCKET, SO_LINGER, &native, sizeof native);
}

/* The TCP socket becomes number n: protection first (s; NULL: plaintext), then the number. 0 or a negative errno. */
static int install(const struct listener *l, int n, int tcp, struct sock *s, int flags) {
  inherit_linger(l, tcp);
  conn_take_options(s ? &s->conn : NULL, l->real, tcp);
  if (flags & SOCK_NONBLOCK)
    libc_real()->fcntl(tcp, F_SETFL, libc_real()->fcntl(tcp, F_GETFL) | O_NONBLOCK);
  int rc = s ? fdtab_set(n, s) : 0;
  if (rc == 0 && libc_real()->dup3(tcp, n, flags & SOCK_CLOEXEC ? O_CLOEXEC : 0) < 0) {
    rc = -errno;
    if (s)
      fdtab_close(n);
  }
  return rc;
}

static int install_protected(const struct listener *l, int n, int tcp, const struct wire_handover *m, int flags) {
  struct arena_slot *slot = session_slot(m->arena_id, m->slot);
  if (!slot)
    return -errno;
  struct sock *s = sock_new(SOCK_CONN);
  if (!s)
    return -ENOMEM;
  int rc = conn_take(&s->conn, slot, m->slot_use);
  if (rc == 0)
    rc = install(l, n, tcp, s, flags);
  sock_put(s);
  return rc;
}

/* A number from 0 to 2, because the program runs with a closed standard stream, or another one that was closed from
 * under a stream of the C library's: what that writes there goes past every hook. The connection is the relay's
 * before the number leads to it. */
static int install_standard(const struct listener *l, int n, int tcp, const struct wire_handover *m, int flags) {
  int high = libc_real()->fcntl(tcp, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (high < 0)
    return -errno;
  fdtab_fresh(high);
  int rc = install_protected(l, high, tcp, m, (flags & ~SOCK_CLOEXEC) | SOCK_CLOEXEC);
  if (rc == 0) {
    rc = relay_convert(high, "a standard stream's descriptor");
    if (rc == 0 && libc_real()->dup3(high, n, flags & SOCK_CLOEXEC ? O_CLOEXEC : 0) < 0)
      rc = -errno;
    if (rc == 0)
      fdtab_fresh(n);
  }
  fdtab_leave(high, true);
  fdtab_gone(high);
  return rc;
}

static bool enforced_here(const struct listener *l) {
  struct sockaddr_storage local;
  struct rules_entry rule;
  socklen_t len = sizeof local;
  return libc_real()->getsockname(l->real, (struct sockaddr *)&local, &len) == 0 &&
         session_lookup(RULES_LISTEN, (struct sockaddr *)&local, len, &rule) == 1 && rule.mode == RULES_ENFORCE;
}

/* Do the rules, as they are now, forbid plaintext here? The daemon asks the same before it sends; this is for what
 * lay in the stand-in's queue while they changed. Where another daemon sent it than the one whose rules we have (only
 * one of the processes that share a listener answers a new daemon's ring), its rules count. */
static bool plain_forbidden(const struct listener *l, const struct ucred *from) {
  if (!enforced_here(l))
    return false;
  if (session_is_with(from->pid))
    return true;
  session_follow(from->uid);
  return session_ready(true) != 0 || enforced_here(l);
}

/* The daemon, which has its copy, decides again. */
static enum verdict send_back(int n, struct wire_handover *m) {
  int tcp = take_message(n, m);
  if (tcp >= 0)
    libc_real()->close(tcp);
  park(n);
  libc_real()->close(n);
  return AGAIN;
}

static enum verdict take_into(const struct listener *l, int n, struct wire_handover *m, int flags) {
  bool spared = spare_release();
  int plugs = n <= STDERR_FILENO ? seat_plug() : 0, tcp = plugs >= 0 ? take_message(n, m) : -1;
  if (plugs > 0)
    seat_unplug(plugs);
  if (tcp < 0) {
    park(n); /* at the descriptor limit; the daemon has its copy still */
    libc_real()->close(n);
    spare_open();
    return AGAIN;
  }
  int rc = m->kind == HANDOVER_PLAIN ? install(l, n, tcp, NULL, flags)
           : stream_has(n)           ? install_standard(l, n, tcp, m, flags)
                                     : install_protected(l, n, tcp, m, flags);
  libc_real()->close(tcp);
  if (rc != 0) {
    if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE)
      session_complain_scarce("a connection that came in is closed", -rc);
    else if (rc != -ECONNABORTED) /* revoked before we had it */
      session_complain("a connection could not be taken over: %s", strerror(-rc));
    libc_real()->close(n);
  }
  if (spared || rc != 0)
    spare_open();
  return rc == 0 ? TAKEN : AGAIN;
}

static enum verdict take_connection(const struct listener *l, int n, struct wire_handover *m, int flags) {
  bool room = !spare_helps() && headroom_open();
  enum verdict v = take_into(l, n, m, flags);
  headroom_close(room);
  return v;
}

/* What came in at number n? */
static enum verdict examine(struct listener *l, int n, struct wire_handover *m, int flags) {
  LOCK_NO_CANCEL;
  struct ucred from = {0};
  fdtab_fresh(n);
  if (!transport_peer_trusted(n, &from)) {
    session_complain("user %u connected to a stand-in listener: closed", (unsigned)from.uid);
    libc_real()->close(n);
    return AGAIN;
  }
  int there = peek_message(n, m);
  if (there == 1 && m->kind == HANDOVER_PLAIN && plain_forbidden(l, &from))
    return send_back(n, m);
  if (there == 1 && (m->kind == HANDOVER_CONN || m->kind == HANDOVER_PLAIN))
    return take_connection(l, n, m, flags);
  if (there == 0)
    park(n);
  if (there == 1) {
    take_message(n, m);
    libc_real()->close(n);
    answer_ring(l, m->kind, &from);
    return AGAIN;
  }
  libc_real()->close(n);
  return AGAIN;
}

static int tell_peer(const struct wire_handover *m, struct sockaddr *addr, socklen_t *len) {
  socklen_t have = m->peer_len <= sizeof m->peer ? (socklen_t)m->peer_len : 0;
  if (pages_writable(len, sizeof *len) != sizeof *len)
    return EFAULT;
  if ((int)*len < 0)
    return EINVAL;
  socklen_t n = *len < have ? *len : have;
  if (pages_writable(addr, n) != n)
    return EFAULT;
  memcpy(addr, &m->peer, n);
  *len = have;
  return 0;
}

int listener_accept(struct sock *s, int fd, struct sockaddr *addr, socklen_t *len, int flags) {
  struct wire_handover m;
  int keep = errno;
  if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
    errno = EINVAL;
    return -1;
  }
  for (;;) {
    int n = libc_real()->accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (n < 0)
      return -1;
    if (examine(s->listener, n, &m, flags) != TAKEN)
      continue;
    int odd = addr ? tell_peer(&m, addr, len) : 0;
    if (odd) {
      close(n); /* as the kernel does: it is accepted, and gone */
      errno = odd;
      return -1;
    }
    errno = keep;
    return n;
  }
}
