/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_signal.c - signals in the middle of blocked calls: EINTR, SA_RESTART, handlers that close or jump away.
 */
#include "scenario.h"

#include <setjmp.h>

static volatile sig_atomic_t caught;
static int other_fd = -1;
static sigjmp_buf back;

static void counts(int sig) {
  (void)sig;
  caught++;
}
static void writes_other(int sig) {
  (void)sig;
  if (write(other_fd, "from the handler", 16) != 16)
    caught = -100;
  caught++;
}
static void closes_other(int sig) {
  (void)sig;
  close(other_fd);
  caught++;
}
static void jumps(int sig) {
  (void)sig;
  caught++;
  siglongjmp(back, 1);
}

static void on(void (*fn)(int), int flags) {
  struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};
  sigaction(SIGUSR1, &sa, NULL);
  caught = 0;
}

/* Sends the signal to this process after a while: from a child, so that no timer is involved. */
static pid_t signal_soon(void) {
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    nap(120);
    kill(me, SIGUSR1);
    _exit(0);
  }
  return kid;
}
static void reap(pid_t kid) {
  while (waitpid(kid, NULL, 0) < 0 && errno == EINTR) {
  }
}

static void eintr_read(void) {
  int s, c;
  char b[100];
  pair(&s, &c);
  on(counts, 0);
  pid_t kid = signal_soon();
  CALL(read(s, b, sizeof b));
  reap(kid);
  kid = signal_soon();
  CALL(recv(s, b, sizeof b, MSG_WAITALL));
  reap(kid);
  kid = signal_soon();
  CALL(recv(s, b, sizeof b, MSG_PEEK));
  reap(kid);
  write_all(c, 50, 0, 50);
  kid = signal_soon();
  CALL(recv(s, b, sizeof b, MSG_WAITALL));
  reap(kid);
  say("same %d, signals %d", same(b, 50, 0), (int)caught);
  write_all(c, 50, 50, 50);
  CALL(recv(s, b, 50, MSG_WAITALL));
  say("same %d", same(b, 50, 50));
}

static void restart_read(void) {
  int s, c;
  char b[100];
  pair(&s, &c);
  other_fd = c;
  on(writes_other, SA_RESTART);
  pid_t kid = signal_soon();
  CALL(read(s, b, sizeof b));
  reap(kid);
  say("signals %d", (int)caught);
}

static void eintr_accept(void) {
  int l = listen_on(0, 8);
  on(counts, 0);
  pid_t kid = signal_soon();
  CALL(accept(l, NULL, NULL));
  reap(kid);
  on(counts, SA_RESTART);
  pid_t me = getpid();
  kid = fork();
  if (kid == 0) {
    nap(100);
    kill(me, SIGUSR1);
    nap(100);
    int c = client_socket(0);
    connect_to(c, port);
    write_all(c, 10, 0, 10);
    _exit(0);
  }
  int s = accept(l, NULL, NULL);
  say("accepted %d, read %zu, signals %d", s >= 0, read_all(s, 10, 0, 10), (int)caught);
  reap(kid);
}

static void eintr_waits(void) {
  int s, c, ep = epoll_create1(0);
  pair(&s, &c);
  struct pollfd p = {.fd = s, .events = POLLIN};
  struct epoll_event ev = {.events = EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
  fd_set r;
  FD_ZERO(&r);
  FD_SET(s, &r);
  on(counts, SA_RESTART);
  pid_t kid = signal_soon();
  CALL(poll(&p, 1, 5000));
  reap(kid);
  kid = signal_soon();
  CALL(select(s + 1, &r, NULL, NULL, NULL));
  reap(kid);
  kid = signal_soon();
  CALL(epoll_wait(ep, &ev, 1, 5000));
  reap(kid);
  say("signals %d", (int)caught);
}

/* While the connection is still being made, as above. */
static void eintr_waits_pending(void) {
  int c = client_socket(SOCK_NONBLOCK), ep = epoll_create1(0);
  CALL(connect_to(c, dead_port));
  struct pollfd p = {.fd = c, .events = POLLOUT};
  struct epoll_event ev = {.events = EPOLLOUT};
  epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
  fd_set w;
  FD_ZERO(&w);
  FD_SET(c, &w);
  on(counts, 0);
  pid_t kid = signal_soon();
  CALL(poll(&p, 1, 5000));
  reap(kid);
  kid = signal_soon();
  CALL(select(c + 1, NULL, &w, NULL, NULL));
  reap(kid);
  kid = signal_soon();
  CALL(epoll_wait(ep, &ev, 1, 5000));
  reap(kid);
}

static void eintr_write(void) {
  int s, c;
  static char b[16u << 20];
  pair(&s, &c);
  fill(b, sizeof b, 0);
  on(counts, 0);
  pid_t kid = signal_soon();
  ssize_t n = write(c, b, sizeof b); /* blocks: nobody reads */
  say("partly written: %d, signals %d", n > 0 && n < (ssize_t)sizeof b, (int)caught);
  reap(kid);
  kid = signal_soon();
  ssize_t m = 0;
  errno = 0;
  m = write(c, b, sizeof b); /* what fits by now, or EINTR */
  say("again: %s", m > 0 ? "EINTR" : errno_name(errno));
  size_t whole = (size_t)n;
  say("all there: %d", read_all(s, whole, 0, 65536) == whole);
  if (m > 0)
    say("and %d", read_all(s, (size_t)m, 0, 65536) == (size_t)m);
  else
    say("and 1");
  say("wrote %zu", write_all(c, 1000, 7, 1000));
  say("read %zu", read_all(s, 1000, 7, 1000));
  reap(kid);
}

static void many_signals(void) {
  int s, c;
  pair(&s, &c);
  on(counts, SA_RESTART);
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    for (int i = 0; i < 2000; i++) {
      kill(me, SIGUSR1);
      usleep(300);
    }
    _exit(0);
  }
  pid_t writer = fork();
  if (writer == 0) {
    close(s);
    write_all(c, 8u << 20, 0, 100003);
    _exit(0);
  }
  say("read %zu", read_all(s, 8u << 20, 0, 30011));
  say("signals: %d", caught > 0);
  reap(writer);
  reap(kid);
}

/* close() is async-signal-safe; a handler that closes another connection must not hang. */
static void handler_closes(void) {
  int s, c, l, s2, c2;
  char b[16];
  pair_keep(&l, &s, &c);
  c2 = client_socket(0);
  connect_to(c2, port);
  s2 = accept(l, NULL, NULL);
  other_fd = s2;
  on(closes_other, 0);
  pid_t kid = signal_soon();
  CALL(read(s, b, sizeof b));
  reap(kid);
  CALL(read(c2, b, sizeof b));
  say("signals %d", (int)caught);
  write_all(c, 10, 0, 10);
  say("read %zu", read_all(s, 10, 0, 10));
}

static void jump_out_of_read(void) {
  int s, c;
  char b[100];
  pair(&s, &c);
  on(jumps, SA_NODEFER);
  for (volatile int i = 0; i < 3; i++) {
    pid_t kid = signal_soon();
    if (sigsetjmp(back, 1) == 0)
      CALL(read(s, b, sizeof b));
    else
      say("jumped out");
    reap(kid);
  }
  write_all(c, 100, 0, 100);
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d, signals %d", same(b, 100, 0), (int)caught);
  write_all(s, 100, 0, 100);
  CALL(recv(c, b, 100, MSG_WAITALL));
  CALL(close(c));
  CALL(read(s, b, 1));
}

static void jump_out_of_accept(void) {
  int l = listen_on(0, 8), c = client_socket(0);
  on(jumps, SA_NODEFER);
  pid_t kid = signal_soon();
  if (sigsetjmp(back, 1) == 0)
    CALL(accept(l, NULL, NULL));
  else
    say("jumped out");
  reap(kid);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
  CALL(close(l));
}

static void jump_out_of_connect(void) {
  int c = client_socket(0);
  on(jumps, SA_NODEFER);
  pid_t kid = signal_soon();
  if (sigsetjmp(back, 1) == 0)
    CALL(connect_to(c, dead_port));
  else
    say("jumped out");
  reap(kid);
  say_poll("still in progress", c, POLLIN | POLLOUT, 30);
  CALL(close(c));
  int l = listen_on(0, 8), d = client_socket(0);
  CALL(connect_to(d, port));
  CALL(close(l));
}

static void *reads_on(void *arg) {
  char b[10];
  role("reader");
  int fd = *(int *)arg;
  ssize_t n = read(fd, b, sizeof b);
  say("ended: %d", n <= (ssize_t)sizeof b);
  return NULL;
}

/* close() while another thread reads: what the reader gets is not defined, but it ends when the peer does, and
 * nothing else breaks. */
static void close_under_reader(void) {
  int s, c, l;
  pair_keep(&l, &s, &c);
  pthread_t t = thread(reads_on, &s);
  nap(100);
  CALL(close(s));
  send(c, "0123456789", 10, MSG_NOSIGNAL);
  close(c);
  pthread_join(t, NULL);
  c = client_socket(0);
  CALL(connect_to(c, port));
  s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}

/* shutdown() is the defined way to wake a reader. */
static void shutdown_under_reader(void) {
  int s, c;
  pair(&s, &c);
  pthread_t t = thread(reads_on, &s);
  nap(100);
  CALL(shutdown(s, SHUT_RDWR));
  pthread_join(t, NULL);
  CALL(close(s));
  char b;
  CALL(read(c, &b, 1));
}

const struct scenario s_signal[] = {{"eintr_read", eintr_read},
                                    {"restart_read", restart_read},
                                    {"eintr_accept", eintr_accept},
                                    {"eintr_waits", eintr_waits},
                                    {"eintr_waits_pending", eintr_waits_pending},
                                    {"eintr_write", eintr_write},
                                    {"many_signals", many_signals},
                                    {"handler_closes", handler_closes},
                                    {"jump_out_of_read", jump_out_of_read},
                                    {"jump_out_of_accept", jump_out_of_accept},
                                    {"jump_out_of_connect", jump_out_of_connect},
                                    {"close_under_reader", close_under_reader},
                                    {"shutdown_under_reader", shutdown_under_reader},
                                    {NULL, NULL}};
