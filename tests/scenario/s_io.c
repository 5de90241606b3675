/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s_io.c - bytes: tiny and huge, vectors, files, back-pressure, both directions at once.
 */
#include "scenario.h"

static void tiny(void) {
  int s, c;
  pair(&s, &c);
  for (unsigned i = 0; i < 300; i++) {
    if (write_all(c, 1, i, 1) != 1)
      break;
  }
  say("by one: %zu", read_all(s, 300, 0, 1));
  write_all(c, 5000, 0, 5000);
  say("one big, read by one: %zu", read_all(s, 5000, 0, 1));
  for (unsigned i = 0; i < 300; i++)
    write_all(c, 3, 3 * i, 3);
  say("by three, read by seven: %zu", read_all(s, 900, 0, 7));
}

struct flow {
  int fd;
  size_t n, piece;
  const char *who;
};

static void *writes(void *arg) {
  struct flow *f = arg;
  role(f->who);
  say("wrote %zu", write_all(f->fd, f->n, 0, f->piece));
  return NULL;
}

static void *reads(void *arg) {
  struct flow *f = arg;
  role(f->who);
  say("read %zu", read_all(f->fd, f->n, 0, f->piece));
  return NULL;
}

static void huge_one_way(size_t n, size_t wrote, size_t read_piece) {
  int s, c;
  pair(&s, &c);
  struct flow f = {c, n, wrote, "writer"};
  pthread_t t = thread(writes, &f);
  say("read %zu", read_all(s, n, 0, read_piece));
  pthread_join(t, NULL);
}
static void huge(void) { huge_one_way(16u << 20, 8u << 20, 1u << 20); }
static void huge_odd(void) { huge_one_way(5000001, 1000003, 16385); }
static void huge_small_reads(void) { huge_one_way(2000000, 2000000, 1000); }
static void huge_small_writes(void) { huge_one_way(2000000, 997, 65536); }

/* Two threads a side: one reads while the other writes, on the same connection. */
static void duplex(void) {
  int s, c;
  pair(&s, &c);
  struct flow f[4] = {{c, 4u << 20, 70001, "client writes"},
                      {c, 4u << 20, 33333, "client reads"},
                      {s, 4u << 20, 5003, "server writes"},
                      {s, 4u << 20, 100000, "server reads"}};
  pthread_t t[4];
  for (int i = 0; i < 4; i++)
    t[i] = thread(i % 2 ? reads : writes, &f[i]);
  for (int i = 0; i < 4; i++)
    pthread_join(t[i], NULL);
  char x;
  set_nonblock(s, true);
  CALL(read(s, &x, 1));
}

static void vectors(void) {
  int s, c;
  static char out[9000], in[9000];
  pair(&s, &c);
  fill(out, sizeof out, 0);
  struct iovec w[5] = {{out, 1}, {out + 1, 0}, {out + 1, 999}, {NULL, 0}, {out + 1000, 8000}};
  CALL(writev(c, w, 5));
  struct iovec r[3] = {{in, 10}, {in + 10, 2990}, {in + 3000, 6000}};
  struct msghdr m = {.msg_iov = r, .msg_iovlen = 3};
  CALL(recvmsg(s, &m, MSG_WAITALL));
  say("same %d, flags %d", same(in, sizeof in, 0), m.msg_flags);
  CALL(writev(c, w, 0));
  volatile int negative = -1, too_many = 1025;
  CALL(writev(c, w, negative));
  CALL(readv(s, r, negative));
  CALL(readv(s, r, 0));
  struct iovec many[1025];
  for (unsigned i = 0; i < 1024; i++)
    many[i] = (struct iovec){out + i, 1};
  CALL(writev(c, many, 1024));
  CALL(writev(c, many, too_many));
  memset(in, 0, sizeof in);
  for (unsigned i = 0; i < 1024; i++)
    many[i] = (struct iovec){in + i, 1};
  wait_mask(s, POLLIN, POLLIN);
  size_t got = 0;
  while (got < 1024) {
    ssize_t n = readv(s, many + got, (int)(1024 - got));
    if (n <= 0)
      break;
    got += (size_t)n;
  }
  say("readv %zu, same %d", got, same(in, 1024, 0));
  struct msghdr h = {.msg_iov = w, .msg_iovlen = 5};
  CALL(sendmsg(c, &h, MSG_NOSIGNAL));
  memset(in, 0, sizeof in);
  CALL(recv(s, in, sizeof in, MSG_WAITALL));
  say("same %d", same(in, sizeof in, 0));
}

/* Fills the connection until EAGAIN stays. Returns what went in. */
static size_t fill_up(int fd, uint64_t at) {
  static char buf[60000];
  size_t sent = 0;
  for (int quiet = 0; quiet < 3;) {
    fill(buf, sizeof buf, at + sent);
    ssize_t n = write(fd, buf, sizeof buf);
    if (n > 0) {
      sent += (size_t)n;
      quiet = 0;
    } else if (errno == EAGAIN) {
      nap(30);
      quiet++;
    } else {
      say("fill_up: %s", errno_name(errno));
      break;
    }
    if (sent > (64u << 20))
      give_up("never full");
  }
  return sent;
}

static void backpressure(void) {
  int s, c;
  pair(&s, &c);
  set_nonblock(c, true);
  size_t sent = fill_up(c, 0);
  say("full: %d", sent > 0);
  static char more_bytes[60000];
  CALL(write(c, more_bytes, sizeof more_bytes));
  say_poll("full", c, POLLOUT, 0);
  say("all there: %d", read_all(s, sent, 0, 65536) == sent);
  say_wait("drained", c, POLLOUT);
  size_t more = fill_up(c, sent);
  say("full again: %d", more > 0);
  say("all there: %d", read_all(s, more, sent, 1000) == more);
  CALL(close(c));
  char b;
  CALL(read(s, &b, 1));
}

static void backpressure_epoll(void) {
  int s, c, ep = epoll_create1(0);
  pair(&s, &c);
  set_nonblock(c, true);
  struct epoll_event ev = {.events = EPOLLOUT | EPOLLET, .data.u32 = 1};
  epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
  CALL(epoll_wait(ep, &ev, 1, 0));
  size_t sent = fill_up(c, 0);
  while (epoll_wait(ep, &ev, 1, 0) > 0) { /* edges of the filling */
  }
  say("all there: %d", read_all(s, sent, 0, 65536) == sent);
  CALL(epoll_wait(ep, &ev, 1, 10000));
  CALL(write(c, "x", 1));
}

/* A program may write something else after EAGAIN: nothing of what was refused may have gone out. */
static void change_of_mind(void) {
  int s, c;
  char buf[20000];
  pair(&s, &c);
  set_nonblock(c, true);
  size_t sent = fill_up(c, 0);
  memset(buf, 'Z', sizeof buf);
  CALL(write(c, buf, sizeof buf));
  size_t got = read_all(s, sent, 0, 65536);
  say("all there: %d", got == sent);
  say_wait("drained", c, POLLOUT);
  say("wrote %zu", write_all(c, 1000, sent, 1000));
  say("goes on at the right place: %zu", read_all(s, 1000, sent, 1000));
}

static void blocking_write_waits(void) {
  int s, c;
  pair(&s, &c);
  struct flow f = {c, 10u << 20, 10u << 20, "writer"};
  pthread_t t = thread(writes, &f);
  nap(200);
  say("read %zu", read_all(s, f.n, 0, 1u << 20));
  pthread_join(t, NULL);
}

static int temp_file(size_t n) {
  char path[] = "/tmp/scenario-XXXXXX";
  int fd = mkstemp(path);
  unlink(path);
  write_all(fd, n, 0, 65536);
  return fd;
}

static void *sends_file(void *arg) {
  struct flow *f = arg;
  int in = temp_file(f->n);
  off_t at = 0;
  role("sender");
  size_t done = 0;
  while (done < f->n) {
    ssize_t n = sendfile(f->fd, in, &at, f->n - done);
    if (n <= 0)
      break;
    done += (size_t)n;
  }
  say("sendfile: %zu, offset %lld, file offset %lld", done, (long long)at, (long long)lseek(in, 0, SEEK_CUR));
  close(in);
  return NULL;
}

static void sendfile_big(void) {
  int s, c;
  pair(&s, &c);
  struct flow f = {c, 3000001, 0, ""};
  pthread_t t = thread(sends_file, &f);
  say("read %zu", read_all(s, f.n, 0, 65536));
  pthread_join(t, NULL);
}

static void sendfile_small(void) {
  int s, c, in = temp_file(1000);
  off_t at = 100;
  char b[1000];
  pair(&s, &c);
  CALL(sendfile(c, in, &at, 200));
  say("offset %lld", (long long)at);
  CALL(lseek(in, 50, SEEK_SET));
  CALL(sendfile(c, in, NULL, 100));
  CALL(lseek(in, 0, SEEK_CUR));
  CALL(recv(s, b, 300, MSG_WAITALL));
  say("same %d %d", same(b, 200, 100), same(b + 200, 100, 50));
  at = 1000;
  CALL(sendfile(c, in, &at, 100));
  at = 900;
  CALL(sendfile(c, in, &at, 1000));
  CALL(recv(s, b, 100, MSG_WAITALL));
  say("same %d", same(b, 100, 900));
  CALL(sendfile(s, c, NULL, 10));
  CALL(sendfile(c, in, &at, 0));
}

static void corked(void) {
  int s, c, on = 1, off = 0;
  char b[3000];
  pair(&s, &c);
  CALL(setsockopt(c, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
  for (unsigned i = 0; i < 10; i++)
    write_all(c, 100, 100 * i, 100);
  CALL(setsockopt(c, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
  CALL(recv(s, b, 1000, MSG_WAITALL));
  say("same %d", same(b, 1000, 0));
  fill(b, 300, 1000);
  CALL(send(c, b, 100, MSG_MORE));
  CALL(send(c, b + 100, 100, MSG_MORE));
  CALL(send(c, b + 200, 100, 0));
  CALL(recv(s, b, 300, MSG_WAITALL));
  say("same %d", same(b, 300, 1000));
}

const struct scenario s_io[] = {{"tiny", tiny},
                                {"huge", huge},
                                {"huge_odd", huge_odd},
                                {"huge_small_reads", huge_small_reads},
                                {"huge_small_writes", huge_small_writes},
                                {"duplex", duplex},
                                {"vectors", vectors},
                                {"backpressure", backpressure},
                                {"backpressure_epoll", backpressure_epoll},
                                {"change_of_mind", change_of_mind},
                                {"blocking_write_waits", blocking_write_waits},
                                {"sendfile_big", sendfile_big},
                                {"sendfile_small", sendfile_small},
                                {"corked", corked},
                                {NULL, NULL}};
