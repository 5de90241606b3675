/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - fork, exec and exit: who holds a connection, and what a new image may see of it.
 *
 * The fork handlers are registered in our constructor, before most others': so ours runs last before the
 * fork and first after it, and no foreign handler runs while the pool is held still.
 */
#include "image.h"

#include "fdtab.h"
#include "hooks/close.h"
#include "hosts.h"
#include "libc.h"
#include "listener.h"
#include "pending.h"
#include "relay.h"
#include "session.h"
#include "spare.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static lock_signals fork_signals; /* only between the handlers, where the pool is held */

void image_before_fork(void) {
  lock_signals saved;
  pending_fork_prepare();
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
  if (atomic_load(&s->kind) == SOCK_CONN)
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
  if (atomic_load(&s->kind) == SOCK_LISTENER)
    return;
  int flags = libc_real()->fcntl(fd, F_GETFD);
  if (flags < 0 || (flags & FD_CLOEXEC))
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
  if (atomic_load(&s->kind) != SOCK_CONN)
    return;
  if (atomic_fetch_sub(&s->conn.slot->holders, 1) != 1 || !succeeds)
    return;
  atomic_fetch_add(&s->conn.slot->holders, 1);
  fdtab_each(close_if_same, s);
}

static bool executable(const char *file) {
  char path[4096];
  const char *at = getenv("PATH");
  if (!file)
    return true; /* by descriptor */
  if (strchr(file, '/') || !at)
    return access(file, X_OK) == 0;
  for (;; at++) {
    size_t n = strcspn(at, ":");
    if (snprintf(path, sizeof path, "%.*s/%s", (int)n, n ? at : ".", file) < (int)sizeof path &&
        access(path, X_OK) == 0)
      return true;
    at += n;
    if (!*at)
      return false;
  }
}

void image_before_exec(bool replaces, const char *file) {
  if (!fdtab_any())
    return;
  int keep = errno;
  if (replaces)
    pending_exec(false);
  for (int fd = 0; fd <= 2; fd++) { /* accept() or connect() put it there: dup2() would have relayed it */
    int flags = relay_needed(fd) ? libc_real()->fcntl(fd, F_GETFD) : -1;
    if (flags >= 0 && !(flags & FD_CLOEXEC))
      relay_convert(fd, "a standard stream of a program that is executed");
  }
  fdtab_each(shut_out, NULL);
  if (replaces)
    sock_each(give_up, executable(file) ? &keep : NULL);
  errno = keep;
}

void image_exec_failed(void) {
  if (!fdtab_any())
    return;
  int keep = errno;
  pending_exec(true);
  sock_each(hold, NULL);
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

#define INHERITED_MAX 16

/* Not knowing is no reason to talk in plaintext; a rule that lets plaintext through is. */
static bool must_be_protected(enum rules_kind kind, const struct sockaddr *sa, socklen_t len) {
  struct rules_entry rule;
  int managed = session_match(kind, sa, len, &rule);
  return managed < 0 || (managed == 1 && rule.mode == RULES_ENFORCE);
}

static bool is_managed_connection(int fd) {
  struct sockaddr_storage local, remote;
  socklen_t local_len = sizeof local, remote_len = sizeof remote, len = sizeof(int);
  int type = 0;
  if (libc_real()->getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM ||
      libc_real()->getsockname(fd, (struct sockaddr *)&local, &local_len) != 0 ||
      (local.ss_family != AF_INET && local.ss_family != AF_INET6) ||
      libc_real()->getpeername(fd, (struct sockaddr *)&remote, &remote_len) != 0)
    return false;
  return must_be_protected(RULES_LISTEN, (struct sockaddr *)&local, local_len) ||
         must_be_protected(RULES_CONNECT, (struct sockaddr *)&remote, remote_len);
}

void image_check_inherited(void) {
  int keep = errno;
  for (int fd = 0; fd < INHERITED_MAX; fd++) {
    int pair[2];
    if (!is_managed_connection(fd))
      continue;
    session_complain("descriptor %d is a connection that the rules cover, accepted or made by a program without "
                     "svidwrap: closed; wrap the launcher too, or let the program listen itself",
                     fd);
    if (libc_real()->socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
        libc_real()->dup3(pair[0], fd, 0) < 0)
      libc_real()->close(fd);
    libc_real()->close(pair[0]);
    libc_real()->close(pair[1]);
  }
  errno = keep;
}

/* -- exit -- */

static void close_one(int fd, struct sock *s, void *arg) {
  (void)s;
  (void)arg;
  close_fd(fd);
}

void image_exit(void) {
  if (fdtab_any())
    fdtab_each(close_one, NULL);
}
