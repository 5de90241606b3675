/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - hands a connection over to the daemon's relay, and puts the pair's end over its numbers: with the
 * program's manners (O_NONBLOCK, timeouts, close-on-exec), and in the epoll sets where they were.
 *
 * The order: both sides locked, the daemon has the keys, and only then does the first number change. A number never
 * leads to the TCP socket without protection in between.
 */
#include "relay.h"

#include "arenas.h"
#include "epollreg.h"
#include "fdtab.h"
#include "libc.h"
#include "session.h"
#include "svidwrap/relayname.h"
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

bool relay_needed(int fd) {
  struct sock *s = fdtab_plain(fd) ? NULL : fdtab_get(fd);
  bool yes = s && atomic_load(&s->kind) != SOCK_LISTENER;
  if (s)
    sock_put(s);
  return yes;
}

/* -- the daemon -- */

struct giving {
  const struct arena_slot *slot;
  int tcp, pair;
  char text[WIRE_TEXT_MAX];
};

static int give(void *arg) {
  struct giving *g = arg;
  struct wire_relay m = {.arena_id = arenas_of(g->slot), .slot = g->slot->index, .slot_use = g->slot->use};
  struct wire_reply reply;
  int fds[WIRE_FDS_MAX] = {-1, -1};
  session_header(&m.hdr, WIRE_RELAY, sizeof m);
  if (session_request(&m, sizeof m, offsetof(struct wire_relay, token), g->tcp, &reply, fds, NULL) != 0)
    return -errno;
  memcpy(g->text, reply.text, sizeof g->text);
  g->text[sizeof g->text - 1] = 0;
  if (reply.status != WIRE_OK || fds[0] < 0)
    return reply.err > 0 ? -reply.err : -EACCES;
  g->pair = fds[0];
  fdtab_fresh(g->pair);
  return 0;
}

int relay_address(int fd, bool peer, struct sockaddr_storage *sa, socklen_t *len) {
  struct sockaddr_un sun;
  struct sockaddr_storage local, remote;
  socklen_t sun_len = sizeof sun, local_len, remote_len;
  struct ucred cred;
  int keep = errno, found = 0;
  if (libc_real()->getpeername(fd, (struct sockaddr *)&sun, &sun_len) == 0 && sun.sun_family == AF_UNIX &&
      relayname_read(&sun, sun_len, &local, &local_len, &remote, &remote_len) == 0 &&
      transport_peer_trusted(fd, &cred)) {
    *sa = peer ? remote : local;
    *len = peer ? remote_len : local_len;
    found = 1;
  }
  errno = keep;
  return found;
}

/* -- the numbers -- */

static void copy_manners(int from, int to) {
  static const int timeouts[] = {SO_RCVTIMEO, SO_SNDTIMEO};
  int flags = libc_real()->fcntl(from, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK))
    libc_real()->fcntl(to, F_SETFL, libc_real()->fcntl(to, F_GETFL) | O_NONBLOCK);
  for (size_t i = 0; i < 2; i++) {
    struct timeval t;
    socklen_t len = sizeof t;
    if (libc_real()->getsockopt(from, SOL_SOCKET, timeouts[i], &t, &len) == 0)
      libc_real()->setsockopt(to, SOL_SOCKET, timeouts[i], &t, sizeof t);
  }
}

#define SETS 16

struct watched {
  int epfd;
  uint32_t events;
  uint64_t data;
};

/* The daemon holds the TCP socket on, so the kernel would keep on reporting it: out of every epoll set. */
static size_t leave_sets(int fd, struct watched sets[SETS]) {
  size_t n = 0;
  for (int ep = fdtab_next_known(0); ep >= 0 && n < SETS; ep = fdtab_next_known(ep + 1)) {
    if (!(atomic_load(&fdtab_flags[ep]) & FDF_EPOLL))
      continue;
    sets[n].epfd = ep;
    if (epollreg_registered(ep, fd, &sets[n].events, &sets[n].data) &&
        libc_real()->epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL) == 0)
      n++;
  }
  return n;
}

static void replace(int fd, int pair) {
  struct watched sets[SETS];
  size_t n = leave_sets(fd, sets);
  int flags = libc_real()->fcntl(fd, F_GETFD);
  fdtab_leave(fd, false);
  if (libc_real()->dup3(pair, fd, flags >= 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0) < 0)
    fdtab_gone(fd);
  else
    fdtab_stays(fd);
  for (size_t i = 0; i < n; i++) {
    struct epoll_event e = {.events = sets[i].events, .data.u64 = sets[i].data};
    libc_real()->epoll_ctl(sets[i].epfd, EPOLL_CTL_ADD, fd, &e);
  }
}

struct replacing {
  const struct sock *sock;
  int pair;
};

static void replace_if_same(int fd, struct sock *s, void *arg) {
  const struct replacing *r = arg;
  if (s == r->sock)
    replace(fd, r->pair);
}

int relay_convert(int fd, const char *what) {
  struct sock *s = fdtab_get(fd);
  int rc = -EBADF;
  if (!s)
    return rc;
  struct giving g = {.slot = s->conn.slot, .tcp = fd, .pair = -1};
  if (atomic_load(&s->kind) == SOCK_CONN)
    rc = conn_move(&s->conn, fd, give, &g);
  else if (atomic_load(&s->kind) == SOCK_PENDING)
    rc = -EINPROGRESS;
  if (rc == 0) {
    struct replacing r = {s, g.pair};
    copy_manners(fd, g.pair);
    fdtab_each(replace_if_same, &r);
    libc_real()->close(g.pair);
  } else {
    session_complain("%s cannot become a protected connection that is relayed: %s%s%s", what, strerror(-rc),
                     g.text[0] ? ": " : "", g.text);
  }
  sock_put(s);
  return rc;
}
