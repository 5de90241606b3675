/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a read on a protected connection behave as one on TCP? Every size and flag, and the invariant that
 * wait calls lean on: the TCP socket is readable if and only if there is something to read.
 */
#include "support_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint16_t ciphers[] = {ARENA_AES_128_GCM_SHA256, ARENA_AES_256_GCM_SHA384,
                                   ARENA_CHACHA20_POLY1305_SHA256};

static size_t some(size_t max) {
  static const size_t tops[] = {3, 200, SIZE_MAX, SIZE_MAX};
  size_t top = tops[random() % 4];
  return (size_t)random() % (top < max ? top : max) + 1;
}

/* Random writes of the peer against random non-blocking reads with random vectors. */
static void exchange(uint16_t cipher, enum arena_role role) {
  static uint8_t sent[1 << 20], got[1 << 20], wire[70000];
  struct rig r;
  rig_open(&r, (struct rig_options){.cipher = cipher, .role = role});
  rig_random(sent, sizeof sent);
  size_t put = 0, taken = 0;
  for (int i = 0; i < 1500 && put < sizeof sent - 40000; i++) {
    size_t n = some(i % 10 ? 3000 : 40000);
    assert_int_equal(SSL_write(r.peer, sent + put, (int)n), n);
    put += n;
    size_t len = 0, at = 0;
    while ((n = rig_wire(&r, wire + len, sizeof wire - len)) > 0)
      len += n;
    while (at < len) { /* the wire in random pieces, reads in between */
      size_t piece = random() % 3 ? len - at : some(len - at);
      rig_send(&r, wire + at, piece);
      at += piece;
      for (int k = (int)(random() % 4); k > 0; k--) {
        size_t a = some(20000), b = random() % 3 ? 0 : some(3000), c = random() % 3 ? 0 : some(100);
        struct iovec iov[3] = {{got + taken, a}, {got + taken + a, b}, {got + taken + a + b, c}};
        if (a + b + c > sizeof got - taken)
          break;
        ssize_t m = conn_readv(&r.c, r.fd, iov, 3, MSG_DONTWAIT);
        if (m < 0) {
          assert_int_equal(errno, EAGAIN);
          continue;
        }
        assert_memory_equal(got + taken, sent + taken, (size_t)m);
        taken += (size_t)m;
      }
    }
    /* All of it has arrived: read to the end, and then the socket is not readable. */
    for (;;) {
      size_t a = some(20000);
      ssize_t m = rig_read(&r, got + taken, a, MSG_DONTWAIT);
      if (m < 0) {
        assert_int_equal(errno, EAGAIN);
        if (rig_poll(r.fd, POLLIN, 0) == 0)
          break;
        continue;
      }
      assert_memory_equal(got + taken, sent + taken, (size_t)m);
      taken += (size_t)m;
    }
    assert_int_equal(taken, put);
  }
  assert_true(taken > 100000);
  assert_int_equal(r.slot->bytes_in, taken);
  rig_close(&r);
}

static void test_random_reads(void **state) {
  (void)state;
  for (size_t c = 0; c < 3; c++) {
    exchange(ciphers[c], ARENA_CLIENT);
    exchange(ciphers[c], ARENA_SERVER);
  }
}

/* Readable before every byte, quiet after the last: one record, several, and with the next one behind. */
static void test_one_byte_at_a_time(void **state) {
  (void)state;
  struct rig r;
  uint8_t data[3000], byte;
  rig_open(&r, (struct rig_options){0});
  rig_random(data, sizeof data);
  rig_peer_write(&r, data, 1000);
  rig_peer_write(&r, data + 1000, 1);
  rig_peer_write(&r, data + 1001, 1999);
  for (size_t i = 0; i < sizeof data; i++) {
    assert_true(rig_readable(&r));
    assert_int_equal(rig_read(&r, &byte, 1, MSG_DONTWAIT), 1);
    assert_int_equal(byte, data[i]);
  }
  assert_true(rig_quiet(&r));
  assert_fails(rig_read(&r, &byte, 1, MSG_DONTWAIT), EAGAIN);
  rig_close(&r);
}

/* A read that returns less than it was asked for has left nothing behind: what edge-triggered programs
 * are told to rely on. */
static void test_short_read_means_empty(void **state) {
  (void)state;
  static uint8_t data[200000], got[200000];
  struct rig r;
  rig_open(&r, (struct rig_options){.rcvbuf = 0});
  rig_random(data, sizeof data);
  int ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
  assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, r.fd, &ev), 0);
  for (int round = 0; round < 200; round++) {
    size_t total = 0, taken = 0, records = (size_t)random() % 12 + 1;
    for (size_t i = 0; i < records; i++) {
      size_t n = some(8200);
      rig_peer_write(&r, data + total, n);
      total += n;
    }
    while (taken < total) {
      assert_int_equal(epoll_wait(ep, &ev, 1, 20000), 1);
      for (;;) { /* as nginx does: on until a read is short */
        size_t n = random() % 2 ? 16384 : some(70000);
        ssize_t m = rig_read(&r, got, n, MSG_DONTWAIT);
        if (m < 0) {
          assert_int_equal(errno, EAGAIN);
          break;
        }
        assert_memory_equal(got, data + taken, (size_t)m);
        taken += (size_t)m;
        if ((size_t)m < n)
          break;
      }
    }
  }
  close(ep);
  rig_close(&r);
}

/* A peer that stalls in the middle of a record: nothing to read, and no level-triggered loop spins. */
static void test_stalled_record_is_not_readable(void **state) {
  (void)state;
  uint8_t data[600], wire[700], got[600];
  rig_random(data, sizeof data);
  for (size_t cut = 1; cut < 622; cut += cut < 30 ? 1 : 53) {
    struct rig r;
    rig_open(&r, (struct rig_options){0});
    size_t len = rig_seal(&r, RECORD_DATA, data, 600, wire);
    for (size_t want = 10; want <= 600; want += 590) {
      rig_send(&r, wire, cut);
      assert_true(rig_readable(&r)); /* bytes that nobody has looked at */
      assert_fails(rig_read(&r, got, want, MSG_DONTWAIT), EAGAIN);
      assert_true(rig_quiet(&r));
      assert_fails(rig_read(&r, got, want, MSG_DONTWAIT | MSG_PEEK), EAGAIN);
      assert_true(rig_quiet(&r));
      rig_send(&r, wire + cut, len - cut);
      assert_true(rig_readable(&r));
      assert_int_equal(rig_read(&r, got, want, MSG_DONTWAIT), want);
      assert_memory_equal(got, data, want);
      if (want == 10) {
        assert_true(rig_readable(&r));
        assert_int_equal(rig_read(&r, got, 600, MSG_DONTWAIT), 590);
        assert_memory_equal(got, data + 10, 590);
        len = rig_seal(&r, RECORD_DATA, data, 600, wire);
      }
      assert_true(rig_quiet(&r));
    }
    rig_close(&r);
  }
}

static void test_peek(void **state) {
  (void)state;
  static uint8_t data[9000], got[9000];
  struct rig r;
  int n = -1;
  rig_open(&r, (struct rig_options){0});
  rig_random(data, sizeof data);
  assert_fails(rig_read(&r, got, 10, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
  rig_peer_write(&r, data, 1000);
  assert_true(rig_readable(&r));
  for (int i = 0; i < 3; i++) {
    assert_int_equal(rig_read(&r, got, 10, MSG_PEEK | MSG_DONTWAIT), 10);
    assert_memory_equal(got, data, 10);
    assert_true(rig_readable(&r));
  }
  assert_int_equal(conn_fionread(&r.c, r.fd, &n), 0);
  assert_int_equal(n, 1000);
  /* As TCP shows all that is there, and not a record of it. */
  rig_peer_write(&r, data + 1000, 1);
  rig_peer_write(&r, data + 1001, 2999);
  rig_peer_write(&r, data + 4000, 5000);
  for (int i = 0; i < 20000 && conn_fionread(&r.c, r.fd, &n) == 0 && n < 9000; i++)
    usleep(1000);
  assert_int_equal(rig_read(&r, got, sizeof got, MSG_PEEK), 9000);
  assert_memory_equal(got, data, 9000);
  assert_int_equal(rig_read(&r, got, 1500, MSG_DONTWAIT), 1500);
  assert_memory_equal(got, data, 1500);
  assert_int_equal(rig_read(&r, got, sizeof got, MSG_PEEK), 7500);
  assert_memory_equal(got, data + 1500, 7500);
  assert_true(rig_readable(&r));
  assert_int_equal(rig_read(&r, got, sizeof got, MSG_DONTWAIT), 7500);
  assert_memory_equal(got, data + 1500, 7500);
  assert_true(rig_quiet(&r));
  assert_int_equal(conn_fionread(&r.c, r.fd, &n), 0);
  assert_int_equal(n, 0);
  rig_close(&r);
}

/* An event loop that was promised n bytes asks no more once it has read them (nginx): what is behind them in the
 * kernel, though no whole record yet, has to be part of the promise. It may fill the window, and then no edge comes.
 */
static void test_a_piece_of_a_record_is_promised(void **state) {
  (void)state;
  static uint8_t data[16384], wire[17000], got[16384];
  struct rig r;
  int n = -1;
  rig_open(&r, (struct rig_options){0});
  rig_random(data, sizeof data);
  rig_send_record(&r, RECORD_DATA, data, sizeof data);
  size_t len = rig_seal(&r, RECORD_DATA, data, sizeof data, wire);
  for (size_t piece = 1; piece < len; piece = piece * 9 + 2) {
    rig_send(&r, wire, piece);
    assert_int_equal(rig_read(&r, got, 8192, MSG_DONTWAIT), 8192);
    assert_int_equal(conn_fionread(&r.c, r.fd, &n), 0);
    assert_true(n > 8192);
    assert_int_equal(rig_read(&r, got, 8192, MSG_DONTWAIT), 8192);
    assert_fails(rig_read(&r, got, 1, MSG_DONTWAIT), EAGAIN); /* the promise ends here */
    assert_true(rig_quiet(&r));
    rig_send(&r, wire + piece, len - piece);
    len = rig_seal(&r, RECORD_DATA, data, sizeof data, wire);
  }
  rig_close(&r);
}

/* A wait that says "readable" has something to read: a piece of a record is nothing, its last byte makes it
 * something. */
static void test_a_piece_of_a_record_is_nothing_to_read(void **state) {
  (void)state;
  static uint8_t data[16384], wire[17000], got[16384];
  static const size_t sizes[] = {1, 100, 4000, 16384};
  struct rig r;
  rig_open(&r, (struct rig_options){0});
  rig_random(data, sizeof data);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int cuts = 1; cuts < 4; cuts++) {
      size_t len = rig_seal(&r, RECORD_DATA, data, sizes[i], wire), at = 0;
      for (int k = 0; k < cuts; k++) {
        size_t piece = k ? (len - at) / 2 : (size_t)cuts * 2; /* in its header at first */
        rig_send(&r, wire + at, piece);
        at += piece;
        assert_true(conn_piece(&r.c, r.fd));
        assert_true(rig_quiet(&r));
      }
      rig_send(&r, wire + at, len - at);
      assert_true(rig_readable(&r));
      assert_false(conn_piece(&r.c, r.fd));
      assert_false(conn_piece(&r.c, r.fd));
      assert_int_equal(rig_read(&r, got, sizeof got, MSG_DONTWAIT), sizes[i]);
      assert_memory_equal(got, data, sizes[i]);
      assert_true(rig_quiet(&r));
    }
  }
  uint8_t close_notify[2] = {1, 0};
  rig_send_record(&r, RECORD_ALERT, close_notify, 2);
  assert_true(rig_readable(&r));
  assert_false(conn_piece(&r.c, r.fd)); /* the end is news */
  assert_int_equal(rig_read(&r, got, 1, MSG_DONTWAIT), 0);
  rig_close(&r);
}

static void test_discard_and_zero_length(void **state) {
  (void)state;
  uint8_t data[5000], got[5000];
  struct rig r;
  rig_open(&r, (struct rig_options){0});
  rig_random(data, sizeof data);
  struct iovec none = {NULL, 3000};
  assert_fails(rig_read(&r, got, 0, MSG_DONTWAIT), EAGAIN); /* recv() of nothing waits for something */
  rig_peer_write(&r, data, sizeof data);
  assert_true(rig_readable(&r));
  assert_int_equal(rig_read(&r, got, 0, MSG_DONTWAIT), 0);
  assert_true(rig_readable(&r));
  assert_int_equal(conn_readv(&r.c, r.fd, &none, 1, MSG_TRUNC | MSG_DONTWAIT), 3000);
  assert_int_equal(rig_read(&r, got, 5000, MSG_DONTWAIT), 2000);
  assert_memory_equal(got, data + 3000, 2000);
  assert_fails(rig_read(&r, got, 1, MSG_OOB), EINVAL);
  assert_fails(conn_readv(&r.c, r.fd, &none, -1, 0), EINVAL);
  assert_fails(conn_readv(&r.c, r.fd, &none, 1025, 0), EINVAL);
  rig_close(&r);
}

/* Behind what a read returned, the program's buffer is as it was. */
static void test_nothing_written_behind_the_data(void **state) {
  (void)state;
  struct rig r;
  uint8_t got[4096];
  rig_open(&r, (struct rig_options){0});
  for (size_t n = 1; n < 2000; n += 111) {
    uint8_t data[2000];
    memset(data, 'a', n);
    memset(got, 0x55, sizeof got);
    rig_peer_write(&r, data, n);
    assert_true(rig_readable(&r));
    assert_int_equal(rig_read(&r, got, sizeof got, 0), n);
    for (size_t i = n; i < sizeof got; i++)
      assert_int_equal(got[i], 0x55);
  }
  rig_close(&r);
}

static void test_errno_is_left_alone(void **state) {
  (void)state;
  struct rig r;
  uint8_t got[100];
  rig_open(&r, (struct rig_options){0});
  rig_peer_write(&r, "hello", 5);
  errno = 4711;
  assert_int_equal(rig_read(&r, got, 3, 0), 3);
  assert_int_equal(rig_read(&r, got, 100, 0), 2);
  assert_int_equal(rig_write(&r, got, 2, 0), 2);
  assert_int_equal(errno, 4711);
  rig_close(&r);
}

/* Tickets: the daemon's server sends them, the daemon's client reads them, before the program has the connection. */
static void test_the_daemon_had_the_first_records(void **state) {
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    struct rig r;
    uint8_t wire[4096], got[5];
    rig_open(&r, (struct rig_options){.cipher = ciphers[i], .role = ARENA_SERVER, .tickets = 2, .tx_seq = 2});
    assert_int_equal(rig_write(&r, "hello", 5, 0), 5);
    rig_peer_read(&r, got, 5);
    assert_memory_equal(got, "hello", 5);
    rig_close(&r);
    rig_open(&r, (struct rig_options){.cipher = ciphers[i], .tickets = 2, .rx_seq = 2});
    while (rig_wire(&r, wire, sizeof wire) > 0)
      ;
    rig_peer_write(&r, "hello", 5);
    assert_int_equal(rig_read(&r, got, 5, 0), 5);
    assert_memory_equal(got, "hello", 5);
    rig_close(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_reads),
      cmocka_unit_test(test_one_byte_at_a_time),
      cmocka_unit_test(test_short_read_means_empty),
      cmocka_unit_test(test_stalled_record_is_not_readable),
      cmocka_unit_test(test_peek),
      cmocka_unit_test(test_a_piece_of_a_record_is_promised),
      cmocka_unit_test(test_a_piece_of_a_record_is_nothing_to_read),
      cmocka_unit_test(test_discard_and_zero_length),
      cmocka_unit_test(test_nothing_written_behind_the_data),
      cmocka_unit_test(test_errno_is_left_alone),
      cmocka_unit_test(test_the_daemon_had_the_first_records),
  };
  srandom(5);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
