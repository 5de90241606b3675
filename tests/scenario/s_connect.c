/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_connect.c - connect() in all its states: refused, in progress, timed out, twice, interrupted.
 *
 * On dead_port the harness leaves the native program in SYN_SENT (a full backlog) and the wrapped one in front of
 * a TCP server that never says a word: to a program both must look the same.
 */
#include "scenario.h"

static void say_so_error(int fd) {
  int error = -1;
  socklen_t len = sizeof error;
  CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
  say("SO_ERROR %s", errno_name(error));
}

static void say_peer(int fd) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  CALL(getpeername(fd, (struct sockaddr *)&a, &len));
}

static void refused_blocking(void) {
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say_so_error(c);
  say_peer(c);
  say_poll("after", c, POLLIN | POLLOUT, 0);
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  CALL(close(c));
}

static void refused_nonblock(void) {
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, port));
  wait_mask(c, POLLIN | POLLOUT, POLLERR);
  say_poll("refused", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  say_so_error(c);
  say_so_error(c);
  say_poll("after SO_ERROR", c, POLLIN | POLLOUT | POLLRDHUP, 0);
  say_peer(c);
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
}

static void refused_by_second_connect(void) {
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, port));
  wait_mask(c, POLLIN | POLLOUT, POLLERR);
  CALL(connect_to(c, port));
  int l = listen_on(0, 8);
  CALL(connect_to(c, port));
  say_wait("again", c, POLLOUT);
  say_so_error(c);
  CALL(close(l));
}

static void refused_epoll(void) {
  int c = client_socket(SOCK_NONBLOCK), ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = 5};
  epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
  CALL(connect_to(c, port));
  wait_mask(c, POLLIN | POLLOUT, POLLERR);
  char m[64];
  CALL(epoll_wait(ep, &ev, 1, 5000));
  say("mask %s", mask_name((short)ev.events, m));
  say_so_error(c);
}

/* After a refusal the same socket may try again. */
static void refused_then_served(void) {
  int c = client_socket(0);
  CALL(connect_to(c, port));
  int l = listen_on(0, 8);
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}

static void twice(void) {
  int s, c, l;
  pair_keep(&l, &s, &c);
  CALL(connect_to(c, port));
  CALL(connect_to(s, port));
  CALL(listen(c, 5));
  CALL(accept(c, NULL, NULL));
  CALL(connect_to(l, port));
  CALL(write(c, "x", 1));
}

static void bad_arguments(void) {
  struct sockaddr_in a = at_port(port);
  int c = client_socket(0), u = socket(AF_UNIX, SOCK_STREAM, 0);
  CALL(connect(c, (struct sockaddr *)&a, 3));
  CALL(connect(-1, (struct sockaddr *)&a, sizeof a));
  CALL(connect(u, (struct sockaddr *)&a, sizeof a));
  struct sockaddr *volatile nowhere = (struct sockaddr *)8;
  CALL(connect(c, nowhere, sizeof a));
  int d = socket(AF_INET, SOCK_DGRAM, 0);
  CALL(connect(d, (struct sockaddr *)&a, sizeof a));
  a.sin_family = AF_UNIX;
  CALL(connect(c, (struct sockaddr *)&a, sizeof a));
}

static void own_source_port(void) {
  int l = listen_on(0, 8), c = client_socket(0), one = 1;
  struct sockaddr_in a = at_port(0), b, d;
  socklen_t len = sizeof b;
  setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  CALL(bind(c, (struct sockaddr *)&a, sizeof a));
  getsockname(c, (struct sockaddr *)&b, &len);
  CALL(connect_to(c, port));
  len = sizeof d;
  int s = accept(l, (struct sockaddr *)&d, &len);
  say("accepted %d, from the bound port: %d", s >= 0, b.sin_port == d.sin_port);
}

static void disconnect(void) {
  int l, s, c;
  char buf[10];
  pair_keep(&l, &s, &c);
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  CALL(connect(c, &none, sizeof none));
  say_peer(c);
  wait_mask(s, POLLIN, POLLIN);
  CALL(read(s, buf, sizeof buf));
  CALL(connect_to(c, port));
  int t = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(t, 100, 0, 100));
}

static void dead_timeout(void) {
  int c = client_socket(0);
  struct timeval t = {0, 200000};
  CALL(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
  CALL(connect_to(c, dead_port));
  say_so_error(c);
  CALL(connect_to(c, dead_port));
  say_peer(c);
  say_poll("in progress", c, POLLIN | POLLOUT, 50);
}

static void dead_nonblock(void) {
  int c = client_socket(SOCK_NONBLOCK);
  char buf[10];
  CALL(connect_to(c, dead_port));
  CALL(connect_to(c, dead_port));
  say_poll("in progress", c, POLLIN | POLLOUT | POLLRDHUP, 50);
  say_so_error(c);
  say_peer(c);
  CALL(write(c, "x", 1));
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  CALL(read(c, buf, sizeof buf));
  CALL(recv(c, buf, sizeof buf, MSG_PEEK));
  int d = dup(c);
  say_poll("its dup", d, POLLIN | POLLOUT, 50);
  CALL(connect_to(d, dead_port));
  CALL(listen(c, 5));
  CALL(close(c));
  say_poll("its dup", d, POLLIN | POLLOUT, 50);
  CALL(close(d));
}

static void dead_wait_calls(void) {
  int c = client_socket(SOCK_NONBLOCK), ep = epoll_create1(0), ep2 = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLOUT | EPOLLIN, .data.u32 = 5};
  epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
  CALL(connect_to(c, dead_port));
  epoll_ctl(ep2, EPOLL_CTL_ADD, c, &ev);
  CALL(epoll_wait(ep, &ev, 1, 50));
  CALL(epoll_wait(ep2, &ev, 1, 50));
  fd_set r, w;
  FD_ZERO(&r);
  FD_ZERO(&w);
  FD_SET(c, &r);
  FD_SET(c, &w);
  struct timeval t = {0, 50000};
  CALL(select(c + 1, &r, &w, NULL, &t));
  struct pollfd p = {.fd = c, .events = POLLOUT};
  struct timespec ts = {0, 50000000};
  CALL(ppoll(&p, 1, &ts, NULL));
  pid_t kid = fork();
  if (kid == 0) {
    role("child");
    say_poll("in progress", c, POLLIN | POLLOUT, 50);
    CALL(connect_to(c, dead_port));
    _exit(0);
  }
  child_status(kid);
  say_poll("in progress", c, POLLIN | POLLOUT, 50);
}

static void dead_shutdown(void) {
  int c = client_socket(SOCK_NONBLOCK);
  CALL(connect_to(c, dead_port));
  CALL(shutdown(c, SHUT_RDWR));
  say_poll("after", c, POLLIN | POLLOUT, 0);
  CALL(close(c));
}

static void on_signal(int sig) { (void)sig; }

static void dead_interrupted(void) {
  int c = client_socket(0);
  struct sigaction sa = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &sa, NULL);
  pid_t me = getpid(), kid = fork();
  if (kid == 0) {
    nap(150);
    kill(me, SIGUSR1);
    _exit(0);
  }
  CALL(connect_to(c, dead_port));
  say_poll("still in progress", c, POLLIN | POLLOUT, 30);
  set_nonblock(c, true);
  CALL(connect_to(c, dead_port));
  CALL(close(c));
  while (waitpid(kid, NULL, 0) < 0 && errno == EINTR) {
  }
}

static void *hangs(void *arg) {
  int c = *(int *)arg;
  connect_to(c, dead_port);
  return NULL;
}

/* The program may end while a thread of it is in connect(). */
static void dead_exit(void) {
  pid_t kid = fork();
  if (kid == 0) {
    static int c;
    c = client_socket(0);
    thread(hangs, &c);
    nap(100);
    exit(7);
  }
  child_status(kid);
}

static void any_family(void) {
  int off = 0, one = 1, l = socket(AF_INET6, SOCK_STREAM, 0);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  CALL(bind(l, (struct sockaddr *)&any, sizeof any));
  CALL(listen(l, 8));
  const char *to[] = {"::1", "::ffff:127.0.0.1"};
  for (int i = 0; i < 3; i++) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)}, got;
    int c = socket(i < 2 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (i < 2) {
      inet_pton(AF_INET6, to[i], &a.sin6_addr);
      CALL(connect(c, (struct sockaddr *)&a, sizeof a));
    } else {
      CALL(connect_to(c, port));
    }
    socklen_t len = sizeof got;
    int s = accept(l, (struct sockaddr *)&got, &len);
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof text);
    say("accepted %d from %s, family %d, length %u", s >= 0, text, got.sin6_family == AF_INET6, len);
    len = sizeof got;
    CALL(getpeername(s, (struct sockaddr *)&got, &len));
    inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof text);
    say("peer %s", text);
    say("wrote %zu", write_all(c, 100, 0, 100));
    say("read %zu", read_all(s, 100, 0, 100));
    close(c);
    close(s);
  }
}

const struct scenario s_connect[] = {{"refused_blocking", refused_blocking},
                                     {"refused_nonblock", refused_nonblock},
                                     {"refused_by_second_connect", refused_by_second_connect},
                                     {"refused_epoll", refused_epoll},
                                     {"refused_then_served", refused_then_served},
                                     {"twice", twice},
                                     {"bad_arguments", bad_arguments},
                                     {"own_source_port", own_source_port},
                                     {"disconnect", disconnect},
                                     {"dead_timeout", dead_timeout},
                                     {"dead_nonblock", dead_nonblock},
                                     {"dead_wait_calls", dead_wait_calls},
                                     {"dead_shutdown", dead_shutdown},
                                     {"dead_interrupted", dead_interrupted},
                                     {"dead_exit", dead_exit},
                                     {"any_family", any_family},
                                     {NULL, NULL}};
