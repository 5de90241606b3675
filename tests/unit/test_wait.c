/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do poll, select and epoll tell of a pending connect what they would tell of TCP, at the right moment,
 * with the program's own data, and never too early? Where there is a native equivalent both are run.
 */
#include "pending_fakes.h"

#include "epollreg.h"
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define CONNECT(fd) connect(fd, (const struct sockaddr *)&fake_net.open, sizeof fake_net.open)
#define OUT         (POLLOUT | POLLWRNORM)

static int pending_socket(void) {
  int fd = fake_socket(&fake_wrapped, true);
  assert_int_equal(CONNECT(fd), -1);
  assert_int_equal(errno, EINPROGRESS);
  return fd;
}

static void done(int fd) { fake_close(&fake_wrapped, fd); }

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *release_soon(void *how) {
  usleep(100000);
  fake_release((int)(intptr_t)how);
  return NULL;
}
static pthread_t later(int how) {
  pthread_t t;
  pthread_create(&t, NULL, release_soon, (void *)(intptr_t)how);
  return t;
}

/* -- poll -- */

static void poll_waits_for_the_answer(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int fd = pending_socket(), other = eventfd(0, 0);
  struct pollfd p[3] = {
      {.fd = other, .events = POLLIN, .revents = 99}, {.fd = -1, .revents = 99}, {.fd = fd, .events = POLLOUT}};
  errno = 77;
  assert_int_equal(poll(p, 3, 30), 0);
  assert_int_equal(errno, 77);
  assert_int_equal(p[0].revents | p[1].revents | p[2].revents, 0);
  pthread_t t = later(FAKE_OK);
  assert_int_equal(poll(p, 3, -1), 1);
  assert_int_equal(p[2].revents, POLLOUT);
  assert_int_equal(p[2].fd, fd); /* the program's array is its own */
  assert_int_equal(p[2].events, POLLOUT);
  assert_int_equal(fake_kind(fd), SOCK_CONN);
  pthread_join(t, NULL);
  close(other);
  done(fd);
}

static void poll_wakes_only_for_what_was_asked(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int fd = pending_socket();
  struct pollfd p = {.fd = fd, .events = POLLIN};
  pthread_t t = later(FAKE_OK);
  int64_t start = now_ms();
  assert_int_equal(poll(&p, 1, 2000), 0); /* it is connected by then, and there is nothing to read */
  assert_true(now_ms() - start >= 1999);  /* the answer did not end the wait */
  assert_int_equal(fake_kind(fd), SOCK_CONN);
  pthread_join(t, NULL);
  done(fd);
}

static void poll_with_many_descriptors(void **state) {
  (void)state;
  enum { N = 300 };
  static struct pollfd p[N];
  fake_reset(FAKE_HOLD);
  int fd = pending_socket(), quiet = eventfd(0, 0);
  for (int i = 0; i < N; i++)
    p[i] = (struct pollfd){.fd = i == 200 ? fd : quiet, .events = i == 200 ? POLLOUT : POLLIN};
  pthread_t t = later(FAKE_REFUSE);
  assert_int_equal(poll(p, N, WAIT_MS), 1);
  assert_int_equal(p[200].revents, POLLOUT | POLLERR | POLLHUP);
  pthread_join(t, NULL);
  close(quiet);
  done(fd);
}

static void on_signal(int sig) { (void)sig; }

static void ppoll_takes_signals_atomically(void **state) {
  (void)state;
  sigset_t block, open;
  struct sigaction a = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &a, NULL);
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  sigprocmask(SIG_BLOCK, &block, &open);
  sigdelset(&open, SIGUSR1);
  fake_reset(FAKE_HOLD);
  int fd = pending_socket();
  struct pollfd p = {.fd = fd, .events = POLLOUT, .revents = 5};
  struct timespec five = {.tv_sec = 5};
  raise(SIGUSR1); /* waits, blocked, until ppoll() lets it through */
  assert_int_equal(ppoll(&p, 1, &five, &open), -1);
  assert_int_equal(errno, EINTR);
  assert_int_equal(p.revents, 5);
  raise(SIGUSR1);
  fd_set w;
  FD_ZERO(&w);
  FD_SET(fd, &w);
  assert_int_equal(pselect(fd + 1, NULL, &w, NULL, &five, &open), -1);
  assert_int_equal(errno, EINTR);
  assert_true(FD_ISSET(fd, &w));
  int ep = epoll_create1(0);
  struct epoll_event ev;
  raise(SIGUSR1);
  assert_int_equal(epoll_pwait(ep, &ev, 1, 5000, &open), -1);
  assert_int_equal(errno, EINTR);
  struct timespec bad = {.tv_nsec = 1000000000};
  assert_int_equal(ppoll(&p, 1, &bad, NULL), -1);
  assert_int_equal(errno, EINVAL);
  sigprocmask(SIG_UNBLOCK, &block, NULL);
  done(ep);
  done(fd);
}

/* -- select, beside the kernel's -- */

struct selected {
  int rc, err;
  fd_set r, w, e;
  bool time_left;
};

static struct selected run_select(const struct fake_api *api, const int *fds, int n, const char *sets, int ms) {
  struct selected s = {.rc = 0};
  struct timeval t = {.tv_usec = ms * 1000};
  int top = 0;
  for (int i = 0; i < n; i++) {
    if (sets[i] & 1)
      FD_SET(fds[i], &s.r);
    if (sets[i] & 2)
      FD_SET(fds[i], &s.w);
    if (sets[i] & 4)
      FD_SET(fds[i], &s.e);
    top = fds[i] >= top ? fds[i] + 1 : top;
  }
  s.rc = api->select(top, &s.r, sets[n] == 'n' ? NULL : &s.w, &s.e, &t);
  s.err = s.rc < 0 ? errno : 0;
  s.time_left = t.tv_sec > 0 || t.tv_usec > 0;
  return s;
}

static void select_is_exact(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int pend = pending_socket(); /* keeps the shim's own select at work; it is in no comparison itself */
  int pair[2], up[2], hup = fake_socket(&fake_native, true), closed;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) | pipe(up), 0);
  closed = fcntl(0, F_DUPFD, 500); /* the daemon thread will not come by that number */
  close(closed);
  assert_int_equal(write(pair[0], "x", 1), 1);
  static const char *const sets[] = {"\1\2\3\7", "\0\0\1\1", "\2\2\2\2n", "\4\4\4\4",
                                     "\3\3\3\3", "\1\0\0\0", "\0\0\0\2",  "\0\0\0\1"};
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
    int fds[5] = {pair[0], pair[1], up[0], hup, pend};
    char mine[6] = {0};
    memcpy(mine, sets[i], 4);
    mine[4] = sets[i][4];
    struct selected native = run_select(&fake_native, fds, 4, mine, 20);
    /* the same with the pending socket beside it, which must add nothing */
    char with[7] = {mine[0], mine[1], mine[2], mine[3], 7, mine[4], 0};
    struct selected ours = run_select(&fake_wrapped, fds, 5, with, 20);
    assert_int_equal(ours.rc, native.rc);
    assert_int_equal(ours.time_left, native.time_left);
    assert_memory_equal(&ours.r, &native.r, sizeof ours.r);
    if (mine[4] != 'n')
      assert_memory_equal(&ours.w, &native.w, sizeof ours.w);
    assert_memory_equal(&ours.e, &native.e, sizeof ours.e);
  }
  int fds[2] = {closed, pend};
  struct selected bad = run_select(&fake_wrapped, fds, 2, "\1\2", 1000);
  assert_int_equal(bad.rc, -1);
  assert_int_equal(bad.err, EBADF);
  assert_true(FD_ISSET(closed, &bad.r)); /* left as they were */
  struct timeval negative = {.tv_sec = -1};
  assert_int_equal(select(0, NULL, NULL, NULL, &negative), -1);
  assert_int_equal(errno, EINVAL);
  done(pend);
  for (int i = 0; i < 2; i++)
    close(pair[i]), close(up[i]);
  close(hup);
}

static void select_tells_of_the_connect(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int fd = pending_socket();
  pthread_t t = later(FAKE_OK);
  struct selected s = run_select(&fake_wrapped, &fd, 1, "\7", 999);
  assert_int_equal(s.rc, 1);
  assert_true(FD_ISSET(fd, &s.w));
  assert_false(FD_ISSET(fd, &s.r));
  assert_false(FD_ISSET(fd, &s.e));
  assert_true(s.time_left);
  pthread_join(t, NULL);
  done(fd);
  fake_reset(FAKE_REFUSE);
  fd = pending_socket();
  s = run_select(&fake_wrapped, &fd, 1, "\3", 999);
  assert_int_equal(s.rc, 2);
  done(fd);
}

/* -- epoll -- */

static int ep_new(void) { return epoll_create1(EPOLL_CLOEXEC); }
static int ctl(int ep, int op, int fd, uint32_t events, uint64_t data) {
  struct epoll_event ev = {.events = events, .data.u64 = data};
  return epoll_ctl(ep, op, fd, &ev);
}
static void expect(int ep, int timeout, uint32_t events, uint64_t data) {
  struct epoll_event ev[4];
  memset(ev, 0, sizeof ev);
  assert_int_equal(epoll_wait(ep, ev, 4, timeout), events ? 1 : 0);
  if (events) {
    assert_int_equal(ev[0].events, events);
    assert_int_equal(ev[0].data.u64, data);
  }
}

static void epoll_registered_after_connect(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int ep = ep_new(), fd = pending_socket();
  assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLOUT, 1), -1);
  assert_int_equal(errno, ENOENT);
  assert_int_equal(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0), -1);
  assert_int_equal(errno, ENOENT);
  assert_int_equal(ctl(0, EPOLL_CTL_ADD, fd, EPOLLOUT, 1), -1);
  assert_int_equal(errno, EINVAL);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLIN, 0xfedcba9876543210), 0);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT, 1), -1);
  assert_int_equal(errno, EEXIST);
  expect(ep, 30, 0, 0);
  pthread_t t = later(FAKE_OK);
  errno = 77;
  expect(ep, -1, EPOLLOUT, 0xfedcba9876543210);
  assert_int_equal(errno, 77);
  expect(ep, 0, EPOLLOUT, 0xfedcba9876543210); /* level */
  pthread_join(t, NULL);
  assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 2), 0);
  expect(ep, 0, 0, 0);
  assert_int_equal(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0), 0);
  done(fd);
  done(ep);
}

static void *wait_and_record(void *arg) {
  struct epoll_event ev = {0};
  int ep = *(int *)arg;
  int n = epoll_wait(ep, &ev, 1, WAIT_MS);
  return (void *)(uintptr_t)(n == 1 ? ev.events : 0xbad);
}

/* nginx: in the set before connect(). A thread that waits meanwhile must not see the TCP connection come up. */
static void epoll_registered_before_connect(void **state) {
  (void)state;
  for (int edge = 0; edge < 2; edge++) {
    fake_reset(FAKE_HOLD);
    int ep = ep_new(), fd = fake_socket(&fake_wrapped, true);
    uint32_t how = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (edge ? EPOLLET : 0);
    assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, how, 7), 0);
    if (edge)
      expect(ep, 0, EPOLLOUT | EPOLLHUP, 7); /* as of any socket that is not connected */
    assert_int_equal(CONNECT(fd), -1);
    pthread_t w;
    void *seen;
    pthread_create(&w, NULL, wait_and_record, &ep);
    usleep(100000); /* TCP is up by now */
    fake_release(FAKE_OK);
    pthread_join(w, &seen);
    assert_int_equal((uintptr_t)seen, EPOLLOUT);
    expect(ep, 0, edge ? 0 : EPOLLOUT, 7);
    done(fd);
    expect(ep, 0, 0, 0);
    done(ep);
  }
}

static void a_failed_connect_in_epoll(void **state) {
  (void)state;
  fake_reset(FAKE_REFUSE);
  int ep = ep_new(), fd = fake_socket(&fake_wrapped, true);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 7), 0);
  assert_int_equal(CONNECT(fd), -1);
  expect(ep, WAIT_MS, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP, 7);
  /* and TCP's own failure; connecting again with the registration in place */
  assert_int_equal(fake_so_error(&fake_wrapped, fd), EACCES);
  assert_int_equal(CONNECT(fd), -1);
  assert_int_equal(errno, ECONNABORTED);
  assert_int_equal(connect(fd, (struct sockaddr *)&fake_net.closed, sizeof fake_net.closed), -1);
  assert_int_equal(errno, EINPROGRESS);
  expect(ep, WAIT_MS, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP, 7);
  assert_int_equal(fake_so_error(&fake_wrapped, fd), ECONNREFUSED);
  assert_int_equal(connect(fd, (struct sockaddr *)&fake_net.closed, sizeof fake_net.closed), -1);
  fake_reset(FAKE_HOLD);
  assert_int_equal(CONNECT(fd), -1);
  assert_int_equal(errno, EINPROGRESS);
  expect(ep, 30, 0, 0);
  fake_release(FAKE_OK);
  expect(ep, WAIT_MS, EPOLLOUT, 7);
  done(fd);
  done(ep);
}

/* Libraries arm, fire and re-arm: a one-shot that fired before connect() stays silent until armed. */
static void one_shot(const struct fake_api *api, char *out, bool many) {
  int ep = ep_new(), fd = fake_socket(api, true), n = 0;
  static int others[200];
  struct epoll_event ev = {.events = EPOLLOUT | EPOLLONESHOT, .data.u64 = 7}, got = {0}, quiet = {0};
  for (int i = 0; many && i < 200; i++) {
    others[i] = dup(0); /* so many that the kernel's list does not fit one read */
    api->epoll_ctl(ep, EPOLL_CTL_ADD, eventfd(0, EFD_CLOEXEC), &quiet);
    close(others[i]);
  }
#define SAY(rc) n += sprintf(out + n, "%d:%x ", (int)(rc), got.events), got.events = 0
  SAY(api->epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
  SAY(api->epoll_wait(ep, &got, 1, 0));
  SAY(api->epoll_wait(ep, &got, 1, 0));
  SAY(api->connect(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open));
  SAY(api->epoll_wait(ep, &got, 1, 100)); /* disarmed */
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  SAY(api->poll(&p, 1, WAIT_MS));
  SAY(api->epoll_wait(ep, &got, 1, 30)); /* connected, and disarmed still */
  SAY(api->epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
  SAY(api->epoll_wait(ep, &got, 1, WAIT_MS));
  SAY(api->epoll_wait(ep, &got, 1, 0));
  SAY(api->epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
  SAY(api->epoll_ctl(ep, EPOLL_CTL_DEL, fd, &ev));
  fake_close(api, fd);
  /* armed while pending */
  fd = fake_socket(api, true);
  SAY(api->epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
  SAY(api->epoll_wait(ep, &got, 1, 0));
  SAY(api->connect(fd, (struct sockaddr *)&fake_net.open, sizeof fake_net.open));
  SAY(api->epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
  SAY(api->epoll_wait(ep, &got, 1, WAIT_MS));
  SAY(api->epoll_wait(ep, &got, 1, 0));
  /* and a peer that goes away does not speak through a disarmed registration */
  fake_close(api, fd);
  if (api->wrapped)
    done(ep);
  else
    libc_real()->close(ep);
#undef SAY
}
static void a_fired_one_shot_stays_disarmed(void **state) {
  (void)state;
  char native[512], ours[512];
  struct rlimit limit = {4096, 4096};
  setrlimit(RLIMIT_NOFILE, &limit);
  for (int many = 0; many < 2; many++) {
    fake_reset(FAKE_OK);
    one_shot(&fake_native, native, many);
    one_shot(&fake_wrapped, ours, many);
    assert_string_equal(ours, native);
  }
}

static void a_muted_one_shot_reports_no_error_either(void **state) {
  (void)state;
  fake_reset(FAKE_REFUSE);
  int ep = ep_new(), fd = fake_socket(&fake_wrapped, true);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLONESHOT, 7), 0);
  expect(ep, 0, EPOLLOUT | EPOLLHUP, 7);
  assert_int_equal(CONNECT(fd), -1);
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  assert_int_equal(poll(&p, 1, WAIT_MS), 1);
  expect(ep, 50, 0, 0);
  assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT, 8), 0);
  expect(ep, WAIT_MS, EPOLLOUT | EPOLLERR | EPOLLHUP, 8);
  done(fd);
  done(ep);
}

static void changes_while_pending_count(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int ep = ep_new(), fd = pending_socket();
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLEXCLUSIVE, 1), 0);
  assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 2), -1); /* as the kernel says of exclusive ones */
  assert_int_equal(errno, EINVAL);
  assert_int_equal(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0), 0);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT, 1), -1);
  assert_int_equal(errno, EINVAL);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT, 1), 0);
  assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLRDHUP, 3), 0);
  fake_release(FAKE_OK);
  expect(ep, WAIT_MS, EPOLLOUT, 3);
  done(fd);
  fake_reset(FAKE_HOLD);
  fd = pending_socket();
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT, 1), 0);
  assert_int_equal(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0), 0);
  fake_release(FAKE_OK);
  expect(ep, 100, 0, 0); /* deleted is deleted */
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT, 4), 0);
  expect(ep, WAIT_MS, EPOLLOUT, 4);
  done(fd);
  done(ep);
}

static void two_numbers_and_two_sets(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int a = ep_new(), b = ep_new(), fd = pending_socket(), two = libc_real()->dup(fd);
  fdtab_dup(fd, two);
  assert_int_equal(ctl(a, EPOLL_CTL_ADD, fd, EPOLLOUT, 1), 0);
  assert_int_equal(ctl(a, EPOLL_CTL_ADD, two, EPOLLIN, 2), 0);
  assert_int_equal(ctl(b, EPOLL_CTL_ADD, two, EPOLLOUT, 3), 0);
  assert_int_equal(ctl(a, EPOLL_CTL_DEL, fd, 0, 0), 0); /* the other number's tag takes over */
  assert_int_equal(ctl(a, EPOLL_CTL_MOD, two, EPOLLOUT, 5), 0);
  fake_release(FAKE_OK);
  expect(a, WAIT_MS, EPOLLOUT, 5);
  expect(b, WAIT_MS, EPOLLOUT, 3);
  done(fd);
  done(two);
  done(a);
  done(b);
}

static void timeouts_go_on_counting(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int ep = ep_new(), fd = pending_socket();
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1), 0);
  pthread_t t = later(FAKE_OK);
  int64_t start = now_ms();
  expect(ep, 2000, 0, 0); /* connected on the way, nothing to read */
  assert_true(now_ms() - start >= 1999);
  assert_int_equal(fake_kind(fd), SOCK_CONN);
  pthread_join(t, NULL);
  done(fd);
  done(ep);
}

/* A thread that waits in the kernel when nothing is pending yet. */
static void a_waiter_from_before_is_told_too(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int ep = ep_new(), fd = fake_socket(&fake_wrapped, true);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 7), 0);
  expect(ep, 0, EPOLLOUT | EPOLLHUP, 7);
  assert_int_equal(pending_count, 0);
  pthread_t w;
  void *seen;
  pthread_create(&w, NULL, wait_and_record, &ep);
  usleep(100000);
  assert_int_equal(CONNECT(fd), -1);
  usleep(100000);
  fake_release(FAKE_OK);
  pthread_join(w, &seen);
  assert_int_equal((uintptr_t)seen, EPOLLOUT);
  done(fd);
  done(ep);
}

static void *churn(void *arg) {
  int ep = *(int *)arg;
  uintptr_t bad = 0;
  struct epoll_event ev[8];
  for (int64_t end = now_ms() + 1500; now_ms() < end;) {
    int n = epoll_wait(ep, ev, 8, 20);
    for (int i = 0; i < n; i++)
      bad += ev[i].data.u64 >> 32 != 0xabcd; /* a tag, or garbage */
  }
  return (void *)bad;
}

static void no_thread_ever_sees_a_tag(void **state) {
  (void)state;
  int ep = ep_new();
  pthread_t t[3];
  fake_reset(FAKE_OK);
  for (int i = 0; i < 3; i++)
    pthread_create(&t[i], NULL, churn, &ep);
  for (int64_t end = now_ms() + 1300, i = 0; now_ms() < end; i++) {
    int fd = fake_socket(&fake_wrapped, true);
    if (i & 1)
      ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 0xabcd00000000 | (unsigned)fd);
    CONNECT(fd);
    if (!(i & 1))
      ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | (i & 2 ? EPOLLONESHOT : 0), 0xabcd00000000 | (unsigned)fd);
    for (int k = 0; k < 100000 && fake_kind(fd) != SOCK_CONN; k++) /* 20 s and more */
      usleep(200);
    assert_int_equal(fake_kind(fd), SOCK_CONN);
    done(fd);
    struct pollfd p = {.fd = fake_net.open_fd, .events = POLLIN};
    while (libc_real()->poll(&p, 1, 0) > 0)
      libc_real()->close(libc_real()->accept(fake_net.open_fd, NULL, NULL));
  }
  for (int i = 0; i < 3; i++) {
    void *bad;
    pthread_join(t[i], &bad);
    assert_int_equal((uintptr_t)bad, 0);
  }
  done(ep);
}

/* Parent and child wait on one set; whoever takes the reply socket out puts TCP back, once. */
static void a_set_shared_with_a_child(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int ep = ep_new(), fd = pending_socket(), status;
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT, 9), 0);
  pid_t pid = fake_fork();
  if (pid == 0) {
    struct epoll_event ev = {0};
    int n = epoll_wait(ep, &ev, 1, WAIT_MS);
    /* The parent may have been faster; then the first call on the socket finds that out. */
    struct sock *s = fdtab_get(fd);
    _exit(n == 1 && ev.events == EPOLLOUT && ev.data.u64 == 9 && pending_settle(s, fd) == SOCK_CONN ? 0 : 1);
  }
  pthread_t t = later(FAKE_OK);
  expect(ep, WAIT_MS, EPOLLOUT, 9);
  waitpid(pid, &status, 0);
  assert_int_equal(status, 0);
  pthread_join(t, NULL);
  expect(ep, 0, EPOLLOUT, 9);
  done(fd);
  done(ep);
}

static void nested_sets_work(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int in = ep_new(), out = ep_new(), fd = pending_socket();
  assert_int_equal(ctl(in, EPOLL_CTL_ADD, fd, EPOLLOUT, 1), 0);
  assert_int_equal(ctl(out, EPOLL_CTL_ADD, in, EPOLLIN, 2), 0);
  expect(out, 30, 0, 0);
  fake_release(FAKE_OK);
  expect(out, WAIT_MS, EPOLLIN, 2);
  expect(in, 0, EPOLLOUT, 1);
  done(fd);
  done(in);
  done(out);
}

/* The connect() is made by a blocking call of another thread: there is no reply socket for a while. */
static void *blocking_connect(void *arg) {
  int fd = *(int *)arg;
  return (void *)(intptr_t)CONNECT(fd);
}
static void others_may_wait_for_a_blocking_connect(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int ep = ep_new(), fd = fake_socket(&fake_wrapped, false);
  void *rc;
  pthread_t c;
  pthread_create(&c, NULL, blocking_connect, &fd);
  while (fake_kind(fd) != SOCK_PENDING)
    usleep(1000);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT, 1), 0);
  expect(ep, 30, 0, 0);
  pthread_t t = later(FAKE_OK);
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  assert_int_equal(poll(&p, 1, WAIT_MS), 1);
  assert_int_equal(p.revents, POLLOUT);
  expect(ep, WAIT_MS, EPOLLOUT, 1);
  pthread_join(t, NULL);
  pthread_join(c, &rc);
  assert_int_equal((intptr_t)rc, 0);
  done(fd);
  done(ep);
}

static void unsent_bytes_are_flushed_while_waiting(void **state) {
  (void)state;
  fake_reset(FAKE_OK);
  int fd = fake_socket(&fake_wrapped, false), quiet = eventfd(0, 0);
  assert_int_equal(CONNECT(fd), 0);
  struct pollfd p = {.fd = quiet, .events = POLLIN};
  atomic_store(&conn_unsent, 1);
  assert_int_equal(poll(&p, 1, 50), 0);
  assert_int_equal(conn_unsent, 0);
  atomic_store(&conn_unsent, 1);
  int ep = ep_new();
  expect(ep, 50, 0, 0);
  assert_int_equal(conn_unsent, 0);
  close(quiet);
  done(fd);
  done(ep);
}

/* -- pieces of records -- */

/* A protected connection whose bytes come through a socket pair. */
static int data_socket(int *peer) {
  int fd = fake_socket(&fake_wrapped, false), pair[2];
  assert_int_equal(CONNECT(fd), 0);
  assert_int_equal(fake_kind(fd), SOCK_CONN);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  assert_int_equal(libc_real()->dup2(pair[0], fd), fd);
  libc_real()->close(pair[0]);
  *peer = pair[1];
  return fd;
}

static void *sends_pieces(void *peer) {
  for (const char *p = "pppx"; *p; p++) {
    usleep(30000);
    assert_int_equal(write(*(int *)peer, p, 1), 1);
  }
  return NULL;
}

static void a_piece_of_a_record_does_not_wake_poll(void **state) {
  (void)state;
  fake_reset(FAKE_OK);
  int peer, fd = data_socket(&peer);
  for (int pending = 0; pending < 2; pending++) { /* alone, and beside a connect that is pending */
    int other = pending ? (fake_reset(FAKE_HOLD), pending_socket()) : -1;
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = other, .events = POLLOUT}};
    char byte;
    for (int timeout = 0; timeout < 60; timeout += 50) {
      assert_int_equal(write(peer, "p", 1), 1);
      assert_int_equal(poll(p, 2, timeout), 0);
      assert_int_equal(p[0].revents, 0);
    }
    pthread_t t;
    pthread_create(&t, NULL, sends_pieces, &peer);
    assert_int_equal(poll(p, 2, -1), 1);
    assert_int_equal(p[0].revents, POLLIN);
    pthread_join(t, NULL);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    p[0].events = POLLIN | POLLOUT; /* the other half of the news stays */
    assert_int_equal(write(peer, "p", 1), 1);
    assert_int_equal(poll(p, 2, -1), 1);
    assert_int_equal(p[0].revents, POLLOUT);
    if (other >= 0)
      done(other);
  }
  int fl = fcntl(
      fd, F_GETFL); /* nor one in O_NONBLOCK, where an EAGAIN after "readable" ends some programs' connections */
  assert_int_equal(fcntl(fd, F_SETFL, fl | O_NONBLOCK), 0);
  struct pollfd p = {.fd = fd, .events = POLLIN};
  assert_int_equal(write(peer, "p", 1), 1);
  assert_int_equal(poll(&p, 1, 0), 0);
  close(peer);
  done(fd);
}

static void a_piece_of_a_record_does_not_wake_select(void **state) {
  (void)state;
  fake_reset(FAKE_OK);
  int peer, fd = data_socket(&peer);
  fd_set r, w;
  struct timeval t = {.tv_usec = 50000};
  FD_ZERO(&r);
  FD_ZERO(&w);
  FD_SET(fd, &r);
  assert_int_equal(write(peer, "p", 1), 1);
  assert_int_equal(select(fd + 1, &r, NULL, NULL, &t), 0);
  assert_false(FD_ISSET(fd, &r));
  FD_SET(fd, &r);
  FD_SET(fd, &w);
  assert_int_equal(write(peer, "p", 1), 1);
  assert_int_equal(select(fd + 1, &r, &w, NULL, NULL), 1);
  assert_false(FD_ISSET(fd, &r));
  assert_true(FD_ISSET(fd, &w));
  FD_SET(fd, &r);
  FD_CLR(fd, &w);
  pthread_t thread;
  pthread_create(&thread, NULL, sends_pieces, &peer);
  assert_int_equal(select(fd + 1, &r, &w, NULL, NULL), 1);
  assert_true(FD_ISSET(fd, &r));
  pthread_join(thread, NULL);
  close(peer);
  done(fd);
}

/* Level-triggered and one-shot, in a set that has it since before the connect (a second one: since after), alone and
 * beside a connect that is pending. */
static void a_piece_of_a_record_does_not_wake_epoll(void **state) {
  (void)state;
  for (int turn = 0; turn < 8; turn++) {
    fake_reset(FAKE_OK);
    uint32_t once = turn & 1 ? EPOLLONESHOT : 0;
    int peer, ep = ep_new(), fd = data_socket(&peer), other = -1;
    if (turn & 2)
      other = (fake_reset(FAKE_HOLD), pending_socket());
    if (turn & 4) {
      assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 4), 0); /* not one that is looked at, yet */
      assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | once, 5), 0);
    } else {
      assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | once, 5), 0);
    }
    for (int timeout = 0; timeout < 60; timeout += 50) {
      assert_int_equal(write(peer, "p", 1), 1);
      expect(ep, timeout, 0, 0);
    }
    pthread_t t;
    pthread_create(&t, NULL, sends_pieces, &peer);
    expect(ep, -1, EPOLLIN, 5);
    pthread_join(t, NULL);
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | once, 6), 0);
    assert_int_equal(write(peer, "p", 1), 1);
    expect(ep, -1, EPOLLOUT, 6); /* the other half of the news stays */
    close(peer);
    if (other >= 0)
      done(other);
    done(fd);
    done(ep);
  }
}

/* Nobody can tell which of two descriptors with the same data it is about: nothing is taken back. */
static void a_piece_of_one_of_two_with_the_same_data_is_told(void **state) {
  (void)state;
  fake_reset(FAKE_OK);
  int peer[2], ep = ep_new(), a = data_socket(&peer[0]), b = data_socket(&peer[1]);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN, 5), 0);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, b, EPOLLIN, 5), 0);
  assert_int_equal(write(peer[0], "p", 1), 1);
  expect(ep, 0, EPOLLIN, 5);
  assert_int_equal(ctl(ep, EPOLL_CTL_DEL, b, 0, 0), 0);
  expect(ep, 0, 0, 0);
  for (int i = 0; i < 2; i++)
    close(peer[i]);
  done(a);
  done(b);
  done(ep);
}

/* listen() puts a stand-in over the number: registrations go along, and the old file reports no more. */
static void a_listener_keeps_its_registrations(void **state) {
  (void)state;
  fake_reset(FAKE_OK);
  int ep = ep_new(), fd = fake_socket(&fake_wrapped, false);
  assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 5), 0);
  int hidden = libc_real()->fcntl(fd, F_DUPFD_CLOEXEC, 100), stand_in = eventfd(0, 0);
  epollreg_detach(fd);
  assert_int_equal(libc_real()->dup3(stand_in, fd, 0), fd);
  struct sock *s = sock_new(SOCK_LISTENER);
  fdtab_set(fd, s);
  epollreg_rearm(fd);
  expect(ep, 30, 0, 0); /* the hidden socket, not connected, would say EPOLLHUP */
  eventfd_write(stand_in, 1);
  expect(ep, WAIT_MS, EPOLLIN, 5);
  assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 6), 0);
  expect(ep, 0, EPOLLIN, 6);
  assert_int_equal(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0), 0);
  sock_put(s);
  done(fd);
  libc_real()->close(hidden);
  close(stand_in);
  done(ep);
}

static void closing_a_set_forgets_it(void **state) {
  (void)state;
  fake_reset(FAKE_HOLD);
  int fd = fake_socket(&fake_wrapped, true);
  for (int i = 0; i < 200; i++) {
    int ep = ep_new();
    assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 5), 0);
    done(ep);
  }
  int ep = ep_new();
  assert_int_equal(CONNECT(fd), -1);
  fake_release(FAKE_OK);
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  assert_int_equal(poll(&p, 1, WAIT_MS), 1);
  expect(ep, 0, 0, 0); /* the number was another set's: this one never had it */
  done(fd);
  done(ep);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(poll_waits_for_the_answer),
      cmocka_unit_test(poll_wakes_only_for_what_was_asked),
      cmocka_unit_test(poll_with_many_descriptors),
      cmocka_unit_test(ppoll_takes_signals_atomically),
      cmocka_unit_test(select_is_exact),
      cmocka_unit_test(select_tells_of_the_connect),
      cmocka_unit_test(epoll_registered_after_connect),
      cmocka_unit_test(epoll_registered_before_connect),
      cmocka_unit_test(a_failed_connect_in_epoll),
      cmocka_unit_test(a_fired_one_shot_stays_disarmed),
      cmocka_unit_test(a_muted_one_shot_reports_no_error_either),
      cmocka_unit_test(changes_while_pending_count),
      cmocka_unit_test(two_numbers_and_two_sets),
      cmocka_unit_test(timeouts_go_on_counting),
      cmocka_unit_test(a_waiter_from_before_is_told_too),
      cmocka_unit_test(no_thread_ever_sees_a_tag),
      cmocka_unit_test(a_set_shared_with_a_child),
      cmocka_unit_test(nested_sets_work),
      cmocka_unit_test(others_may_wait_for_a_blocking_connect),
      cmocka_unit_test(unsent_bytes_are_flushed_while_waiting),
      cmocka_unit_test(a_piece_of_a_record_does_not_wake_poll),
      cmocka_unit_test(a_piece_of_a_record_does_not_wake_select),
      cmocka_unit_test(a_piece_of_a_record_does_not_wake_epoll),
      cmocka_unit_test(a_piece_of_one_of_two_with_the_same_data_is_told),
      cmocka_unit_test(a_listener_keeps_its_registrations),
      cmocka_unit_test(closing_a_set_forgets_it),
  };
  signal(SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests(tests, fake_setup, NULL);
}
