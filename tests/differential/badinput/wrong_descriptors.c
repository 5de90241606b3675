/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

/* Every call, on a number that stands for nothing, for a file, a pipe, an epoll set, and one out of range. */
static void every_call(const char *what, int fd) {
  char b[100];
  struct sockaddr_in a = at_port(port);
  struct sockaddr_storage name;
  socklen_t len = sizeof name;
  struct iovec v = {b, 4};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  struct mmsghdr mm = {.msg_hdr = m};
  struct linger l = {0};
  int n = 0;
  socklen_t n_len = sizeof n;
  struct epoll_event ev = {.events = EPOLLIN};
  int ep = epoll_create1(EPOLL_CLOEXEC);
  say("-- %s", what);
  CALL(recv(fd, b, 4, MSG_DONTWAIT));
  CALL(send(fd, b, 4, MSG_NOSIGNAL));
  CALL(recvfrom(fd, b, 4, MSG_DONTWAIT, NULL, NULL));
  CALL(sendto(fd, b, 4, MSG_NOSIGNAL, (struct sockaddr *)&a, sizeof a));
  CALL(recvmsg(fd, &m, MSG_DONTWAIT));
  CALL(sendmsg(fd, &m, MSG_NOSIGNAL));
  CALL(recvmmsg(fd, &mm, 1, MSG_DONTWAIT, NULL));
  CALL(sendmmsg(fd, &mm, 1, MSG_NOSIGNAL));
  CALL(bind(fd, (struct sockaddr *)&a, sizeof a));
  CALL(listen(fd, 5));
  CALL(connect(fd, (struct sockaddr *)&a, sizeof a));
  CALL(accept(fd, NULL, NULL));
  CALL(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
  CALL(shutdown(fd, SHUT_RDWR));
  CALL(getsockname(fd, (struct sockaddr *)&name, &len));
  CALL(getpeername(fd, (struct sockaddr *)&name, &len));
  CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &n, &n_len));
  CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
  CALL(isatty(fd));
  CALL(epoll_ctl(fd, EPOLL_CTL_ADD, ep, &ev));
  CALL(epoll_wait(fd, &ev, 1, 0));
  CALL(sendfile(fd, fd, NULL, 10));
  CALL(splice(fd, NULL, fd, NULL, 10, SPLICE_F_NONBLOCK));
  CALL(pread(fd, b, 1, -5));
  CALL(pwrite(fd, b, 1, -5));
  close(ep);
}

static void numbers(int fd) {
  char b[4];
  struct epoll_event ev = {.events = EPOLLIN};
  int ep = epoll_create1(EPOLL_CLOEXEC);
  CALL(read(fd, b, 4));
  CALL(read(fd, b, 0));
  CALL(write(fd, b, 4));
  CALL(write(fd, b, 0));
  CALL(readv(fd, &(struct iovec){b, 1}, 1));
  CALL(writev(fd, &(struct iovec){b, 1}, 1));
  CALL(readv(fd, NULL, 0));
  CALL(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
  CALL(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
  CALL(fcntl(fd, F_GETFL));
  CALL(fcntl(fd, F_DUPFD, 0));
  CALL(ioctl(fd, FIONREAD, b));
  CALL(dup(fd));
  CALL(dup2(fd, 50));
  CALL(dup2(fd, fd));
  CALL(dup3(fd, 50, 0));
  CALL(dup3(fd, fd, 0));
  say_poll("poll", fd, POLLIN, 0);
  CALL(close(fd));
  close(ep);
}

SCENARIO("What do all calls answer for descriptors that are closed, out of range, or of another kind?") {
  int s, c, p[2];
  pair(&s, &c);
  CALL(pipe(p));
  int f = open("/dev/null", O_RDWR), ep = epoll_create1(0), d = open("/", O_RDONLY);
  every_call("closed", 77);
  every_call("minus one", -1);
  every_call("out of range", 5000000);
  every_call("largest", INT_MAX);
  every_call("smallest", INT_MIN);
  every_call("the shim's table ends", 1 << 20);
  every_call("null", f);
  every_call("pipe", p[0]);
  every_call("epoll", ep);
  every_call("directory", d);
  numbers(77);
  numbers(-1);
  numbers(INT_MAX);
  numbers(1 << 20);
  close(c);
  every_call("a closed connection", c);
  numbers(c);
  CALL(close(s));
}
