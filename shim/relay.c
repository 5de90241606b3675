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
#include "fdtab.h"
#include "libc.h"
#include "manners.h"
#include "pending.h"
#include "seat.h"
#include "session.h"
#include "svidwrap/relayname.h"
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/time.h>
#include <unistd.h>

bool relay_needed(int fd) {
  struct sock *s = fdtab_plain(fd) ? NULL : fdtab_get(fd);
  uint32_t kind = s ? atomic_load(&s->kind) : SOCK_UNUSED;
  if (s)
    sock_put(s);
  return kind == SOCK_CONN || kind == SOCK_PENDING || kind == SOCK_FAILED;
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

struct relay_name {
  struct sockaddr_un sun;
  struct sockaddr_storage local, remote;
  socklen_t local_len, remote_len;
};

static bool read_name(int fd, struct relay_name *n) {
  socklen_t len = sizeof n->sun;
  struct ucred cred;
  int keep = errno;
  bool found = libc_real()->getpeername(fd, (struct sockaddr *)&n->sun, &len) == 0 && n->sun.sun_family == AF_UNIX &&
               relayname_read(&n->sun, len, &n->local, &n->local_len, &n->remote, &n->remote_len) == 0 &&
               transport_peer_trusted(fd, &cred);
  errno = keep;
  return found;
}

int relay_address(int fd, bool peer, struct sockaddr_storage *sa, socklen_t *len) {
  struct relay_name n;
  if (!read_name(fd, &n))
    return 0;
  *sa = peer ? n.remote : n.local;
  *len = peer ? n.remote_len : n.local_len;
  return 1;
}

bool relay_inode(int fd, uint32_t *inode) {
  struct relay_name n;
  return read_name(fd, &n) && relayname_inode(&n.sun, inode) == 0;
}

/* A daemon that hangs must not make a program hang that ends with a thousand connections. */
#define HANGS_MS 200
#define PAUSE_MS 10000

/* The connection is being closed (conn_stay_behind): what the daemon gives for it nobody wants, and it sees that. No
 * line for the operator where it does not take it: close() has no answer for that either. */
static int leave_behind(struct conn *c, int fd, int *pair) {
  static _Atomic uint64_t not_before;
  LOCK_NO_CANCEL;
  struct wire_relay m = {.arena_id = arenas_of(c->slot), .slot = c->slot->index, .slot_use = c->use};
  struct wire_reply reply;
  int fds[WIRE_FDS_MAX] = {-1, -1}, keep = errno;
  uint64_t begun = transport_now_ms(), now;
  if (begun < atomic_load(&not_before))
    return -1;
  session_header(&m.hdr, WIRE_RELAY, sizeof m);
  int rc = session_tell(&m, sizeof m, offsetof(struct wire_relay, token), fd, &reply, fds);
  if (rc != 0 && (now = transport_now_ms()) - begun > HANGS_MS)
    atomic_store(&not_before, now + PAUSE_MS);
  if (pair && rc == 0) {
    *pair = fds[0];
    fds[0] = -1;
    rc = *pair >= 0 ? 0 : -1;
  }
  for (int i = 0; i < WIRE_FDS_MAX; i++) {
    if (fds[i] >= 0)
      libc_real()->close(fds[i]);
  }
  errno = keep;
  return rc;
}

void relay_init(void) { conn_stay_behind = leave_behind; }

/* -- the numbers -- */

struct replacing {
  const struct sock *sock;
  int pair;
};

static void replace_if_same(int fd, struct sock *s, void *arg) {
  const struct replacing *r = arg;
  struct seat t;
  if (s != r->sock)
    return;
  seat_leave(&t, fd);
  seat_take(&t, r->pair, 0);
}

static void replace_all(const struct sock *s, int pair) {
  struct replacing r = {s, pair};
  fdtab_each(replace_if_same, &r);
  libc_real()->close(pair);
}

int relay_convert(int fd, const char *what) {
  LOCK_NO_CANCEL;
  struct sock *s = fdtab_get(fd);
  int rc = -EBADF, keep = errno;
  if (!s)
    return rc;
  struct giving g = {.tcp = fd, .pair = -1};
  if (atomic_load(&s->kind) == SOCK_PENDING)
    pending_await(s, fd);
  g.slot = s->conn.slot;
  if (atomic_load(&s->kind) == SOCK_CONN)
    rc = conn_move(&s->conn, fd, give, &g);
  else if (atomic_load(&s->kind) == SOCK_PENDING)
    rc = -EINPROGRESS;
  if (rc == 0) {
    manners_copy(fd, g.pair);
    replace_all(s, g.pair);
  } else if (relay_follow(s, fd)) { /* another process was first, maybe just now */
    rc = 0;
  } else {
    session_complain("%s cannot become a protected connection that is relayed: %s%s%s", what, strerror(-rc),
                     g.text[0] ? ": " : "", g.text);
  }
  sock_put(s);
  errno = keep;
  return rc;
}

/* A thread that waits on the TCP socket would not hear of it there: where there is another one, it is left. */
bool relay_shutdown(struct sock *s, int fd, int how) {
  int pair = -1;
  if (how < SHUT_RD || how > SHUT_RDWR || !__libc_single_threaded)
    return false;
  LOCK_NO_CANCEL;
  if (!conn_shut_behind(&s->conn, fd, how, &pair))
    return false;
  int keep = errno;
  fdtab_fresh(pair);
  manners_copy(fd, pair);
  libc_real()->shutdown(pair, SHUT_RDWR);
  replace_all(s, pair);
  errno = keep;
  return true;
}

/* -- what another process moved -- */

static _Atomic bool forked;

void relay_forked(void) {
  if (fdtab_any())
    atomic_store_explicit(&forked, true, memory_order_relaxed);
}

bool relay_follow(struct sock *s, int fd) {
  if (atomic_load(&s->kind) != SOCK_CONN || !conn_moved(&s->conn))
    return false;
  LOCK_NO_CANCEL;
  int keep = errno;
  struct giving g = {.slot = s->conn.slot, .tcp = fd, .pair = -1};
  int rc = give(&g);
  if (rc == 0)
    replace_all(s, g.pair);
  errno = keep;
  return rc == 0;
}

void relay_follow_number(int fd) {
  if (!atomic_load_explicit(&forked, memory_order_relaxed) || fdtab_plain(fd))
    return;
  struct sock *s = fdtab_get(fd);
  if (s) {
    (void)relay_follow(s, fd);
    sock_put(s);
  }
}
