/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hookcost.c - nanoseconds of calls that svidwrap has no business with. Run plain and under the shim; the
 * difference is what the hooks cost a program on descriptors that no rule covers.
 *
 * usage: hookcost [PORT]    prints one JSON object; PORT: an unmanaged TCP listener on loopback
 *
 * Each figure is the smallest mean over many short batches: noise only ever adds.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

static void null_read(void) {
  char c;
  must(read(pipe_rd, &c, 0) == 0, "read");
}

static void null_write(void) { must(write(pipe_wr, "", 0) == 0, "write"); }

static void event_pair(void) {
  uint64_t one = 1;
  must(write(event, &one, sizeof one) == sizeof one, "write");
  must(read(event, &one, sizeof one) == sizeof one, "read");
}

static void stream_pair(void) {
  char c = 'x';
  must(send(pair[0], &c, 1, 0) == 1, "send");
  must(recv(pair[1], &c, 1, 0) == 1, "recv");
}

static void null_poll(void) {
  struct pollfd p = {.fd = pipe_wr, .events = POLLOUT};
  must(poll(&p, 1, 0) == 1, "poll");
}

static void null_epoll(void) {
  struct epoll_event ev;
  must(epoll_wait(epoll, &ev, 1, 0) == 1, "epoll_wait");
}

static void dup_close(void) {
  int fd = dup(pipe_rd);
  must(fd >= 0 && close(fd) == 0, "dup");
}

static void tcp_connect(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct linger now = {.l_onoff = 1};
  must(fd >= 0 && connect(fd, (struct sockaddr *)&port, sizeof port) == 0, "connect");
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* no TIME_WAIT, no full port range */
  close(fd);
}

static double best(void (*call)(void), int batches, int calls) {
  double least = 1e18;
  for (int b = 0; b < batches; b++) {
    double start = now_ns();
    for (int i = 0; i < calls; i++)
      call();
    double mean = (now_ns() - start) / calls;
    if (mean < least)
      least = mean;
  }
  return least;
}

int main(int argc, char **argv) {
  int p[2];
  must(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "pipe");
  pipe_rd = p[0];
  pipe_wr = p[1];
  event = eventfd(0, 0);
  epoll = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLOUT};
  must(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_wr, &ev) == 0, "epoll_ctl");
  printf("{\"read of 0 bytes\": %.2f, ", best(null_read, 300, 5000));
  printf("\"write of 0 bytes\": %.2f, ", best(null_write, 300, 5000));
  printf("\"eventfd write+read\": %.2f, ", best(event_pair, 300, 2000));
  printf("\"unix socket send+recv\": %.2f, ", best(stream_pair, 300, 1000));
  printf("\"poll of one\": %.2f, ", best(null_poll, 300, 2000));
  printf("\"epoll_wait of one\": %.2f, ", best(null_epoll, 300, 2000));
  printf("\"dup+close\": %.2f", best(dup_close, 300, 1000));
  if (argc > 1) {
    port.sin_family = AF_INET;
    port.sin_port = htons((uint16_t)atoi(argv[1]));
    port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    printf(", \"unmanaged socket+connect+close\": %.0f", best(tcp_connect, 40, 50));
  }
  puts("}");
  return 0;
}
