/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle.c - waits until what one side did has arrived at the other, by system calls of its own.
 *
 * These calls must not go through the C library: a poll() there would wake up the very state whose lack is looked
 * for (a connect in progress, bytes that a hook owes). The kernel's view is enough: a sender says how many bytes have
 * left its socket, a receiver waits until as many have come in, whatever they mean.
 */
#include "random.h"

#include <sys/syscall.h>

enum { TCP_TIME_WAIT = 6, TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING }; /* as <netinet/tcp.h> */

#if defined(__x86_64__)
long raw(long nr, long a, long b, long c, long d, long e, long f) {
  long ret;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(ret)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return ret;
}
#elif defined(__aarch64__)
long raw(long nr, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = nr;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#else
#error "write raw() for this machine"
#endif

static void nap(long us) {
  struct timespec t = {.tv_nsec = us * 1000};
  raw(SYS_nanosleep, (long)&t, 0, 0, 0, 0, 0);
}

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

short raw_poll(int fd, short events, int ms) {
  struct pollfd p = {.fd = fd, .events = events};
  uint64_t end = now_ms() + (uint64_t)ms;
  for (;;) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    long n = raw(SYS_ppoll, (long)&p, 1, (long)&t, 0, 8, 0);
    if (n > 0)
      return p.revents;
    if (n != -EINTR || now_ms() >= end)
      return 0;
  }
}

static bool info(int fd, struct tcp_info *i) {
  socklen_t len = sizeof *i;
  memset(i, 0, sizeof *i);
  return raw(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, (long)i, (long)&len, 0) == 0;
}

void published(int index) {
  struct object *o = object_of(index);
  struct tcp_info i = {0};
  if (o->kind != K_CONN)
    return;
  struct direction *d = &conn_of(o)->from[o->side];
  for (uint64_t end = now_ms() + 1000;
       info(me->table[index].fd, &i) && i.tcpi_notsent_bytes > 0 && i.tcpi_state != TCP_CLOSE && now_ms() < end;) {
    if (outstanding(o) > EXACT) /* the other side must read before more can leave */
      break;
    nap(100);
  }
  d->wire = i.tcpi_bytes_sent - i.tcpi_bytes_retrans;
}

/* Waits up to 10 s for a mask; says so when it does not come, natively as well. */
static void wait_mask(int fd, short events, short all, const char *what) {
  for (uint64_t end = now_ms() + 10000;;) {
    if ((raw_poll(fd, events, 100) & all) == all)
      return;
    if (now_ms() > end)
      break;
    nap(200);
  }
  say("  NEVER CAME: %s on %d", what, fd);
  give_up("settle");
}

/* A FIN or a reset. The mask cannot tell: after a shutdown() of one's own it looks the same. */
static void wait_end(int fd, bool reset) {
  struct tcp_info i;
  for (uint64_t end = now_ms() + 10000; info(fd, &i);) {
    if (i.tcpi_state == TCP_CLOSE || (!reset && i.tcpi_state >= TCP_TIME_WAIT && i.tcpi_state != TCP_LISTEN))
      return;
    if (now_ms() > end) {
      say("  NEVER CAME: the end on %d, state %d", fd, i.tcpi_state);
      give_up("settle");
    }
    nap(50);
  }
  wait_mask(fd, POLLRDHUP, reset ? POLLHUP : POLLRDHUP, "the end"); /* no TCP socket */
}

static void settle_conn(int fd, const struct object *o) {
  const struct connection *c = conn_of(o);
  struct tcp_info i;
  if (unread(o) > EXACT) /* an end comes after them */
    wait_mask(fd, POLLIN, POLLIN, "bytes");
  else if (c->reset[o->side])
    wait_end(fd, true);
  else if (c->from[!o->side].fin)
    wait_end(fd, false);
  else if (unread(o) > 0) {
    for (uint64_t end = now_ms() + 10000; info(fd, &i) && i.tcpi_bytes_received < c->from[!o->side].wire;) {
      if (now_ms() > end) {
        say("  NEVER CAME: bytes on %d: %llu of %llu", fd, (unsigned long long)i.tcpi_bytes_received,
            (unsigned long long)c->from[!o->side].wire);
        give_up("settle");
      }
      nap(50);
    }
  }
}

void settle(int index) {
  const struct object *o = object_of(index);
  int fd = me->table[index].fd;
  if (o->kind == K_CONN && !conn_of(o)->vague[o->side] && !conn_of(o)->relayed)
    settle_conn(fd, o);
  if (o->kind == K_LISTENER && o->queued > 0 && !o->shut && !o->reader)
    wait_mask(fd, POLLIN, POLLIN, "a connection");
}

void settle_all(void) {
  for (int i = 0; i < me->count; i++)
    settle(i);
}

/* Is the thread asleep, now and a moment later? */
bool thread_sleeps(pid_t pid, int tid) {
  char path[64], text[256];
  int asleep = 0;
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
  for (int i = 0; i < 2000 && asleep < 8; i++) {
    long fd = raw(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
      return false;
    long n = raw(SYS_read, fd, (long)text, sizeof text - 1, 0, 0, 0);
    raw(SYS_close, fd, 0, 0, 0, 0, 0);
    text[n < 0 ? 0 : n] = 0;
    const char *p = strrchr(text, ')');
    asleep = p && p[1] && p[2] == 'S' ? asleep + 1 : 0;
    nap(300);
  }
  return asleep >= 8;
}
