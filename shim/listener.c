/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.c - the life of a stand-in listener: listen, register, adopt, close.
 *
 * Order matters: without a registration there is no listening socket behind the program's number; the
 * number is replaced last, in one dup3().
 */
#include "listener.h"

#include "environ.h"
#include "headroom.h"
#include "libc.h"
#include "manners.h"
#include "pending.h"
#include "plain.h"
#include "session.h"
#include "shared.h"
#include "spare.h"
#include "standin.h"
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTENERS_PER_PAGE 32

struct page {
  struct page *next;
  struct listener slot[LISTENERS_PER_PAGE];
};
static struct lock pages_lock;
static struct page *_Atomic pages;

static struct listener *listener_new(void) {
  lock_signals saved;
  struct listener *found = NULL;
  lock_take(&pages_lock, &saved);
  for (struct page *p = atomic_load(&pages); p && !found; p = p->next) {
    for (size_t i = 0; i < LISTENERS_PER_PAGE && !found; i++) {
      if (!p->slot[i].used)
        found = &p->slot[i];
    }
  }
  if (!found) {
    void *mem = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem != MAP_FAILED) {
      struct page *p = mem;
      p->next = atomic_load(&pages);
      atomic_store(&pages, p);
      found = &p->slot[0];
    }
  }
  if (found)
    *found = (struct listener){.used = true, .real = -1, .life = -1};
  lock_drop(&pages_lock, &saved);
  return found;
}

static void listener_free(struct listener *l) {
  fdtab_unhide_close(&l->life);
  fdtab_unhide_close(&l->real);
  l->used = false;
}

void listener_after_fork(void) { lock_reset(&pages_lock); }

/* A stand-in socket, bound and listening. The number, or a negative errno. */
static int standin_open(char name[WIRE_NAME_LEN], int backlog) {
  struct sockaddr_un sun;
  if (standin_random(name) != 0)
    return -EIO;
  int s = libc_real()->socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (s < 0)
    return -errno;
  fdtab_fresh(s);
  socklen_t len = standin_address(&sun, name);
  if (libc_real()->bind(s, (struct sockaddr *)&sun, len) == 0 && libc_real()->listen(s, backlog) == 0)
    return s;
  int failed = errno;
  libc_real()->close(s);
  return -failed;
}

/* -- talking to the daemon -- */

static int tell(enum wire_type type, struct listener *l, int fd, struct wire_reply *reply, int fds[WIRE_FDS_MAX],
                int *life) {
  struct wire_listen m = {.backlog = l->backlog, .rule = l->rule.rule};
  memcpy(m.name, l->name, sizeof m.name);
  session_header(&m.hdr, type, sizeof m);
  if (session_request(&m, sizeof m, offsetof(struct wire_listen, token), fd, reply, fds, life) != 0)
    return -errno;
  reply->text[sizeof reply->text - 1] = 0;
  if (reply->status == WIRE_OK)
    return 0;
  if (life && *life >= 0) {
    libc_real()->close(*life);
    *life = -1;
  }
  if (type != WIRE_ADOPT || reply->status != WIRE_NOT_FOUND)
    session_complain("listening is refused: %s", reply->text);
  return reply->err > 0 ? -reply->err : -EACCES;
}

/* Registers l, whose TCP listener is fd. 0 or a negative errno. */
static int register_listener(struct listener *l, int fd) {
  struct wire_reply reply;
  int life = -1;
  int rc = tell(WIRE_LISTEN, l, fd, &reply, NULL, &life);
  if (rc != 0)
    return rc;
  fdtab_unhide_close(&l->life);
  l->life = life;
  rc = fdtab_hide(&l->life);
  if (rc != 0) {
    libc_real()->close(l->life);
    l->life = -1;
  }
  return rc;
}

void listener_register(struct listener *l) {
  LOCK_NO_CANCEL;
  if (l->used && l->real >= 0)
    register_listener(l, l->real);
}

void listener_register_all(void) {
  for (struct page *p = atomic_load(&pages); p; p = p->next) {
    for (size_t i = 0; i < LISTENERS_PER_PAGE; i++)
      listener_register(&p->slot[i]);
  }
}

/* -- listen() -- */

/* fd's number gets the stand-in; the TCP listener moves to a hidden number. */
static int swap_in(struct sock *s, int fd, int standin) {
  struct listener *l = s->listener;
  int fdflags = libc_real()->fcntl(fd, F_GETFD);
  l->real = libc_real()->fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (l->real < 0)
    return -errno;
  int rc = fdtab_hide(&l->real);
  if (rc != 0)
    return rc;
  manners_copy(fd, standin);
  epollreg_detach(fd);
  if (libc_real()->dup3(standin, fd, fdflags >= 0 && (fdflags & FD_CLOEXEC) ? O_CLOEXEC : 0) < 0)
    return -errno;
  manners_move_async(l->real, fd);
  return fdtab_set(fd, s);
}

static int become_standin(int fd, int backlog, const struct rules_entry *rule) {
  struct listener *l = listener_new();
  struct sock *s = sock_new(SOCK_LISTENER);
  int rc = -ENOMEM, standin = -1;
  if (!l || !s)
    goto out;
  s->listener = l;
  l->backlog = backlog;
  l->rule = *rule;
  rc = standin = standin_open(l->name, backlog);
  if (standin < 0)
    goto out;
  rc = register_listener(l, fd);
  if (rc == 0)
    rc = swap_in(s, fd, standin);
  if (rc == 0)
    epollreg_rearm(fd);
  if (rc == 0)
    spare_open();
out:
  if (standin >= 0)
    libc_real()->close(standin);
  if (rc != 0 && l)
    listener_free(l);
  if (s)
    sock_put(s);
  return rc < 0 ? rc : 0;
}

static bool is_tcp(int fd) {
  int type = 0, domain = 0;
  socklen_t len = sizeof type, dlen = sizeof domain;
  return libc_real()->getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
         libc_real()->getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &dlen) == 0 &&
         (domain == AF_INET || domain == AF_INET6);
}

/* listen() on an unbound socket binds it: do that first, for the rules ask for the port. */
static int local_address(int fd, struct sockaddr_storage *sa, socklen_t *len) {
  uint8_t addr[16];
  uint16_t port = 0;
  *len = sizeof *sa;
  if (libc_real()->getsockname(fd, (struct sockaddr *)sa, len) != 0)
    return -1;
  if (rules_address((struct sockaddr *)sa, *len, addr, &port) != 0 || port != 0)
    return 0;
  if (libc_real()->bind(fd, (struct sockaddr *)sa, *len) != 0)
    return -1;
  *len = sizeof *sa;
  return libc_real()->getsockname(fd, (struct sockaddr *)sa, len);
}

/* mode off, and it cannot be prepared for another one: natively, then, which is what the rule says today. */
static bool listens_natively(int fd, const struct rules_entry *rule, int rc) {
  if (rule->mode != RULES_OFF)
    return false;
  if ((unsigned)fd < FDTAB_MAX)
    atomic_fetch_or(&fdtab_flags[fd], FDF_PLAIN); /* listener_touch() leaves it alone */
  session_complain("a listener whose rule is off could not be registered with the daemon (%s): it listens without "
                   "svidwrap, and another mode will not reach it before the program is started again",
                   strerror(-rc));
  return true;
}

static int listen_managed(int fd, int backlog, const struct rules_entry *rule) {
  int keep = errno;
  if (libc_real()->listen(fd, backlog) != 0)
    return -1; /* EADDRINUSE and its like, as natively */
  bool room = headroom_open_if_crowded();
  int rc = become_standin(fd, backlog, rule);
  headroom_close(room);
  if (rc == 0 || listens_natively(fd, rule, rc)) {
    errno = keep;
    return 0;
  }
  /* Nobody may reach it in plaintext: out of the listening state, still bound. */
  libc_real()->shutdown(fd, SHUT_RDWR);
  session_complain_scarce("listen() is refused", -rc);
  errno = -rc;
  return -1;
}

static int listen_again(struct sock *s, int fd, int backlog) {
  struct listener *l = s->listener;
  if (libc_real()->listen(l->real, backlog) != 0)
    return -1;
  l->backlog = backlog;
  /* First of all: from its own listen() on the stand-in tells who we are now, and we may have become another user. */
  int rc = register_listener(l, l->real);
  if (rc != 0) {
    errno = -rc;
    return -1;
  }
  return libc_real()->listen(fd, backlog);
}

int listener_listen(int fd, int backlog) {
  LOCK_NO_CANCEL;
  struct sockaddr_storage sa;
  struct rules_entry rule;
  socklen_t len;
  if (shared_is(fd))
    shared_release(fd);
  if (listener_unused(fd) && listener_touch(fd) < 0)
    return -1;
  struct sock *s = fdtab_get(fd);
  if (s) {
    int rc = atomic_load(&s->kind) == SOCK_LISTENER ? listen_again(s, fd, backlog) : libc_real()->listen(fd, backlog);
    sock_put(s);
    return rc;
  }
  if (!is_tcp(fd) || local_address(fd, &sa, &len) != 0)
    return libc_real()->listen(fd, backlog);
  int managed = session_match(RULES_LISTEN, (struct sockaddr *)&sa, len, &rule);
  if (managed < 0)
    return -1;
  return managed ? listen_managed(fd, backlog, &rule) : libc_real()->listen(fd, backlog);
}

/* -- numbers that are not in the table -- */

/* A launcher of root's, with root's daemon, passed it to a program of another user that has no daemon yet: there is
 * where it is known. A listening socket tells who called listen(); last, that is, and a daemon of our user's that
 * does not even run does not know it either. */
static void follow_who_listened(int fd) {
  struct ucred cred;
  socklen_t len = sizeof cred;
  bool roots = libc_real()->getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.uid == 0;
  int own = roots ? -1 : transport_dial_running(geteuid());
  if (own < 0)
    session_prefer(0);
  else
    libc_real()->close(own);
}

/* Our user's daemon does not know it where root called the first listen() and became this user afterwards. */
static int ask_to_adopt(struct listener *l, int fd, struct wire_reply *reply, int fds[WIRE_FDS_MAX], int *life) {
  if (session_ready(false) != 0 || session_agent_once() != 0)
    return -errno;
  reply->status = WIRE_OK;
  int rc = tell(WIRE_ADOPT, l, fd, reply, fds, life);
  if (rc != 0 && reply->status == WIRE_NOT_FOUND && session_turn_to_root())
    rc = tell(WIRE_ADOPT, l, fd, reply, fds, life);
  if (rc != 0 && reply->status == WIRE_NOT_FOUND)
    session_complain("an inherited listener cannot be taken over: %s", reply->text);
  return rc;
}

static int adopt(int fd, const char name[WIRE_NAME_LEN]) {
  struct wire_reply reply;
  int fds[WIRE_FDS_MAX] = {-1, -1}, life = -1, rc = -ENOMEM;
  struct listener *l = listener_new();
  struct sock *s = sock_new(SOCK_LISTENER);
  if (!l || !s)
    goto out;
  s->listener = l;
  memcpy(l->name, name, sizeof l->name);
  follow_who_listened(fd);
  rc = ask_to_adopt(l, fd, &reply, fds, &life);
  if (rc != 0)
    goto out;
  l->life = life;
  l->real = fds[0];
  rc = l->real >= 0 ? fdtab_hide(&l->real) : -EPROTO;
  if (rc == 0)
    rc = fdtab_hide(&l->life);
  if (rc == 0)
    rc = fdtab_set(fd, s);
  if (rc == 0) {
    spare_open();
    /* What comes for this listener is in its own arena. Now is when we can have it: children inherit it, and one that
     * becomes another user would be refused. */
    int keep = errno;
    session_slot(reply.arena_id, 0);
    errno = keep;
  }
out:
  if (rc != 0 && l)
    listener_free(l);
  if (s)
    sock_put(s);
  return rc;
}

int listener_touch_named(int fd, const struct sockaddr *sa, socklen_t len) {
  LOCK_NO_CANCEL;
  char name[WIRE_NAME_LEN];
  if (!standin_is(sa, len, name))
    return 0;
  int rc = adopt(fd, name);
  if (rc == 0)
    return 1;
  errno = -rc;
  return -1;
}

void listener_found(int fd) {
  struct sockaddr_storage sa;
  socklen_t len = sizeof sa;
  char name[WIRE_NAME_LEN];
  int keep = errno;
  if ((unsigned)fd < FDTAB_MAX && libc_real()->getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
      standin_is((struct sockaddr *)&sa, len, name))
    fdtab_mark(fd, FDF_STANDIN);
  errno = keep;
}

static bool same_file(int a, int b) {
  struct stat x, y;
  return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

struct alias_search {
  int fd;
  int standin;
  struct sock *sock;
};

static void find_alias(int fd, struct sock *s, void *arg) {
  struct alias_search *a = arg;
  if (!a->sock && atomic_load(&s->kind) == SOCK_LISTENER && same_file(s->listener->real, a->fd)) {
    a->sock = s;
    a->standin = fd;
  }
}

/* dup() or fork before listen() left an alias of the TCP listener: it gets the same stand-in. */
static int join_alias(int fd) {
  struct alias_search a = {.fd = fd};
  fdtab_each(find_alias, &a);
  if (!a.sock)
    return 0;
  int fdflags = libc_real()->fcntl(fd, F_GETFD);
  if (libc_real()->dup3(a.standin, fd, fdflags >= 0 && (fdflags & FD_CLOEXEC) ? O_CLOEXEC : 0) < 0)
    return -1;
  fdtab_dup(a.standin, fd);
  return 1;
}

int listener_touch(int fd) {
  struct sockaddr_storage sa;
  struct rules_entry rule;
  socklen_t len = sizeof sa, on_len = sizeof(int);
  int listening = 0;
  if ((unsigned)fd < FDTAB_MAX && (atomic_load(&fdtab_flags[fd]) & FDF_PLAIN))
    return 0;
  if (libc_real()->getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
    return 0; /* the real call says what is wrong */
  if (sa.ss_family == AF_UNIX)
    return listener_touch_named(fd, (struct sockaddr *)&sa, len);
  if ((sa.ss_family != AF_INET && sa.ss_family != AF_INET6) || !is_tcp(fd) ||
      libc_real()->getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &on_len) != 0 || !listening)
    return 0;
  int managed = session_match(RULES_LISTEN, (struct sockaddr *)&sa, len, &rule);
  if (managed <= 0)
    return managed;
  int joined = join_alias(fd);
  if (joined != 0)
    return joined;
  int rc = become_standin(fd, SOMAXCONN, &rule);
  if (rc == 0)
    return 1;
  if (listens_natively(fd, &rule, rc))
    return 0;
  errno = -rc;
  return -1;
}

/* -- close and bind -- */

static void tell_closed(const struct listener *l) {
  struct wire_reply reply;
  struct wire_listen m = {.backlog = 0};
  memcpy(m.name, l->name, sizeof m.name);
  session_header(&m.hdr, WIRE_UNLISTEN, sizeof m);
  session_tell(&m, sizeof m, offsetof(struct wire_listen, token), -1, &reply, NULL);
}

/* The TCP socket comes back to its number: closed, bound, and like any other. A later listen() makes a new
 * stand-in. */
int listener_shutdown(struct sock *s, int fd, int how) {
  LOCK_NO_CANCEL;
  struct listener *l = s->listener;
  int keep = errno;
  if (libc_real()->shutdown(l->real, how) != 0)
    return -1;
  if (how == SHUT_WR)
    return 0;
  tell_closed(l);
  libc_real()->shutdown(fd, SHUT_RDWR); /* wakes those who wait in accept(): EINVAL, as TCP's */
  int fdflags = libc_real()->fcntl(fd, F_GETFD);
  if (libc_real()->dup3(l->real, fd, fdflags >= 0 && (fdflags & FD_CLOEXEC) ? O_CLOEXEC : 0) >= 0) {
    fdtab_close(fd);
    atomic_store(&fdtab_flags[fd], FDF_TCP);
    if (atomic_load(&s->fds) == 0 && atomic_exchange(&l->closing, 1) == 0)
      listener_free(l);
  }
  errno = keep;
  return 0;
}

/* Does any process still hold the stand-in? Its name can be bound again only when none does. */
static bool held_elsewhere(const struct listener *l) {
  struct sockaddr_un sun;
  socklen_t len = standin_address(&sun, l->name);
  int s = libc_real()->socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (s < 0)
    return true; /* cannot tell: the life socket will */
  fdtab_fresh(s);
  bool held = libc_real()->bind(s, (struct sockaddr *)&sun, len) != 0;
  libc_real()->close(s);
  return held;
}

void listener_closed(struct listener *l) {
  LOCK_NO_CANCEL;
  int keep = errno;
  if (atomic_exchange(&l->closing, 1) != 0)
    return;
  fdtab_unhide_close(&l->real);
  if (!held_elsewhere(l))
    tell_closed(l);
  listener_free(l);
  errno = keep;
}

bool listener_sync(const struct sockaddr *sa, socklen_t len) {
  LOCK_NO_CANCEL;
  struct wire_listen m = {.local_len = len};
  struct wire_reply reply;
  struct rules_entry rule;
  int keep = errno;
  bool again = false;
  if (len <= (socklen_t)sizeof m.local && session_match(RULES_LISTEN, sa, len, &rule) == 1) {
    memcpy(&m.local, sa, len);
    session_header(&m.hdr, WIRE_SYNC, sizeof m);
    again = session_tell(&m, sizeof m, offsetof(struct wire_listen, token), -1, &reply, NULL) == 0;
  }
  errno = keep;
  return again;
}
