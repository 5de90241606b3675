/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_flags.c - flags, timeouts and odd sizes of reads and writes.
 */
#include "scenario.h"

static void peek(void) {
  int s, c;
  char b[200];
  pair(&s, &c);
  write_all(c, 100, 0, 100);
  say_wait("data", s, POLLIN);
  CALL(recv(s, b, 200, MSG_PEEK));
  say("same %d", same(b, 100, 0));
  CALL(recv(s, b, 10, MSG_PEEK));
  say_poll("still there", s, POLLIN, 0);
  CALL(recv(s, b, 60, 0));
  say("same %d", same(b, 60, 0));
  CALL(recv(s, b, 200, MSG_PEEK));
  say("same %d", same(b, 40, 60));
  CALL(recv(s, b, 40, 0));
  say("same %d", same(b, 40, 60));
  CALL(recv(s, b, 40, MSG_PEEK | MSG_DONTWAIT));
  close(c);
  CALL(recv(s, b, 40, MSG_PEEK));
  CALL(recv(s, b, 40, MSG_PEEK));
  CALL(recv(s, b, 40, 0));
}

static void peek_waitall(void) {
  int s, c;
  char b[200];
  pair(&s, &c);
  write_all(c, 100, 0, 100);
  CALL(recv(s, b, 100, MSG_PEEK | MSG_WAITALL));
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d", same(b, 100, 0));
}

static int waitall_client;
static void *second_half(void *arg) {
  (void)arg;
  nap(100);
  write_all(waitall_client, 50, 50, 50);
  nap(100);
  write_all(waitall_client, 30, 100, 7);
  shutdown(waitall_client, SHUT_WR);
  return NULL;
}

static void waitall(void) {
  int s;
  char b[200];
  pair(&s, &waitall_client);
  write_all(waitall_client, 50, 0, 50);
  pthread_t t = thread(second_half, NULL);
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d", same(b, 100, 0));
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d", same(b, 30, 100));
  CALL(recv(s, b, 100, MSG_WAITALL));
  pthread_join(t, NULL);
}

static void dontwait(void) {
  int s, c;
  char b[100];
  struct iovec v = {b, sizeof b};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  pair(&s, &c);
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT));
  CALL(recvmsg(s, &m, MSG_DONTWAIT));
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT | MSG_WAITALL));
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  write_all(c, 10, 0, 10);
  say_wait("data", s, POLLIN);
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT | MSG_WAITALL));
}

static void trunc_discards(void) {
  int s, c;
  char b[100];
  pair(&s, &c);
  write_all(c, 100, 0, 100);
  say_wait("data", s, POLLIN);
  CALL(recv(s, NULL, 30, MSG_TRUNC));
  CALL(recv(s, b, 20, MSG_TRUNC));
  CALL(recv(s, b, 50, 0));
  say("same %d", same(b, 50, 50));
  CALL(recv(s, NULL, 30, MSG_TRUNC | MSG_DONTWAIT));
}

static void from_and_to(void) {
  int s, c;
  char b[100];
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  pair(&s, &c);
  fill(b, 50, 0);
  a = at_port(port);
  CALL(sendto(c, b, 50, 0, (struct sockaddr *)&a, sizeof a));
  memset(&a, 0x55, sizeof a);
  CALL(recvfrom(s, b, 100, 0, (struct sockaddr *)&a, &len));
  say("length %u", len);
  CALL(send(c, b, 20, 0));
  struct iovec v = {b, sizeof b};
  char control[100];
  struct msghdr m = {.msg_name = &a,
                     .msg_namelen = sizeof a,
                     .msg_iov = &v,
                     .msg_iovlen = 1,
                     .msg_control = control,
                     .msg_controllen = sizeof control};
  wait_mask(s, POLLIN, POLLIN);
  CALL(recvmsg(s, &m, 0));
  say("name %u, control %zu, flags %d", m.msg_namelen, m.msg_controllen, m.msg_flags);
}

static void zero_length(void) {
  int s, c;
  char b[100];
  pair(&s, &c);
  CALL(write(c, b, 0));
  CALL(send(c, b, 0, 0));
  CALL(read(s, b, 0));
  CALL(recv(s, b, 0, MSG_DONTWAIT));
  write_all(c, 10, 0, 10);
  say_wait("data", s, POLLIN);
  CALL(read(s, b, 0));
  CALL(recv(s, b, 0, 0));
  CALL(read(s, b, 100));
  close(c);
  CALL(recv(s, b, 100, 0));
  CALL(recv(s, b, 0, 0));
}

static void bad_memory(void) {
  int s, c;
  char b[10];
  pair(&s, &c);
  char *volatile nowhere = (char *)8;
  CALL(write(c, nowhere, 10));
  CALL(write(c, b, 5));
  say_wait("data", s, POLLIN);
  CALL(recv(s, b, 10, 0));
}

static void oob_is_refused_or_works(void) {
  int s, c;
  char b[10];
  pair(&s, &c);
  CALL(recv(s, b, 1, MSG_OOB));
  CALL(recv(s, b, 1, MSG_OOB | MSG_DONTWAIT));
}

static void rcvtimeo(void) {
  int s, c;
  char b[100];
  struct timeval t = {0, 150000}, got = {0, 0};
  socklen_t len = sizeof got;
  pair(&s, &c);
  CALL(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
  CALL(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &got, &len));
  say("about right: %d", got.tv_sec == 0 && got.tv_usec >= 140000 && got.tv_usec < 160000);
  CALL(read(s, b, 100));
  write_all(c, 10, 0, 10);
  CALL(recv(s, b, 100, MSG_WAITALL));
  CALL(recv(s, b, 100, MSG_WAITALL));
  write_all(c, 10, 10, 10);
  say_wait("data", s, POLLIN);
  CALL(read(s, b, 100));
  say("same %d", same(b, 10, 10));
}

static void sndtimeo(void) {
  int s, c;
  static char b[200000];
  struct timeval t = {0, 100000};
  pair(&s, &c);
  CALL(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
  size_t sent = 0;
  for (;;) {
    fill(b, sizeof b, sent);
    ssize_t n = write(c, b, sizeof b);
    if (n < 0)
      break;
    sent += (size_t)n;
  }
  say("in the end: %s", errno_name(errno));
  say("all there: %d", read_all(s, sent, 0, 65536) == sent);
  say("wrote %zu", write_all(c, 1000, sent, 1000));
  say("read %zu", read_all(s, 1000, sent, 1000));
}

static void accept_timeo(void) {
  int l = listen_on(0, 8);
  struct timeval t = {0, 100000};
  CALL(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
  CALL(accept(l, NULL, NULL));
  int c = client_socket(0);
  connect_to(c, port);
  struct pollfd p = {.fd = l, .events = POLLIN};
  CALL(poll(&p, 1, 5000));
  say("accepted: %d", accept(l, NULL, NULL) >= 0);
  CALL(accept(l, NULL, NULL));
}

static void fionread(void) {
  int s, c, l, n = -1;
  char b[100];
  pair_keep(&l, &s, &c);
  CALL(ioctl(s, FIONREAD, &n));
  say("nothing: %d", n);
  write_all(c, 100, 0, 100);
  say_wait("data", s, POLLIN);
  CALL(ioctl(s, FIONREAD, &n));
  say("there: %d", n);
  CALL(read(s, b, 30));
  CALL(ioctl(s, FIONREAD, &n));
  say("left: %d", n);
  CALL(read(s, b, 70));
  CALL(ioctl(s, FIONREAD, &n));
  say("nothing: %d", n);
  close(c);
  wait_mask(s, POLLRDHUP, POLLRDHUP);
  CALL(ioctl(s, FIONREAD, &n));
  say("at the end: %d", n);
  CALL(ioctl(l, FIONREAD, &n));
}

static void fionbio(void) {
  int s, c, l, on = 1, off = 0;
  char b[10];
  pair_keep(&l, &s, &c);
  CALL(ioctl(s, FIONBIO, &on));
  CALL(read(s, b, 1));
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  CALL(ioctl(s, FIONBIO, &off));
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  CALL(ioctl(l, FIONBIO, &on));
  CALL(accept(l, NULL, NULL));
  CALL(fcntl(l, F_GETFL) & O_NONBLOCK);
  CALL(ioctl(s, FIOCLEX));
  CALL(fcntl(s, F_GETFD));
}

static volatile sig_atomic_t pipes;
static void on_pipe(int sig) {
  (void)sig;
  pipes++;
}

static void sigpipe(void) {
  int s, c;
  pair(&s, &c);
  signal(SIGPIPE, on_pipe);
  close(s);
  wait_mask(c, POLLRDHUP | POLLIN, POLLRDHUP);
  CALL(write(c, "x", 1));
  wait_mask(c, POLLERR, POLLERR);
  CALL(read(c, &(char){0}, 1));
  CALL(write(c, "x", 1));
  say("SIGPIPE %d", (int)pipes);
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  say("SIGPIPE %d", (int)pipes);
  signal(SIGPIPE, SIG_IGN);
  CALL(write(c, "x", 1));
}

static void sigpipe_own_shutdown(void) {
  int s, c;
  pair(&s, &c);
  signal(SIGPIPE, on_pipe);
  shutdown(c, SHUT_WR);
  CALL(write(c, "x", 1));
  CALL(writev(c, &(struct iovec){"x", 1}, 1));
  CALL(send(c, "x", 1, 0));
  say("SIGPIPE %d", (int)pipes);
  CALL(send(c, "x", 1, MSG_NOSIGNAL));
  say("SIGPIPE %d", (int)pipes);
  close(s);
}

const struct scenario s_flags[] = {{"peek", peek},
                                   {"peek_waitall", peek_waitall},
                                   {"waitall", waitall},
                                   {"dontwait", dontwait},
                                   {"trunc_discards", trunc_discards},
                                   {"from_and_to", from_and_to},
                                   {"zero_length", zero_length},
                                   {"bad_memory", bad_memory},
                                   {"oob_is_refused_or_works", oob_is_refused_or_works},
                                   {"rcvtimeo", rcvtimeo},
                                   {"sndtimeo", sndtimeo},
                                   {"accept_timeo", accept_timeo},
                                   {"fionread", fionread},
                                   {"fionbio", fionbio},
                                   {"sigpipe", sigpipe},
                                   {"sigpipe_own_shutdown", sigpipe_own_shutdown},
                                   {NULL, NULL}};
