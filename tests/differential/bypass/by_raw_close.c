/* SPDX-License-Identifier: Apache-2.0 */
#include "bypass.h"

#include <linux/openat2.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

/* Numbers change hands by instructions of the program's own, past every hook: what comes to the number next is itself
 * and not the connection that was there. */
static long raw(long nr, long a, long b, long c) {
#ifdef __x86_64__
  long rc;
  __asm__ volatile("syscall" : "=a"(rc) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return rc;
#else
  return syscall(nr, a, b, c);
#endif
}

static int by_pipe(void) {
  int p[2];
  return pipe(p) == 0 ? p[0] : -1;
}
static int by_eventfd(void) { return eventfd(0, 0); }
static int by_open(void) { return open("/dev/null", O_RDWR); }
static int by_udp(void) { return socket(AF_INET, SOCK_DGRAM, 0); }
static int by_dup(void) { return dup(STDERR_FILENO); }
static int by_fcntl(void) { return fcntl(STDERR_FILENO, F_DUPFD, 3); }
static int by_epoll(void) { return epoll_create1(0); }
static int by_timer(void) { return timerfd_create(CLOCK_MONOTONIC, 0); }
static int by_pair(void) {
  int p[2];
  return socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 ? p[0] : -1;
}
static int by_message(void) {
  int u[2], d = -1;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, u) != 0)
    give_up("socketpair");
  /* The pair took the number: moved away, so that what is received gets it. */
  int a = fcntl(u[0], F_DUPFD, 40), b = fcntl(u[1], F_DUPFD, 40), null = open("/dev/null", O_RDWR);
  int high = fcntl(null, F_DUPFD, 40);
  close(null);
  close(u[0]);
  close(u[1]);
  if (send_fd(a, high) == 1)
    receive_fd(b, &d, 0);
  close(a);
  close(b);
  close(high);
  return d;
}
static int by_fopen(void) {
  FILE *f = fopen("/dev/null", "r+");
  return f ? fileno(f) : -1; /* it stays open */
}
static int by_openat(void) { return openat(AT_FDCWD, "/dev/null", O_RDWR); }
static int by_memory(void) { return memfd_create("m", 0); }
static int by_syscall(void) { return (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR); }
static int by_watch(void) { return inotify_init(); }
static int by_watch1(void) { return inotify_init1(IN_CLOEXEC); }
static int by_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  int n = signalfd(-1, &set, 0);
  return n < 0 ? n : signalfd(n, &set, 0); /* the same one again */
}
static int by_syscall_signal(void) {
  uint64_t set = 1;
  return (int)syscall(SYS_signalfd4, -1, &set, sizeof set, 0);
}
static int by_openat2(void) {
  struct open_how how = {.flags = O_RDWR};
  return (int)syscall(SYS_openat2, AT_FDCWD, "/dev/null", &how, sizeof how);
}
static int by_syscall_pipe(void) {
  int p[2];
  return syscall(SYS_pipe2, p, 0) == 0 ? p[0] : -1;
}

SCENARIO("A connection is closed by an instruction past the hooks: is what gets its number next taken for itself?") {
  static int (*const makers[])(void) = {
      by_pipe,    by_eventfd, by_open,           by_udp,    by_dup,     by_fcntl,        by_epoll, by_timer,
      by_message, by_pair,    by_openat,         by_memory, by_syscall, by_syscall_pipe, by_fopen, by_watch,
      by_watch1,  by_signal,  by_syscall_signal, by_openat2};
  for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
    int l, s, c, listens;
    socklen_t len = sizeof listens;
    pair_keep(&l, &s, &c);
    raw(SYS_close, s, 0, 0); /* leaves the lowest free number */
    int n = makers[i](), type = -1;
    struct stat st;
    say("%zu: the same number %d", i, n == s);
    CALL(fstat(n, &st) == 0);
    say("kind %o", (unsigned)(st.st_mode & S_IFMT));
    CALL(getsockopt(n, SOL_SOCKET, SO_TYPE, &type, &len));
    CALL(write(n, "12345678", 8) > 0);
    CALL(fcntl(n, F_GETFD));
    close(n);
    for (int k = 3; k < 40; k++)
      if (k != l && k != c)
        close(k);
    close(c);
    close(l);
  }
}
