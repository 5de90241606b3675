/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending.c - connect() to a managed address: from the call to the question put to the daemon.
 *
 * From the moment the rules say "managed" nothing in here lets a byte of the program onto the TCP socket:
 * the number is PENDING before the real connect() is made, and becomes plain again only when TCP is known
 * not to be connected.
 */
#include "pending_int.h"

#include "epollreg.h"
#include "conn_pages.h"
#include "headroom.h"
#include "libc.h"
#include "plain.h"
#include "relay.h"
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef AF_SMC
#define AF_SMC 43
#endif
#ifndef IPPROTO_SMC /* Linux 6.11: SMC by socket(AF_INET) */
#define IPPROTO_SMC 256
#endif

#define CHUNK_BYTES 65536u
#define MANY        8u
#define REFUSED     "connect() is refused"
#define DEADLINE_MS 180000u /* TCP gives a SYN 127 s, the daemon a handshake 10 s by default */

_Atomic uint32_t pending_count;
_Atomic uint32_t pending_blind;
struct lock pending_gate;

static struct lock pool_lock;
static struct pending *free_pendings;

uint64_t pending_now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* -- the pool -- */

static void pool_grow(void) {
  struct pending *p = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return;
  for (size_t i = 0; i < CHUNK_BYTES / sizeof *p; i++) {
    p[i].next_free = free_pendings;
    free_pendings = &p[i];
  }
}

static void pool_give(struct pending *p) {
  lock_signals saved;
  lock_take(&pool_lock, &saved);
  p->next_free = free_pendings;
  free_pendings = p;
  lock_drop(&pool_lock, &saved);
}

void pending_pool_reset(void) { lock_reset(&pool_lock); }

struct pending *pending_new(void) {
  lock_signals saved;
  lock_take(&pool_lock, &saved);
  if (!free_pendings)
    pool_grow();
  struct pending *p = free_pendings;
  if (p)
    free_pendings = p->next_free;
  lock_drop(&pool_lock, &saved);
  if (!p)
    return NULL;
  memset(p, 0, sizeof *p);
  p->reply = p->carried = -1;
  p->started_ms = pending_now_ms();
  p->deadline_ms = p->started_ms + DEADLINE_MS;
  atomic_store(&p->refs, 1);
  atomic_store(&p->asked, 1);
  p->cell = cell_new();
  if (p->cell)
    return p;
  pool_give(p);
  return NULL;
}

struct pending *pending_pin(struct sock *s) {
  lock_signals saved;
  lock_take(&s->lock, &saved);
  struct pending *p = s->pending;
  if (p)
    atomic_fetch_add(&p->refs, 1);
  lock_drop(&s->lock, &saved);
  return p;
}

void pending_set_blind(struct pending *p, bool blind) {
  if (atomic_exchange(&p->blind, blind) != blind)
    atomic_fetch_add(&pending_blind, blind ? 1 : UINT32_MAX);
}

void pending_unpin(struct pending *p) {
  if (atomic_fetch_sub(&p->refs, 1) != 1)
    return;
  pending_set_blind(p, false);
  fdtab_unhide_close(&p->reply);
  cell_unmap(p->cell);
  pool_give(p);
}

/* -- the TCP socket -- */

int pending_real_connect(int fd, const struct sockaddr *sa, socklen_t len) {
  return libc_real()->connect(fd, sa, len);
}

bool pending_disconnect(int fd) {
  const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  return libc_real()->connect(fd, &nobody, sizeof nobody) == 0;
}

static bool option_int(int fd, int option, int *value) {
  socklen_t len = sizeof *value;
  return libc_real()->getsockopt(fd, SOL_SOCKET, option, value, &len) == 0;
}

/* -- asking the daemon -- */

/* A second number for the TCP socket, taken while close() cannot get between: what is sent is this socket,
 * whatever other threads do to its number meanwhile. */
static int carry(struct sock *s, struct pending *p, int fd) {
  lock_signals saved;
  int rc = -EBADF;
  lock_take(&s->lock, &saved);
  if (!p->closed && atomic_load(&fdtab_entry[fd]) == (uintptr_t)s) {
    p->carried = libc_real()->fcntl(fd, F_DUPFD_CLOEXEC, 3);
    rc = p->carried >= 0 ? 0 : -errno;
  }
  lock_drop(&s->lock, &saved);
  if (rc == 0)
    fdtab_fresh(p->carried);
  return rc;
}

static int dial_here(struct pending *p) {
  int reply = session_dial();
  if (reply < 0)
    return -errno;
  int rc = fdtab_hide_as(reply, &p->reply);
  if (rc != 0)
    libc_real()->close(reply);
  return rc;
}

/* Where many connects are under way their reply sockets stay out of the numbers that are the program's. */
static int dial(struct pending *p) {
  LOCK_NO_CANCEL;
  bool room = atomic_load_explicit(&pending_count, memory_order_relaxed) >= MANY && headroom_open();
  int rc = dial_here(p);
  if (rc == -EMFILE && !room && (room = headroom_open()))
    rc = dial_here(p);
  headroom_close(room);
  if (rc != 0)
    session_complain_scarce(REFUSED, -rc);
  return rc;
}

int pending_ask(struct sock *s, struct pending *p, int fd) {
  LOCK_NO_CANCEL;
  int keep = errno;
  int rc = p->reply < 0 ? dial(p) : 0;
  if (rc != 0)
    return rc;
  epollreg_reply(p);
  pending_set_blind(p, false);
  conn_take_options(&s->conn, fd, fd);
  struct wire_connect m = {.token = session_token(),
                           .rule = p->rule.rule,
                           .flags = p->in_progress ? WIRE_CONNECT_IN_PROGRESS : 0,
                           .dest_len = p->dest_len,
                           .dest = p->dest,
                           .hosts = p->hosts};
  session_header(&m.hdr, WIRE_CONNECT, sizeof m);
  rc = carry(s, p, fd);
  if (rc != 0 && rc != -EMFILE)
    return rc;
  /* At the limit of descriptors the number itself must do. */
  rc = session_send(p->reply, &m, sizeof m, rc == 0 ? p->carried : fd) == 0 ? 0 : -errno;
  if (p->carried >= 0)
    libc_real()->close(p->carried);
  p->carried = -1;
  errno = keep;
  return rc;
}

/* -- connect() -- */

static bool same_file(int a, int b) {
  struct stat x, y;
  return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int set_number(int fd, struct sock *s) {
  /* The number stays what it was: a TCP socket, watched where it is watched. */
  uint8_t flags = atomic_exchange(&fdtab_flags[fd], 0);
  int rc = fdtab_set(fd, s);
  atomic_store(&fdtab_flags[fd], flags);
  return rc;
}

/* dup() before connect(): the other numbers are PENDING too. */
static void set_aliases(int fd, struct sock *s) {
  struct rlimit limit;
  if (!(atomic_load(&fdtab_flags[fd]) & FDF_ALIAS) || getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  for (int n = 0; n < FDTAB_MAX && (rlim_t)n < limit.rlim_cur; n++) {
    if (n != fd && (atomic_load_explicit(&fdtab_flags[n], memory_order_relaxed) & FDF_ALIAS) &&
        (fdtab_plain(n) || shared_is(n)) && same_file(fd, n))
      set_number(n, s);
  }
}

/* fd becomes PENDING, unless another thread got there first (*taken). NULL and errno. */
static struct sock *begin(int fd, struct pending *p, bool *taken) {
  struct sock *s = sock_new(SOCK_PENDING);
  lock_signals saved;
  if (!s) {
    errno = ENOMEM;
    return NULL;
  }
  s->pending = p;
  lock_take(&pending_gate, &saved);
  *taken = !fdtab_plain(fd);
  if (!*taken) {
    *taken = set_number(fd, s) != 0;
    if (!*taken) {
      atomic_fetch_add(&pending_count, 1);
      set_aliases(fd, s);
    }
  }
  lock_drop(&pending_gate, &saved);
  if (!*taken)
    return s;
  s->pending = NULL;
  sock_put(s);
  return NULL;
}

/* The real connect() failed at once: all is as before. */
static void undo(struct sock *s, struct pending *p, int fd, int err) {
  LOCK_NO_CANCEL;
  lock_signals saved, inner;
  lock_take(&pending_gate, &saved);
  lock_take(&s->lock, &inner);
  bool mine = s->pending == p;
  if (mine) {
    s->pending = NULL;
    atomic_store(&s->kind, SOCK_FAILED);
    atomic_fetch_sub(&pending_count, 1);
    cell_drop(p->cell);
  }
  lock_drop(&s->lock, &inner);
  lock_drop(&pending_gate, &saved);
  epollreg_back(p, true);
  if (!mine)
    return;
  pending_unmanage(s, fd);
  if (err == EISCONN || err == EALREADY) /* somebody else connected it meanwhile */
    shared_mark(fd, true);
  pending_unpin(p);
}

/* A blocking connect(): TCP is up (or was interrupted: tcp_errno); the daemon is asked, and the answer awaited. */
static int finish(struct sock *s, struct pending *p, int fd, int tcp_errno) {
  int rc = pending_ask(s, p, fd);
  if (rc != 0)
    pending_fail(s, p, fd, p->closed ? EBADF : -rc);
  else if (tcp_errno) {
    errno = tcp_errno;
    return -1;
  }
  int64_t limit = pending_socket_timeout(fd, SO_SNDTIMEO);
  if (limit >= 0) {
    int64_t spent = (int64_t)(pending_now_ms() - p->started_ms);
    limit = spent < limit ? limit - spent : 1;
  }
  rc = pending_wait(s, p, fd, limit);
  if (rc == 0)
    return pending_result(s, p, fd);
  errno = rc == -ETIMEDOUT ? EINPROGRESS : -rc;
  return -1;
}

struct all_out {
  struct sock *s;
  struct pending *p;
};
static void one_out(int fd, struct sock *s, void *arg) {
  struct all_out *a = arg;
  if (s == a->s)
    epollreg_out(a->p, fd);
}

static int proceed(struct sock *s, struct pending *p, int fd, bool nonblock) {
  pending_set_blind(p, !nonblock);
  if (atomic_load(&s->fds) == 1)
    epollreg_out(p, fd);
  else
    fdtab_each(one_out, &(struct all_out){s, p});
  int rc = pending_real_connect(fd, (const struct sockaddr *)&p->dest, p->dest_len);
  int failed = rc == 0 ? 0 : errno;
  if (failed && failed != EINPROGRESS && failed != EINTR) {
    undo(s, p, fd, failed);
    errno = failed;
    return -1;
  }
  p->in_progress = failed != 0;
  if (!nonblock)
    return finish(s, p, fd, failed);
  rc = pending_ask(s, p, fd);
  if (rc != 0) {
    pending_fail(s, p, fd, -rc);
    return pending_result(s, p, fd);
  }
  errno = EINPROGRESS;
  return -1;
}

int pending_connect(int fd, const struct sockaddr *sa, socklen_t len, const struct rules_entry *rule,
                    const struct rules_hosts *hosts) {
  int flags = libc_real()->fcntl(fd, F_GETFL), keep = errno;
  if (flags < 0)
    return -1;
  bool nonblock = (flags & O_NONBLOCK) != 0, taken = false;
  struct pending *p = pending_new();
  if (!p || len > (socklen_t)sizeof p->dest) {
    errno = p ? EINVAL : ENOBUFS;
    if (!p)
      session_complain_scarce(REFUSED, ENOBUFS);
    if (p)
      cell_drop(p->cell), pending_unpin(p);
    return -1;
  }
  p->rule = *rule;
  p->hosts = *hosts;
  p->dest_len = len;
  memcpy(&p->dest, sa, len);
  /* A socket that does not block has its reply socket before TCP starts: it is what is watched from now on. */
  int rc = nonblock ? dial(p) : 0;
  atomic_fetch_add(&p->refs, 1);
  struct sock *s = rc == 0 ? begin(fd, p, &taken) : NULL;
  if (!s) {
    int failed = rc != 0 ? -rc : errno;
    cell_drop(p->cell);
    pending_unpin(p);
    pending_unpin(p);
    if (taken)
      return pending_hook_connect(fd, sa, len);
    errno = failed;
    return -1;
  }
  struct pending *outer = pending_waiting;
  pending_waiting = p;
  rc = proceed(s, p, fd, nonblock);
  pending_waiting = outer;
  pending_unpin(p);
  sock_put(s);
  if (rc == 0)
    errno = keep;
  return rc;
}

/* -- the hook -- */

/* 1: a TCP socket; 0: something else, which is none of ours; -1: TCP under another name, which cannot be protected.
 */
static int looks_like_tcp(int fd) {
  int type, domain, protocol;
  if (!option_int(fd, SO_TYPE, &type) || type != SOCK_STREAM || !option_int(fd, SO_DOMAIN, &domain))
    return 0;
  if (domain == AF_SMC)
    return -1;
  if ((domain != AF_INET && domain != AF_INET6) || !option_int(fd, SO_PROTOCOL, &protocol))
    return 0;
  return protocol == IPPROTO_SMC ? -1 : protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
}

int pending_connect_protected(int fd, const struct sockaddr *sa, socklen_t len, const struct rules_entry *rule,
                              const struct rules_hosts *hosts) {
  if ((unsigned)fd >= FDTAB_MAX) {
    session_complain("descriptor %d is too high to be protected: connect() is refused", fd);
    errno = EMFILE;
    return -1;
  }
  if (looks_like_tcp(fd) < 0) {
    session_complain("a connection over SMC cannot be protected: refused");
    errno = EACCES;
    return -1;
  }
  if (session_agent_once() != 0)
    return -1;
  return pending_is_standard(fd) ? pending_connect_standard(fd, sa, len, rule, hosts)
                                 : pending_connect(fd, sa, len, rule, hosts);
}

static int connect_unmanaged(int fd, const struct sockaddr *sa, socklen_t len) {
  int rc = libc_real()->connect(fd, sa, len);
  if (rc == 0 && (unsigned)fd < FDTAB_MAX && (atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed) & FDF_TCP))
    atomic_fetch_or(&fdtab_flags[fd], FDF_SETTLED);
  return rc;
}

static bool none_of_ours(int fd) {
  int keep = errno;
  bool none = looks_like_tcp(fd) == 0;
  errno = keep;
  return none;
}

static int connect_other(int fd, const struct sockaddr *sa, socklen_t len) {
  struct sockaddr_storage peer;
  int rc = libc_real()->connect(fd, sa, len);
  if (rc != 0 && errno == EINVAL && relay_address(fd, true, &peer, &(socklen_t){0}))
    errno = EISCONN; /* it was TCP */
  return rc;
}

static int connect_plain(int fd, const struct sockaddr *sa, socklen_t len) {
  struct sockaddr_storage copy; /* what is judged is what is connected to, whoever writes to sa meanwhile */
  struct rules_entry rule;
  struct rules_hosts hosts;
  int keep = errno;
  /* What socket() made as a stream of the internet is asked only where a rule covers the address. It may be SCTP. */
  bool marked = (unsigned)fd < FDTAB_MAX && (atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed) & FDF_TCP);
  if (len > (socklen_t)sizeof copy || (!marked && none_of_ours(fd)))
    return connect_other(fd, sa, len);
  memcpy(&copy, sa, len);
  if (plain_under_way(fd))
    return libc_real()->connect(fd, (struct sockaddr *)&copy, len);
  if ((unsigned)fd < FDTAB_MAX)
    atomic_fetch_and(&fdtab_flags[fd], (uint8_t)~FDF_SETTLED);
  int managed = session_match_connect((struct sockaddr *)&copy, len, &hosts, &rule), failed = errno;
  errno = keep;
  if (managed != 0 && marked && none_of_ours(fd))
    return connect_other(fd, sa, len);
  if (managed < 0) {
    errno = failed;
    return -1;
  }
  if (managed == 0)
    return connect_unmanaged(fd, (struct sockaddr *)&copy, len);
  uint32_t why = plain_why(&rule);
  if (why)
    return plain_connect(fd, &rule, why, (struct sockaddr *)&copy, len, &hosts);
  return pending_connect_protected(fd, (struct sockaddr *)&copy, len, &rule, &hosts);
}

int pending_hook_connect(int fd, const struct sockaddr *sa, socklen_t len) {
  if (len <= (socklen_t)sizeof(struct sockaddr_storage) && pages_readable(sa, len) != len)
    return libc_real()->connect(fd, sa, len); /* EFAULT, before it looks at the socket */
  if (fdtab_plain(fd)) {
    if (len < (socklen_t)sizeof(struct sockaddr_in) || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
      return libc_real()->connect(fd, sa, len);
    return connect_plain(fd, sa, len);
  }
  struct sock *s = fdtab_get(fd);
  if (!s) {
    errno = EBADF;
    return -1;
  }
  int rc;
  if (atomic_load(&s->kind) == SOCK_SHARED)
    rc = shared_release(fd) ? pending_hook_connect(fd, sa, len) : libc_real()->connect(fd, sa, len);
  else
    rc = atomic_load(&s->kind) == SOCK_LISTENER ? (errno = EISCONN, -1) : pending_connect_again(s, fd, sa, len);
  sock_put(s);
  return rc;
}
