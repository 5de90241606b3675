/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does a program see of records that are not data? Alerts, ends of stream with and without notice,
 * KeyUpdate, session tickets, and everything that a peer must not send.
 */
#include "support_conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int alert_seen, alert_was_received, alerts;

static void on_alert(struct conn *c, int fd, int alert, bool received) {
  assert_non_null(c);
  assert_true(fd >= 0);
  alert_seen = alert;
  alert_was_received = received;
  alerts++;
}

static int reset_alert(void **state) {
  (void)state;
  conn_on_alert = on_alert;
  alert_seen = -1;
  alerts = 0;
  return 0;
}

static void send_alert(struct rig *r, uint8_t level, uint8_t what) {
  uint8_t a[2] = {level, what};
  rig_send_record(r, RECORD_ALERT, a, 2);
}

/* ---- ends of the stream ------------------------------------------------------------------------------ */
static void test_close_notify_is_end_of_stream(void **state) {
  (void)state;
  struct rig r;
  char b[100];
  rig_open(&r, (struct rig_options){.role = ARENA_SERVER});
  rig_peer_write(&r, "bye", 3);
  assert_int_equal(SSL_shutdown(r.peer), 0);
  rig_peer_write(&r, "", 0);
  assert_true(rig_readable(&r));
  assert_int_equal(rig_read(&r, b, sizeof b, 0), 3);
  for (int i = 0; i < 3; i++) { /* no FIN came, and yet it is readable, as after a FIN */
    assert_true(rig_readable(&r));
    assert_int_equal(rig_read(&r, b, sizeof b, 0), 0);
    assert_int_equal(rig_read(&r, b, 1, MSG_PEEK), 0);
  }
  assert_true(rig_poll(r.fd, POLLRDHUP, 0) & POLLRDHUP);
  /* The other direction lives on. */
  assert_int_equal(rig_write(&r, "still here", 10, 0), 10);
  rig_peer_read(&r, b, 10);
  assert_memory_equal(b, "still here", 10);
  assert_int_equal(alerts, 0);
  rig_close(&r);
}

static void test_half_close_of_ours(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  rig_open(&r, (struct rig_options){0});
  assert_int_equal(rig_write(&r, "last", 4, 0), 4);
  assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_WR), 0);
  assert_fails(rig_write(&r, "x", 1, MSG_NOSIGNAL), EPIPE);
  rig_peer_socket(&r);
  assert_int_equal(SSL_read(r.peer, b, 10), 4);
  assert_int_equal(SSL_read(r.peer, b, 1), 0);
  assert_int_equal(SSL_get_error(r.peer, 0), SSL_ERROR_ZERO_RETURN);
  assert_int_equal(SSL_write(r.peer, "answer", 6), 6);
  assert_int_equal(rig_read(&r, b, 10, 0), 6);
  assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_RD), 0);
  assert_int_equal(rig_read(&r, b, 10, 0), 0); /* one's own SHUT_RD is no truncation */
  rig_close(&r);
}

static void test_truncation(void **state) {
  (void)state;
  char b[100];
  for (int mode = 0; mode < 4; mode++) { /* bit 0: the rule allows it; bit 1: in the middle of a record */
    struct rig r;
    uint8_t wire[200];
    rig_open(&r, (struct rig_options){.flags = mode & 1 ? ARENA_TRUNCATION_EOF : 0});
    rig_send_record(&r, RECORD_DATA, "data", 4);
    if (mode & 2) {
      rig_seal(&r, RECORD_DATA, "more", 4, wire);
      rig_send(&r, wire, 20);
    }
    close(r.peer_fd);
    r.peer_fd = -1;
    assert_int_equal(rig_read(&r, b, sizeof b, 0), 4);
    for (int i = 0; i < 2; i++) {
      if (mode == 1)
        assert_int_equal(rig_read(&r, b, sizeof b, 0), 0);
      else
        assert_fails(rig_read(&r, b, sizeof b, 0), ECONNRESET);
      assert_true(rig_readable(&r));
    }
    rig_close(&r);
  }
}

/* An end that came with a record without data is met by the same read: an edge-triggered program hears of
 * both by one edge. */
static void test_end_behind_a_silent_record(void **state) {
  (void)state;
  for (int mode = 0; mode < 6; mode++) {
    struct rig r;
    char b[100];
    rig_open(&r, (struct rig_options){.flags = mode & 1 ? ARENA_TRUNCATION_EOF : 0});
    rig_send_record(&r, RECORD_DATA, "", 0);
    if (mode >= 4)
      send_alert(&r, 1, 0);
    close(r.peer_fd);
    r.peer_fd = -1;
    assert_true(rig_poll(r.fd, POLLRDHUP, 20000) & POLLRDHUP);
    if (mode & 1 || mode >= 4)
      assert_int_equal(rig_read(&r, b, 100, mode & 2 ? MSG_PEEK | MSG_DONTWAIT : MSG_DONTWAIT), 0);
    else
      assert_fails(rig_read(&r, b, 100, mode & 2 ? MSG_PEEK | MSG_DONTWAIT : MSG_DONTWAIT), ECONNRESET);
    rig_close(&r);
  }
}

static void test_reset_passes_through(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  struct linger hard = {1, 0};
  rig_open(&r, (struct rig_options){.flags = ARENA_TRUNCATION_EOF});
  setsockopt(r.peer_fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(r.peer_fd);
  r.peer_fd = -1;
  /* Told once, as the kernel does it. */
  assert_fails(rig_read(&r, b, 10, 0), ECONNRESET);
  assert_int_equal(rig_read(&r, b, 10, 0), 0);
  assert_fails(rig_write(&r, b, 10, MSG_NOSIGNAL), EPIPE);
  rig_close(&r);
}

/* ---- alerts received --------------------------------------------------------------------------------- */
static void test_alerts_received(void **state) {
  (void)state;
  static const struct {
    uint8_t alert;
    int err;
  } table[] = {{49, EACCES},     {42, EACCES},      {43, EACCES},      {44, EACCES},      {45, EACCES},
               {46, EACCES},     {48, EACCES},      {116, EACCES},     {20, ECONNRESET},  {40, ECONNRESET},
               {80, ECONNRESET}, {112, ECONNRESET}, {255, ECONNRESET}, {115, ECONNRESET}, {10, ECONNRESET}};
  char b[10];
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    for (uint8_t level = 1; level <= 2; level++) {
      struct rig r;
      rig_open(&r, (struct rig_options){0});
      reset_alert(NULL);
      send_alert(&r, level, table[i].alert);
      assert_true(rig_readable(&r));
      assert_fails(rig_read(&r, b, 10, 0), table[i].err);
      assert_int_equal(alert_seen, table[i].alert);
      assert_true(alert_was_received);
      assert_fails(rig_read(&r, b, 10, 0), table[i].err);
      assert_fails(rig_write(&r, b, 10, MSG_NOSIGNAL), table[i].err);
      assert_int_equal(alerts, 1);
      assert_true(rig_readable(&r));
      rig_close(&r);
    }
}

static void test_user_canceled_is_ignored(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  rig_open(&r, (struct rig_options){0});
  send_alert(&r, 1, 90);
  assert_true(rig_readable(&r));
  assert_fails(rig_read(&r, b, 10, MSG_DONTWAIT), EAGAIN);
  rig_send_record(&r, RECORD_DATA, "x", 1);
  assert_int_equal(rig_read(&r, b, 10, 0), 1);
  assert_int_equal(alerts, 0);
  rig_close(&r);
}

/* The peer judged our certificate after our connect() was done: alert, then reset. A write finds out why. */
static void test_write_finds_the_alert(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  rig_open(&r, (struct rig_options){0});
  assert_int_equal(rig_write(&r, "GET /", 5, 0), 5);
  send_alert(&r, 2, 116);
  struct linger hard = {1, 0};
  setsockopt(r.peer_fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(r.peer_fd);
  r.peer_fd = -1;
  assert_true(rig_poll(r.fd, POLLERR | POLLHUP, 20000) != 0);
  assert_fails(rig_write(&r, "more", 4, 0), EACCES); /* and no SIGPIPE */
  assert_fails(rig_read(&r, b, 10, 0), EACCES);
  assert_int_equal(alert_seen, 116);
  rig_close(&r);
}

/* ---- what a peer must not send ----------------------------------------------------------------------- */
static void hear_alert(struct rig *r, int want) {
  uint8_t got[RECORD_PLAIN_MAX];
  size_t n = 0;
  assert_int_equal(rig_hear(r, got, &n), RECORD_ALERT);
  assert_int_equal(n, 2);
  assert_int_equal(got[0], 2);
  assert_int_equal(got[1], want);
  assert_int_equal(rig_hear(r, got, &n), -1);
}

static void expect_failure(struct rig *r, int alert) {
  char b[100];
  reset_alert(NULL);
  assert_true(rig_readable(r));
  ssize_t n;
  do {
    n = rig_read(r, b, sizeof b, 0);
  } while (n > 0);
  assert_int_equal(n, -1);
  assert_int_equal(errno, ECONNRESET);
  assert_int_equal(alert_seen, alert);
  assert_false(alert_was_received);
  assert_true(rig_readable(r));
  assert_fails(rig_read(r, b, sizeof b, 0), ECONNRESET);
  assert_fails(rig_write(r, b, 1, MSG_NOSIGNAL), ECONNRESET);
  hear_alert(r, alert);
  rig_close(r);
}

static void test_broken_records(void **state) {
  (void)state;
  struct rig r;
  uint8_t wire[700], data[600] = {0};
  for (int first = 0; first < 2; first++) { /* alone, or behind good data */
    rig_open(&r, (struct rig_options){0});
    if (first)
      rig_send_record(&r, RECORD_DATA, "good", 4);
    size_t n = rig_seal(&r, RECORD_DATA, data, 600, wire);
    wire[n - 1] ^= 1;
    rig_send(&r, wire, n);
    expect_failure(&r, 20);
  }
  static const uint8_t junk[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
  rig_open(&r, (struct rig_options){0});
  rig_send(&r, junk, sizeof junk);
  expect_failure(&r, 10);
  rig_open(&r, (struct rig_options){0});
  rig_send(&r, "\x17\x03\x03\x41\x01", 5); /* a header alone is enough */
  expect_failure(&r, 22);
  rig_open(&r, (struct rig_options){0});
  rig_send(&r, "\x17\x03\x03\x00\x00", 5);
  expect_failure(&r, 20);
  rig_open(&r, (struct rig_options){0});
  rig_send(&r, "\x14\x03\x03\x00\x01\x01", 6); /* change_cipher_spec after the handshake */
  expect_failure(&r, 10);
}

static void test_forbidden_messages(void **state) {
  (void)state;
  static const struct {
    enum arena_role role;
    uint8_t type;
    const char *bytes;
    size_t len;
    int alert;
  } table[] = {
      {ARENA_CLIENT, RECORD_HANDSHAKE, "\x01\0\0\0", 4, 10},         /* ClientHello: renegotiation */
      {ARENA_CLIENT, RECORD_HANDSHAKE, "\x0d\0\0\x03\0\0\0", 7, 10}, /* CertificateRequest, not offered */
      {ARENA_SERVER, RECORD_HANDSHAKE, "\x04\0\0\x01x", 5, 10},      /* a ticket from a client */
      {ARENA_CLIENT, RECORD_HANDSHAKE, "\x04\x10\0\0", 4, 50},       /* a ticket of a megabyte */
      {ARENA_SERVER, RECORD_HANDSHAKE, "\x18\0\0\x02\0\0", 6, 50},   /* KeyUpdate of the wrong length */
      {ARENA_SERVER, RECORD_HANDSHAKE, "\x18\0\0\x01\x02", 5, 47},   /* and value */
      {ARENA_SERVER, RECORD_HANDSHAKE, "\x18\0\0\x01\0\x18", 6, 10}, /* bytes behind it under old keys */
      {ARENA_SERVER, RECORD_HANDSHAKE, "", 0, 10},                   /* empty pieces */
      {ARENA_SERVER, RECORD_ALERT, "", 0, 10},
      {ARENA_SERVER, RECORD_ALERT, "\x01", 1, 50},
      {ARENA_SERVER, RECORD_ALERT, "\x01\0\0", 3, 50},
      {ARENA_SERVER, RECORD_CHANGE_CIPHER_SPEC, "\x01", 1, 10},
      {ARENA_SERVER, 24, "x", 1, 10}, /* heartbeat */
      {ARENA_SERVER, 1, "x", 1, 10},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    struct rig r;
    rig_open(&r, (struct rig_options){.role = table[i].role});
    rig_send_record(&r, table[i].type, table[i].bytes, table[i].len);
    expect_failure(&r, table[i].alert);
  }
}

static void test_nothing_between_the_pieces_of_a_message(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, (struct rig_options){0});
  rig_send_record(&r, RECORD_HANDSHAKE, "\x18\0", 2);
  rig_send_record(&r, RECORD_DATA, "x", 1);
  expect_failure(&r, 10);
  rig_open(&r, (struct rig_options){0});
  rig_send_record(&r, RECORD_HANDSHAKE, "\x04\0\0\x09x", 5);
  rig_send_record(&r, RECORD_DATA, "x", 1);
  expect_failure(&r, 10);
}

/* Empty records keep nobody busy for ever. */
static void test_flood_of_empty_records(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  rig_open(&r, (struct rig_options){0});
  for (int i = 0; i < 30; i++)
    rig_send_record(&r, RECORD_DATA, "", 0);
  rig_send_record(&r, RECORD_DATA, "x", 1);
  assert_int_equal(rig_read(&r, b, 10, 0), 1); /* a few are fine, and are no end of stream */
  for (int i = 0; i < 100; i++)
    rig_send_record(&r, RECORD_DATA, "", 0);
  expect_failure(&r, 10);
}

/* ---- tickets and KeyUpdate --------------------------------------------------------------------------- */
static void test_tickets_are_swallowed(void **state) {
  (void)state;
  struct rig r;
  uint8_t b[100], wire[5000];
  size_t n = 0, k;
  rig_open(&r, (struct rig_options){.role = ARENA_CLIENT, .tickets = 4});
  /* OpenSSL wrote them with the handshake, into the client's BIO; take them from there. */
  while ((k = (size_t)BIO_pending(SSL_get_rbio(r.pair.client))) > 0)
    n += (size_t)BIO_read(SSL_get_rbio(r.pair.client), wire + n, (int)(sizeof wire - n));
  if (n == 0) /* or they were read by the client's SSL object already; then our count starts behind them */
    r.slot->rx.seq = 4;
  rig_send(&r, wire, n);
  rig_peer_write(&r, "data", 4);
  assert_int_equal(rig_read(&r, b, 100, 0), 4);
  assert_memory_equal(b, "data", 4);
  rig_close(&r);
}

static void test_long_and_split_tickets(void **state) {
  (void)state;
  struct rig r;
  static uint8_t ticket[40004];
  char b[10];
  rig_open(&r, (struct rig_options){.role = ARENA_CLIENT});
  ticket[0] = 4, ticket[2] = 40000 >> 8, ticket[3] = 40000 & 255;
  for (size_t at = 0, piece = 1; at < sizeof ticket; at += piece, piece = 3 + at * 2 / 3) {
    if (piece > sizeof ticket - at)
      piece = sizeof ticket - at;
    if (piece > RECORD_PLAIN_MAX)
      piece = RECORD_PLAIN_MAX;
    rig_send_record(&r, RECORD_HANDSHAKE, ticket + at, piece);
    assert_true(rig_readable(&r));
    assert_fails(rig_read(&r, b, at % 2 ? 10 : 1, MSG_DONTWAIT), EAGAIN);
    assert_true(rig_quiet(&r));
  }
  /* Two whole ones and a piece of a third in one record. */
  rig_send_record(&r, RECORD_HANDSHAKE, "\4\0\0\2ab\4\0\0\0\4\0\0\3x", 15);
  rig_send_record(&r, RECORD_HANDSHAKE, "yz", 2);
  rig_send_record(&r, RECORD_DATA, "ok", 2);
  assert_int_equal(rig_read(&r, b, 10, 0), 2);
  rig_close(&r);
}

static void ping(struct rig *r) {
  uint8_t a[300], b[300];
  rig_random(a, sizeof a);
  rig_peer_write(r, a, sizeof a);
  assert_int_equal(rig_read(r, b, sizeof b, MSG_WAITALL), sizeof b);
  assert_memory_equal(a, b, sizeof a);
  assert_int_equal(rig_write(r, b, sizeof b, 0), sizeof b);
  memset(a, 0, sizeof a);
  rig_peer_read(r, a, sizeof a);
  assert_memory_equal(a, b, sizeof a);
}

static void test_key_update_from_the_peer(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  rig_open(&r, (struct rig_options){.cipher = ARENA_AES_256_GCM_SHA384});
  ping(&r);
  for (uint32_t i = 1; i <= 3; i++) {
    assert_int_equal(SSL_key_update(r.peer, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(r.peer), 1);
    rig_peer_write(&r, "", 0);
    assert_true(rig_readable(&r));
    assert_fails(rig_read(&r, b, 1, MSG_DONTWAIT), EAGAIN);
    assert_int_equal(r.slot->rx.epoch, i);
    assert_int_equal(r.slot->tx.epoch, i); /* the reader answered: nobody was writing */
    ping(&r);
  }
  assert_int_equal(SSL_key_update(r.peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
  ping(&r);
  assert_int_equal(r.slot->rx.epoch, 4);
  assert_int_equal(r.slot->tx.epoch, 3);
  rig_close(&r);
}

/* The writer answers before its next record when the reader could not. */
static void test_key_update_is_answered_by_the_writer(void **state) {
  (void)state;
  struct rig r;
  uint8_t got[RECORD_PLAIN_MAX];
  size_t n = 0;
  rig_open(&r, (struct rig_options){0});
  atomic_store(&r.slot->w_key_update, 1);
  assert_int_equal(rig_write(&r, "data", 4, 0), 4);
  assert_int_equal(rig_hear(&r, got, &n), RECORD_HANDSHAKE);
  assert_int_equal(n, 5);
  assert_memory_equal(got, "\x18\0\0\1\0", 5);
  assert_int_equal(record_side_update(&r.ear, ARENA_AES_128_GCM_SHA256), 0);
  record_ctx_free(r.ear_ctx);
  r.ear_ctx = record_ctx_new(&r.ear, ARENA_AES_128_GCM_SHA256, 0);
  assert_int_equal(rig_hear(&r, got, &n), RECORD_DATA);
  assert_memory_equal(got, "data", 4);
  assert_int_equal(atomic_load(&r.slot->w_key_update), 0);
  rig_close(&r);
}

/* A KeyUpdate split over two records, and met by reads too small for it. */
static void test_split_key_update(void **state) {
  (void)state;
  struct rig r;
  char b[4];
  rig_open(&r, (struct rig_options){0});
  rig_send_record(&r, RECORD_HANDSHAKE, "\x18\0\0", 3);
  assert_true(rig_readable(&r));
  assert_fails(rig_read(&r, b, 1, MSG_DONTWAIT), EAGAIN);
  rig_send_record(&r, RECORD_HANDSHAKE, "\1\0", 2);
  assert_int_equal(record_side_update(&r.hand, ARENA_AES_128_GCM_SHA256), 0);
  record_ctx_free(r.hand_ctx);
  r.hand_ctx = record_ctx_new(&r.hand, ARENA_AES_128_GCM_SHA256, 1);
  rig_send_record(&r, RECORD_DATA, "new", 3);
  for (int i = 0; i < 3; i++)
    assert_int_equal(rig_read(&r, b + i, 1, 0), 1);
  assert_memory_equal(b, "new", 3);
  rig_close(&r);
}

/* Our own, before AES-GCM wears out; the peer follows. */
static void test_own_key_update_when_worn(void **state) {
  (void)state;
  struct rig r;
  uint8_t got[RECORD_PLAIN_MAX];
  size_t n = 0;
  rig_open(&r, (struct rig_options){0});
  r.slot->tx.seq = r.ear.seq = 23726566 - 17;
  assert_int_equal(rig_write(&r, "one", 3, 0), 3);
  assert_int_equal(rig_write(&r, "two", 3, 0), 3);
  assert_int_equal(rig_hear(&r, got, &n), RECORD_DATA);
  assert_memory_equal(got, "one", 3);
  assert_int_equal(rig_hear(&r, got, &n), RECORD_HANDSHAKE);
  assert_int_equal(record_side_update(&r.ear, ARENA_AES_128_GCM_SHA256), 0);
  record_ctx_free(r.ear_ctx);
  r.ear_ctx = record_ctx_new(&r.ear, ARENA_AES_128_GCM_SHA256, 0);
  assert_int_equal(rig_hear(&r, got, &n), RECORD_DATA);
  assert_memory_equal(got, "two", 3);
  assert_int_equal(r.slot->tx.seq, 1);
  rig_close(&r);
}

static void test_revoked(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  rig_open(&r, (struct rig_options){0});
  rig_peer_write(&r, "data", 4);
  assert_true(rig_readable(&r));
  atomic_store(&r.slot->revoked, EACCES);
  assert_fails(rig_read(&r, b, 10, 0), EACCES);
  assert_fails(rig_write(&r, b, 10, 0), EACCES);
  static const struct arena_side zero; /* no key is needed any more */
  assert_memory_equal(&r.slot->rx, &zero, sizeof zero);
  assert_memory_equal(&r.slot->tx, &zero, sizeof zero);
  rig_close(&r);
}

int main(void) {
#define T(f) cmocka_unit_test_setup(f, reset_alert)
  const struct CMUnitTest tests[] = {
      T(test_close_notify_is_end_of_stream),
      T(test_half_close_of_ours),
      T(test_truncation),
      T(test_end_behind_a_silent_record),
      T(test_reset_passes_through),
      T(test_alerts_received),
      T(test_user_canceled_is_ignored),
      T(test_write_finds_the_alert),
      T(test_broken_records),
      T(test_forbidden_messages),
      T(test_nothing_between_the_pieces_of_a_message),
      T(test_flood_of_empty_records),
      T(test_tickets_are_swallowed),
      T(test_long_and_split_tickets),
      T(test_key_update_from_the_peer),
      T(test_key_update_is_answered_by_the_writer),
      T(test_split_key_update),
      T(test_own_key_update_when_worn),
      T(test_revoked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
