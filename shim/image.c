/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - fork, exec and exit: who holds a connection, and what a new image may see of it.
 *
 * The fork handlers are registered in our constructor, before most others': so ours runs last before the
 * fork and first after it, and no foreign handler runs while the pool is held still.
 */
#include "image.h"

#include "divided.h"
#include "fdtab.h"
#include "headroom.h"
#include "hooks/close.h"
#include "hosts.h"
#include "libc.h"
#include "listener.h"
#include "parcel.h"
#include "pending.h"
#include "preloads.h"
#include "relay.h"
#include "session.h"
#include "shared.h"
#include "spare.h"
#include "stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static lock_signals fork_signals; /* only between the handlers, where the pool is held */

void image_before_fork(void) {
  LOCK_NO_CANCEL;
  lock_signals saved;
  pending_fork_prepare();
  relay_forked();
  shared_before_fork();
  fdtab_before_fork(&saved);
  fork_signals = saved;
  hosts_before_fork();
}

void image_after_fork_parent(void) {
  lock_signals saved = fork_signals;
  hosts_after_fork_parent();
  fdtab_after_fork_parent(&saved);
  /* The handlers are not told of a failure; a share too many only costs a close_notify. */
  pending_fork_parent(false);
}

void image_after_fork_child(void) {
  lock_signals saved = fork_signals;
  hosts_after_fork_child();
  session_after_fork();
  listener_after_fork();
  spare_after_fork();
  headroom_after_fork();
  divided_returned();
  stream_after_fork();
  fdtab_after_fork_child(&saved);
  pending_fork_child();
}

static void unhold(struct sock *s, void *arg) {
  (void)arg;
  if (atomic_load(&s->kind) == SOCK_CONN)
    conn_unhold(&s->conn);
}

static void hold(struct sock *s, void *arg) {
  (void)arg;
  if (atomic_load(&s->kind) == SOCK_CONN && !parcel_holds(s))
    conn_hold(&s->conn);
}

void image_fork_failed(void) {
  if (fdtab_any())
    sock_each(unhold, NULL);
}

/* quick_exit() ends inside glibc; what is registered first runs last. */
void image_init(void) {
  (void)at_quick_exit(image_exit);
  pthread_atfork(image_before_fork, image_after_fork_parent, image_after_fork_child);
}

/* -- exec -- */

static void shut_out(int fd, struct sock *s, void *arg) {
  (void)arg;
  if (atomic_load(&s->kind) == SOCK_LISTENER || atomic_load(&s->kind) == SOCK_SHARED)
    return;
  int flags = libc_real()->fcntl(fd, F_GETFD);
  if (flags < 0 || (flags & FD_CLOEXEC) || parcel_at(fd))
    return;
  libc_real()->fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  atomic_fetch_or(&fdtab_flags[fd], FDF_EXEC);
}

static void let_in(int fd, struct sock *s, void *arg) {
  (void)s;
  (void)arg;
  if (!(atomic_fetch_and(&fdtab_flags[fd], (uint8_t)~FDF_EXEC) & FDF_EXEC))
    return;
  int flags = libc_real()->fcntl(fd, F_GETFD);
  if (flags >= 0)
    libc_real()->fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
}

static void close_if_same(int fd, struct sock *s, void *arg) {
  if (s == arg)
    close_fd(fd);
}

/* exec closes this connection. Where nobody else holds it it ends cleanly, as over TCP; there is no way back when
 * exec fails then, so only where it is going to succeed. */
static void give_up(struct sock *s, void *succeeds) {
  if (atomic_load(&s->kind) != SOCK_CONN || parcel_holds(s))
    return;
  if (atomic_fetch_sub(&s->conn.slot->holders, 1) != 1 || !succeeds)
    return;
  atomic_fetch_add(&s->conn.slot->holders, 1);
  fdtab_each(close_if_same, s);
}

/* What exec will find under this name; NULL: nothing. */
static const char *find(const char *file, char path[4096]) {
  const char *at = getenv("PATH");
  if (strchr(file, '/') || !at)
    return access(file, X_OK) == 0 ? file : NULL;
  for (;; at++) {
    size_t n = strcspn(at, ":");
    if (snprintf(path, 4096, "%.*s/%s", (int)n, n ? at : ".", file) < 4096 && access(path, X_OK) == 0)
      return path;
    at += n;
    if (!*at)
      return NULL;
  }
}

static bool goes_in(int fd) {
  int flags = relay_needed(fd) ? libc_real()->fcntl(fd, F_GETFD) : -1;
  return flags >= 0 && !(flags & FD_CLOEXEC);
}

/* A connection that the next image is to have: by the record engine where svidwrap will be in it; else by the relay,
 * where nobody but this process has it: others could not go on. */
static void hand_on(int fd, struct sock *s, void *preloaded) {
  if (atomic_load(&s->kind) == SOCK_PENDING)
    pending_settle(s, fd);
  if (atomic_load(&s->kind) != SOCK_CONN || !goes_in(fd) || relay_follow(s, fd) || (preloaded && parcel_pack(fd, s)))
    return;
  if (atomic_load(&s->conn.slot->holders) == 1)
    relay_convert(fd, "a descriptor of a program that is executed");
}

void image_before_exec(bool replaces, const char *file) {
  LOCK_NO_CANCEL;
  char path[4096];
  if (!fdtab_any())
    return;
  int keep = errno;
  const char *found = file ? find(file, path) : NULL;
  for (int fd = 0; fd <= 2; fd++) { /* accept() or connect() put it there: dup2() would have relayed it */
    if (goes_in(fd))
      relay_convert(fd, "a standard stream of a program that is executed");
  }
  if (replaces && (found || !file))
    fdtab_each(hand_on, found && preloads(found) ? &keep : NULL);
  if (replaces)
    pending_exec(false); /* not before: who has given up his share of a connect must not finish it */
  fdtab_each(shut_out, NULL);
  if (replaces)
    sock_each(give_up, found || !file ? &keep : NULL);
  errno = keep;
}

void image_exec_failed(void) {
  if (!fdtab_any())
    return;
  int keep = errno;
  pending_exec(true);
  sock_each(hold, NULL);
  parcel_unpack();
  fdtab_each(let_in, NULL);
  errno = keep;
}

/* glibc's own layout of a file action (posix/spawn_int.h), unchanged since 2.2; checked by a test. */
struct file_action {
  int tag;
  union {
    int fd;
    struct {
      int fd, newfd;
    } dup2;
    struct {
      int fd;
      char *path;
      int oflag;
      mode_t mode;
    } open;
  } action;
};
enum { ACTION_DUP2 = 1 };

bool image_actions_relay(const posix_spawn_file_actions_t *actions) {
  if (!actions || !fdtab_any())
    return true;
  const struct file_action *list = (const struct file_action *)(const void *)actions->__actions;
  for (int i = 0; list && i < actions->__used; i++) {
    if (list[i].tag != ACTION_DUP2)
      continue;
    int from = list[i].action.dup2.fd;
    if (relay_needed(from) && relay_convert(from, "a descriptor that posix_spawn() passes on") != 0)
      return false;
  }
  return true;
}

/* -- what a launcher left us (inetd, socket activation with Accept=yes) -- */

static void check_one(int fd) {
  char what[64];
  int type;
  socklen_t len = sizeof type;
  if ((unsigned)fd >= FDTAB_MAX || !fdtab_plain(fd) ||
      libc_real()->getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
      (type == SOCK_SEQPACKET && parcel_open(fd)))
    return;
  snprintf(what, sizeof what, "descriptor %d, which was open when this program started,", fd);
  if (!shared_received(fd, what))
    listener_found(fd);
}

/* Without /proc, in some change root: numbers that launchers use. */
static void check_lowest(void) {
  for (int fd = 0; fd < 64; fd++)
    check_one(fd);
}

void image_check_inherited(void) {
  LOCK_NO_CANCEL;
  int keep = errno;
  int dir = (int)libc_real()->syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) {
    check_lowest();
    errno = keep;
    return;
  }
  char list[2048];
  long n;
  while ((n = libc_real()->syscall(SYS_getdents64, dir, list, sizeof list)) > 0) {
    for (long at = 0; at < n;) {
      const struct dirent64 *e = (const struct dirent64 *)(const void *)(list + at);
      at += e->d_reclen;
      if (e->d_name[0] != '.' && atoi(e->d_name) != dir)
        check_one(atoi(e->d_name));
    }
  }
  libc_real()->close(dir);
  errno = keep;
}

/* -- exit -- */

static void close_one(int fd, struct sock *s, void *arg) {
  (void)s;
  (void)arg;
  close_fd(fd);
}

void image_exit(void) {
  LOCK_NO_CANCEL;
  if (fdtab_any())
    fdtab_each(close_one, NULL);
}
