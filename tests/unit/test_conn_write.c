/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a write on a protected connection behave as one on TCP? Back-pressure to EAGAIN and back with nothing
 * lost, changed or reordered, edges included; blocking with timeouts and signals; SIGPIPE; partial sends.
 */
#include "support_asleep.h"
#include "support_conn.h"

#include <errno.h>
#include <linux/tcp.h> /* for all of tcp_info; not with <netinet/tcp.h> */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <fcntl.h>
#include <unistd.h>

#define TOTAL (6u << 20)
static uint8_t data[TOTAL], got[TOTAL];

/* Reads everything, at first slowly, into got. */
struct drain {
  size_t total;
  SSL *ssl;
  size_t count;
  int nap_us, error;
};

static void *drain_thread(void *arg) {
  struct drain *d = arg;
  for (unsigned i = 0;; i++) {
    int n = SSL_read(d->ssl, got + d->count, (int)(d->total - d->count > 50000 ? 50000 : d->total - d->count));
    if (n <= 0) {
      d->error = SSL_get_error(d->ssl, n);
      return NULL;
    }
    d->count += (size_t)n;
    if (d->count == d->total)
      return NULL;
    if (d->nap_us && i % 4 == 0)
      usleep((useconds_t)d->nap_us);
  }
}

static size_t some(size_t max) {
  size_t top = random() % 3 == 0 ? 100 : random() % 2 ? 3000 : max;
  return (size_t)random() % (top < max ? top : max) + 1;
}

/* Non-blocking, edge-triggered: after EAGAIN (or a short count) not writable, an edge comes when it can go on,
 * and then it does go on. */
static void push_nonblocking(struct rig_options o, int lowat, bool vectors) {
  /* With a receive buffer of one segment TCP itself takes 200 ms for each: not many of those. */
  const size_t total = o.rcvbuf && o.rcvbuf < 10000 ? 60000 : TOTAL;
  struct rig r;
  rig_open(&r, o);
  rig_peer_socket(&r);
  if (lowat)
    setsockopt(r.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
  fcntl(r.fd, F_SETFL, O_NONBLOCK);
  int ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLOUT | EPOLLET};
  assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, r.fd, &ev), 0);
  struct drain d = {.total = total, .ssl = r.peer, .nap_us = 300};
  pthread_t t;
  pthread_create(&t, NULL, drain_thread, &d);
  size_t sent = 0, blocked = 0;
  while (sent < total) {
    assert_int_equal(epoll_wait(ep, &ev, 1, 5000), 1); /* a lost edge shows here */
    for (;;) {
      size_t n = some(total - sent < 200000 ? total - sent : 200000), a = vectors ? (size_t)random() % (n + 1) : n;
      struct iovec iov[2] = {{data + sent, a}, {data + sent + a, n - a}};
      ssize_t m = conn_writev(&r.c, r.fd, iov, 2, 0);
      if (m < 0) {
        assert_int_equal(errno, EAGAIN);
        blocked++;
        break;
      }
      sent += (size_t)m;
      if ((size_t)m < n || sent == total) {
        blocked++;
        break;
      }
    }
  }
  while (conn_unsent)
    assert_true(conn_flush(&r.c, r.fd) >= 0);
  pthread_join(t, NULL);
  assert_int_equal(d.count, total);
  assert_memory_equal(got, data, total);
  assert_true(blocked > 0);
  close(ep);
  rig_close(&r);
}

static void test_backpressure(void **state) {
  (void)state;
  push_nonblocking((struct rig_options){0}, 0, false);
  push_nonblocking((struct rig_options){.cipher = ARENA_CHACHA20_POLY1305_SHA256, .role = ARENA_SERVER}, 0, true);
  push_nonblocking((struct rig_options){.sndbuf = 1}, 0, true);
  push_nonblocking((struct rig_options){.sndbuf = 20000, .rcvbuf = 3000}, 0, false);
  push_nonblocking((struct rig_options){.sndbuf = 60000, .mss = 1460}, 0, true);
  push_nonblocking((struct rig_options){.mss = 536, .rcvbuf = 20000}, 0, true);
}

/* TCP_NOTSENT_LOWAT makes the kernel refuse what SO_MEMINFO promised: ciphertext is kept and sent later. */
static void test_backpressure_with_notsent_lowat(void **state) {
  (void)state;
  push_nonblocking((struct rig_options){0}, 1, true);
  push_nonblocking((struct rig_options){0}, 16384, false);
}

/* EAGAIN means that poll() does not say writable: nobody spins. And a close_notify still finds room. */
static void test_eagain_means_not_writable(void **state) {
  (void)state;
  static const int bufs[] = {1, 3000, 10000, 40000, 200000};
  for (size_t i = 0; i < 5; i++)
    for (size_t n = 1; n <= 50000; n *= 13) {
      struct rig r;
      rig_open(&r, (struct rig_options){.sndbuf = bufs[i], .rcvbuf = 2000});
      size_t sent = 0;
      ssize_t m;
      while ((m = rig_write(&r, data, n, MSG_DONTWAIT)) > 0)
        sent += (size_t)m;
      assert_int_equal(m, -1);
      assert_int_equal(errno, EAGAIN);
      assert_false(rig_poll(r.fd, POLLOUT, 0) & POLLOUT);
      assert_int_equal(conn_unsent, 0); /* nothing was sealed that could not leave */
      assert_int_equal(r.slot->bytes_out, sent);
      assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_WR), 0);
      assert_int_equal(r.slot->w_len, 0);
      /* All of it is readable at the other end, and the end is marked. */
      uint8_t b[RECORD_PLAIN_MAX];
      size_t heard = 0, k = 0;
      int type;
      while ((type = rig_hear(&r, b, &k)) == RECORD_DATA)
        heard += k;
      assert_int_equal(type, RECORD_ALERT);
      assert_int_equal(heard, sent);
      rig_close(&r);
    }
}

static void test_blocking_write(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, (struct rig_options){.sndbuf = 30000});
  rig_peer_socket(&r);
  struct drain d = {.total = TOTAL, .ssl = r.peer, .nap_us = 200};
  pthread_t t;
  pthread_create(&t, NULL, drain_thread, &d);
  size_t sent = 0;
  while (sent < TOTAL) {
    size_t n = some(TOTAL - sent < 900000 ? TOTAL - sent : 900000);
    assert_int_equal(rig_write(&r, data + sent, n, random() % 2 ? MSG_MORE : 0), n); /* all of it, as TCP */
    sent += n;
  }
  pthread_join(t, NULL);
  assert_int_equal(d.count, TOTAL);
  assert_memory_equal(got, data, TOTAL);
  rig_close(&r);
}

/* Fills the send queue to the last byte that goes. */
static void fill(struct rig *r) {
  for (int quiet = 0; quiet < 3; quiet++, usleep(50000))
    for (size_t n = 3000; n; n /= 2)
      while (rig_write(r, data, n, MSG_DONTWAIT) > 0)
        quiet = 0;
}

static void test_send_timeout(void **state) {
  (void)state;
  struct rig r;
  struct timeval tv = {0, 50000};
  rig_open(&r, (struct rig_options){.sndbuf = 20000, .rcvbuf = 3000});
  setsockopt(r.fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
  ssize_t n = rig_write(&r, data, TOTAL, 0);
  assert_true(n > 0 && n < (ssize_t)TOTAL); /* what went before the time was up */
  fill(&r);
  assert_fails(rig_write(&r, data, 1000, 0), EAGAIN);
  rig_close(&r);
}

static volatile sig_atomic_t signals;
static void on_signal(int sig) {
  (void)sig;
  signals++;
}

static void handler(int sig, int flags) {
  struct sigaction a = {.sa_handler = on_signal, .sa_flags = flags};
  sigaction(sig, &a, NULL);
}

struct poke {
  pthread_t who;
  pid_t tid;
  int times, fd;
};

static void *poke_thread(void *arg) {
  struct poke *p = arg;
  for (int i = 0; i < p->times; i++) {
    until_asleep(p->tid);
    pthread_kill(p->who, SIGUSR1);
  }
  until_asleep(p->tid);
  if (p->fd >= 0)
    shutdown(p->fd, SHUT_RDWR);
  return NULL;
}

static void test_interrupted_write(void **state) {
  (void)state;
  struct rig r;
  pthread_t t;
  rig_open(&r, (struct rig_options){.sndbuf = 20000, .rcvbuf = 3000});
  fill(&r);
  struct poke p = {pthread_self(), gettid(), 1, -1};
  handler(SIGUSR1, 0);
  signals = 0;
  pthread_create(&t, NULL, poke_thread, &p);
  assert_fails(rig_write(&r, data, 100, 0), EINTR);
  pthread_join(t, NULL);
  assert_int_equal(signals, 1);
  /* With SA_RESTART it goes on; here until the connection is gone. */
  handler(SIGUSR1, SA_RESTART);
  p = (struct poke){pthread_self(), gettid(), 3, r.fd};
  pthread_create(&t, NULL, poke_thread, &p);
  assert_fails(rig_write(&r, data, 100, MSG_NOSIGNAL), EPIPE);
  pthread_join(t, NULL);
  assert_int_equal(signals, 4);
  signal(SIGUSR1, SIG_DFL);
  rig_close(&r);
}

static void test_sigpipe(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, (struct rig_options){0});
  handler(SIGPIPE, 0);
  signals = 0;
  assert_int_equal(rig_write(&r, "x", 1, 0), 1);
  assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_WR), 0);
  assert_fails(rig_write(&r, "x", 1, 0), EPIPE);
  assert_int_equal(signals, 1);
  assert_fails(rig_write(&r, "x", 1, MSG_NOSIGNAL), EPIPE);
  assert_fails(rig_write(&r, "", 0, MSG_NOSIGNAL), EPIPE);
  assert_int_equal(signals, 1);
  assert_fails(rig_write(&r, "x", 1, MSG_OOB), EOPNOTSUPP);
  rig_close(&r);
  /* The peer is gone: ECONNRESET or EPIPE from the kernel. */
  rig_open(&r, (struct rig_options){0});
  struct linger hard = {1, 0};
  setsockopt(r.peer_fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(r.peer_fd);
  r.peer_fd = -1;
  assert_true(rig_poll(r.fd, 0, 20000) & POLLHUP);
  assert_fails(rig_write(&r, "x", 1, 0), ECONNRESET);
  assert_int_equal(signals, 1);
  assert_fails(rig_write(&r, "x", 1, 0), EPIPE);
  assert_int_equal(signals, 2);
  signal(SIGPIPE, SIG_DFL);
  rig_close(&r);
}

/* Sealed bytes that the kernel did not take are sent by whatever comes next, once, and in order. */
static void test_kept_ciphertext(void **state) {
  (void)state;
  struct rig r;
  uint8_t b[RECORD_PLAIN_MAX];
  size_t n, total = 0, heard = 0;
  rig_open(&r, (struct rig_options){.sndbuf = 20000, .rcvbuf = 3000});
  ssize_t m;
  while ((m = rig_write(&r, data + total, 3000, MSG_DONTWAIT)) > 0)
    total += (size_t)m;
  /* As splice() does: accepted although there is no room. */
  struct iovec iov = {data + total, 16384};
  assert_int_equal(conn_writev(&r.c, r.fd, &iov, 1, CONN_KEEP | MSG_DONTWAIT), 16384);
  total += 16384;
  if (r.slot->w_len > 0) {
    assert_int_equal(conn_unsent, 1);
    assert_int_equal(conn_flush(&r.c, r.fd), 1);
    assert_fails(rig_write(&r, data + total, 10, MSG_DONTWAIT), EAGAIN);
  }
  while (heard < total) {
    assert_int_equal(rig_hear(&r, b, &n), RECORD_DATA);
    assert_memory_equal(b, data + heard, n);
    heard += n;
    assert_fails(rig_read(&r, b, 1, MSG_DONTWAIT), EAGAIN); /* a read flushes as well */
  }
  assert_int_equal(conn_flush(&r.c, r.fd), 0);
  assert_int_equal(conn_unsent, 0);
  assert_int_equal(rig_write(&r, data + total, 10, MSG_DONTWAIT), 10);
  assert_int_equal(rig_hear(&r, b, &n), RECORD_DATA);
  assert_memory_equal(b, data + heard, n);
  rig_close(&r);
}

/* Segments that have come in at the other end. */
static uint32_t segments(int fd) {
  struct tcp_info info = {0};
  socklen_t len = sizeof info;
  assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
  return info.tcpi_segs_in;
}

/* A close_notify and the FIN behind it come as one: nobody wakes up between them. */
static void test_the_end_is_one_segment(void **state) {
  (void)state;
  for (int half = 0; half < 2; half++) {
    struct rig r;
    size_t n;
    uint8_t out[100];
    rig_open(&r, (struct rig_options){0});
    struct pollfd p = {.fd = r.peer_fd, .events = POLLRDHUP};
    assert_int_equal(rig_write(&r, "x", 1, 0), 1);
    assert_int_equal(rig_hear(&r, out, &n), RECORD_DATA);
    uint32_t before = segments(r.peer_fd);
    if (half) {
      assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_WR), 0);
    } else {
      conn_close(&r.c, r.fd);
      close(r.fd);
      r.fd = -1;
    }
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(segments(r.peer_fd) - before, 1);
    assert_int_equal(rig_hear(&r, out, &n), RECORD_ALERT);
    assert_int_equal(n, 2);
    rig_close(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_backpressure),
      cmocka_unit_test(test_backpressure_with_notsent_lowat),
      cmocka_unit_test(test_eagain_means_not_writable),
      cmocka_unit_test(test_blocking_write),
      cmocka_unit_test(test_send_timeout),
      cmocka_unit_test(test_interrupted_write),
      cmocka_unit_test(test_sigpipe),
      cmocka_unit_test(test_kept_ciphertext),
      cmocka_unit_test(test_the_end_is_one_segment),
  };
  srandom(11);
  rig_random(data, sizeof data);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
