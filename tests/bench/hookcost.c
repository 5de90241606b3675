/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hookcost.c - nanoseconds of calls that svidwrap has no business with: libc's own function beside the one that the
 * program is given, in the same process and in turns of some 100 us, so that the machine's moods and the process's
 * own pages meet both alike. Without a preload both are the same function: what is then "added" is the measure's
 * error.
 *
 * usage: hookcost [PORT]    prints one JSON object; PORT: an unmanaged TCP listener on loopback
 *
 * For each call: the smallest mean of libc's own, for noise only ever adds, and what is added to it, the median of
 * the differences between neighbours.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCHES_MAX 1500

static int pipe_rd, pipe_wr, event, epoll, pair[2];
static struct sockaddr_in port;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int ok, const char *what) {
  if (!ok) {
    perror(what);
    exit(1);
  }
}

/* What the program is given, or libc's own: always called through a pointer, so that the call itself costs the same.
 */
struct calls {
  ssize_t (*read)(int, void *, size_t);
  ssize_t (*write)(int, const void *, size_t);
  ssize_t (*send)(int, const void *, size_t, int);
  ssize_t (*recv)(int, void *, size_t, int);
  int (*poll)(struct pollfd *, nfds_t, int);
  int (*epoll_wait)(int, struct epoll_event *, int, int);
  int (*dup)(int);
  int (*close)(int);
  int (*socket)(int, int, int);
  int (*connect)(int, const struct sockaddr *, socklen_t);
  int (*setsockopt)(int, int, int, const void *, socklen_t);
};

static struct calls libc, given;
static int printed;

static struct calls calls_of(void *where) {
  struct calls c;
#define FIND(name) must((*(void **)(&c.name) = dlsym(where, #name)) != NULL, #name)
  FIND(read);
  FIND(write);
  FIND(send);
  FIND(recv);
  FIND(poll);
  FIND(epoll_wait);
  FIND(dup);
  FIND(close);
  FIND(socket);
  FIND(connect);
  FIND(setsockopt);
#undef FIND
  return c;
}

static void null_read(const struct calls *c) {
  char byte;
  must(c->read(pipe_rd, &byte, 0) == 0, "read");
}

static void null_write(const struct calls *c) { must(c->write(pipe_wr, "", 0) == 0, "write"); }

static void event_pair(const struct calls *c) {
  uint64_t one = 1;
  must(c->write(event, &one, sizeof one) == sizeof one, "write");
  must(c->read(event, &one, sizeof one) == sizeof one, "read");
}

static void stream_pair(const struct calls *c) {
  char byte = 'x';
  must(c->send(pair[0], &byte, 1, 0) == 1, "send");
  must(c->recv(pair[1], &byte, 1, 0) == 1, "recv");
}

static void null_poll(const struct calls *c) {
  struct pollfd p = {.fd = pipe_wr, .events = POLLOUT};
  must(c->poll(&p, 1, 0) == 1, "poll");
}

static void null_epoll(const struct calls *c) {
  struct epoll_event ev;
  must(c->epoll_wait(epoll, &ev, 1, 0) == 1, "epoll_wait");
}

static void dup_close(const struct calls *c) {
  int fd = c->dup(pipe_rd);
  must(fd >= 0 && c->close(fd) == 0, "dup");
}

static void tcp_connect(const struct calls *c) {
  int fd = c->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct linger now = {.l_onoff = 1};
  must(fd >= 0 && c->connect(fd, (struct sockaddr *)&port, sizeof port) == 0, "connect");
  c->setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* no TIME_WAIT, no full port range */
  c->close(fd);
}

static double mean_of(void (*op)(const struct calls *), const struct calls *c, int times) {
  double start = now_ns();
  for (int i = 0; i < times; i++)
    op(c);
  return (now_ns() - start) / times;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(const char *name, void (*op)(const struct calls *), int batches, int times) {
  static double added[BATCHES_MAX];
  double least = 1e18;
  for (int b = 0; b < batches; b++) {
    bool given_first = b % 2 != 0;
    double first = mean_of(op, given_first ? &given : &libc, times),
           second = mean_of(op, given_first ? &libc : &given, times);
    double theirs = given_first ? second : first;
    added[b] = (given_first ? first : second) - theirs;
    least = theirs < least ? theirs : least;
  }
  qsort(added, (size_t)batches, sizeof *added, compare);
  printf("%s\"%s\": {\"libc\": %.2f, \"added\": %.2f}", printed++ ? ", " : "{", name, least, added[batches / 2]);
}

int main(int argc, char **argv) {
  int p[2];
  void *c_library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  must(c_library != NULL, "libc.so.6");
  libc = calls_of(c_library);
  given = calls_of(RTLD_DEFAULT);
  must(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "pipe");
  pipe_rd = p[0];
  pipe_wr = p[1];
  event = eventfd(0, 0);
  epoll = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLOUT};
  must(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_wr, &ev) == 0, "epoll_ctl");
  measure("read of 0 bytes", null_read, 1500, 1000);
  measure("write of 0 bytes", null_write, 1500, 1000);
  measure("poll of one", null_poll, 1500, 500);
  measure("epoll_wait of one", null_epoll, 1500, 500);
  measure("eventfd write+read", event_pair, 700, 500);
  measure("unix socket send+recv", stream_pair, 700, 300);
  measure("dup+close", dup_close, 700, 300);
  if (argc > 1) {
    port.sin_family = AF_INET;
    port.sin_port = htons((uint16_t)atoi(argv[1]));
    port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    measure("unmanaged socket+connect+close", tcp_connect, 100, 20);
  }
  puts("}");
  return 0;
}
