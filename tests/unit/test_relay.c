/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay: does a connection that moves in mid-stream lose nothing, does each end see the other's end, and is a
 * slot that somebody tampered with refused?
 */
#include "agentclient/relay/relay.h"
#include "shim/conn_pages.h"
#include "support_conn.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BULK (4u << 20)

struct moved {
  struct rig r;
  struct relay *relay;
  struct arena_slot *copy;
  int fd; /* the program's end */
};

static int give(void *arg) {
  struct moved *m = arg;
  m->copy = relay_slot_new();
  assert_non_null(m->copy);
  memcpy(m->copy, m->r.slot, ARENA_STRIDE);
  return 0;
}

/* The slot is copied, as the daemon does it. */
static void copy_out(struct moved *m) { assert_int_equal(conn_move(&m->r.c, m->r.fd, give, m), 0); }

static void move(struct moved *m) {
  int pair[2];
  copy_out(m);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  assert_int_equal(relay_take(m->relay, m->copy, dup(m->r.fd), pair[0], pair[1], getpid()), 0);
  m->fd = pair[1];
  atomic_store(&m->r.slot->state, ARENA_MOVED);
}

static void open_moved(struct moved *m, struct rig_options o) {
  memset(m, 0, sizeof *m);
  rig_open(&m->r, o);
  m->relay = relay_new();
  assert_non_null(m->relay);
  m->fd = -1;
}

static void close_moved(struct moved *m) {
  relay_free(m->relay);
  if (m->fd >= 0)
    close(m->fd);
  rig_close(&m->r);
}

static void read_all(int fd, void *p, size_t n) {
  for (size_t have = 0; have < n;) {
    struct pollfd f = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&f, 1, 10000), 1);
    ssize_t k = read(fd, (char *)p + have, n - have);
    assert_true(k > 0);
    have += (size_t)k;
  }
}

static void test_nothing_is_lost_in_mid_stream(void **state) {
  (void)state;
  static const uint16_t ciphers[] = {0, ARENA_AES_256_GCM_SHA384, ARENA_CHACHA20_POLY1305_SHA256};
  for (size_t i = 0; i < 3; i++) {
    struct moved m;
    uint8_t data[20000], got[20000], wire[20000];
    open_moved(&m, (struct rig_options){.cipher = ciphers[i], .role = ARENA_SERVER});
    rig_random(data, sizeof data);
    rig_send_record(&m.r, RECORD_DATA, data, 9000);
    assert_int_equal(rig_read(&m.r, got, 10, 0), 10); /* the rest waits, opened, in the read buffer */
    size_t n = rig_seal(&m.r, RECORD_DATA, data + 9000, 5000, wire);
    assert_int_equal(send(m.r.peer_fd, wire, 100, 0), 100); /* and a record that came in part */
    assert_int_equal(rig_write(&m.r, "before", 6, 0), 6);
    move(&m);
    assert_int_equal(send(m.r.peer_fd, wire + 100, n - 100, 0), n - 100);
    read_all(m.fd, got + 10, 13990);
    assert_memory_equal(got, data, 14000);
    assert_int_equal(write(m.fd, "after", 5), 5);
    size_t k = 0;
    assert_int_equal(rig_hear(&m.r, got, &k), RECORD_DATA);
    assert_memory_equal(got, "before", 6);
    assert_int_equal(rig_hear(&m.r, got, &k), RECORD_DATA);
    assert_int_equal(k, 5);
    assert_memory_equal(got, "after", 5);
    struct relay_totals t;
    relay_totals(m.relay, &t);
    assert_int_equal(t.live, 1);
    close_moved(&m);
  }
}

static void test_the_ends_of_both_directions(void **state) {
  (void)state;
  struct moved m;
  uint8_t got[100];
  size_t k = 0;
  open_moved(&m, (struct rig_options){0});
  move(&m);
  const uint8_t bye[2] = {1, 0};
  rig_send_record(&m.r, RECORD_DATA, "last", 4);
  rig_send_record(&m.r, RECORD_ALERT, bye, 2);
  read_all(m.fd, got, 4);
  assert_int_equal(read(m.fd, got, 1), 0); /* close_notify is an end of stream */
  assert_int_equal(write(m.fd, "still here", 10), 10);
  assert_int_equal(rig_hear(&m.r, got, &k), RECORD_DATA);
  assert_int_equal(k, 10);
  shutdown(m.fd, SHUT_WR);
  assert_int_equal(rig_hear(&m.r, got, &k), RECORD_ALERT);
  assert_memory_equal(got, bye, 2);
  assert_int_equal(rig_hear(&m.r, got, &k), -1);
  close_moved(&m);
}

static void test_a_bad_record_ends_it_and_shows_nothing(void **state) {
  (void)state;
  struct moved m;
  uint8_t wire[200], got[100];
  open_moved(&m, (struct rig_options){0});
  move(&m);
  size_t n = rig_seal(&m.r, RECORD_DATA, "forged", 6, wire);
  wire[n - 1] ^= 1;
  assert_int_equal(send(m.r.peer_fd, wire, n, 0), n);
  struct pollfd f = {.fd = m.fd, .events = POLLIN};
  assert_int_equal(poll(&f, 1, 10000), 1);
  assert_fails(read(m.fd, got, sizeof got), ECONNRESET);
  close_moved(&m);
}

/* A stream that is cut off is no end of stream; what came before the cut does come. */
static void test_a_cut_is_no_end(void **state) {
  (void)state;
  struct moved m;
  uint8_t got[100];
  open_moved(&m, (struct rig_options){0});
  move(&m);
  rig_send_record(&m.r, RECORD_DATA, "almost all", 10);
  shutdown(m.r.peer_fd, SHUT_WR);
  read_all(m.fd, got, 10);
  assert_fails(read(m.fd, got, 1), ECONNRESET);
  close_moved(&m);
}

static void *pour(void *arg) {
  static uint8_t data[65536];
  int fd = *(int *)arg;
  for (size_t sent = 0; sent < BULK;) {
    ssize_t n = write(fd, data, sizeof data);
    if (n <= 0)
      return NULL;
    sent += (size_t)n;
  }
  shutdown(fd, SHUT_WR);
  return NULL;
}

/* A peer that does not read stops the program, not the relay's memory; then all of it comes. */
static void test_backpressure(void **state) {
  (void)state;
  struct moved m, other;
  uint8_t got[RECORD_PLAIN_MAX];
  pthread_t t;
  open_moved(&m, (struct rig_options){.sndbuf = 20000, .rcvbuf = 60000});
  move(&m);
  pthread_create(&t, NULL, pour, &m.fd);
  rig_open(&other.r, (struct rig_options){0}); /* another connection of the same relay goes on meanwhile */
  other.relay = m.relay;
  move(&other);
  for (int i = 0; i < 20; i++) {
    size_t k = 0;
    assert_int_equal(write(other.fd, "tick", 4), 4);
    assert_int_equal(rig_hear(&other.r, got, &k), RECORD_DATA);
    assert_int_equal(k, 4);
    usleep(2000);
  }
  size_t heard = 0, k = 0;
  while (rig_hear(&m.r, got, &k) == RECORD_DATA)
    heard += k;
  assert_int_equal(heard, BULK);
  pthread_join(t, NULL);
  close(other.fd);
  rig_close(&other.r);
  close_moved(&m);
}

/* Whatever a program writes into its slot, the relay does not follow it out of the buffers. */
static void test_a_tampered_slot_is_refused(void **state) {
  (void)state;
  struct moved m;
  struct conn c;
  open_moved(&m, (struct rig_options){0});
  copy_out(&m);
  struct arena_slot good = *m.copy, *s = m.copy;
#define REFUSED(field, value)                                                                                        \
  do {                                                                                                               \
    *s = good;                                                                                                       \
    s->field = (value);                                                                                              \
    assert_int_equal(conn_adopt(&c, s), -EPROTO);                                                                    \
  } while (0)
  REFUSED(r_have, ARENA_RBUF + 1);
  REFUSED(r_off, ARENA_RBUF + 1);
  REFUSED(r_len, ARENA_RBUF + 1);
  *s = good;
  s->r_off = 10;
  s->r_len = ARENA_RBUF - 9;
  assert_int_equal(conn_adopt(&c, s), -EPROTO);
  REFUSED(r_hs_have, sizeof s->r_hs);
  REFUSED(w_off, ARENA_WBUF + 1);
  REFUSED(w_len, ARENA_WBUF + 1);
  REFUSED(cipher, 0x1304);
  REFUSED(role, 2);
  REFUSED(peer_id_len, sizeof s->peer_id + 1);
  REFUSED(peer_len, sizeof s->peer + 1);
  *s = good;
  assert_int_equal(conn_adopt(&c, s), 0);
  relay_slot_free(s);
  close_moved(&m);
}

static void test_a_connection_at_its_end_does_not_move(void **state) {
  (void)state;
  struct moved m;
  open_moved(&m, (struct rig_options){0});
  m.r.slot->w_error = EPIPE;
  assert_int_equal(conn_move(&m.r.c, m.r.fd, give, &m), -EPIPE);
  m.r.slot->w_error = 0;
  atomic_store(&m.r.slot->revoked, EACCES);
  assert_int_equal(conn_move(&m.r.c, m.r.fd, give, &m), -EACCES);
  assert_null(m.copy);
  close_moved(&m);
}

/* As the record engine does when its buffers are empty: where the kernel cannot, it would ask at every call. */
static void test_empty_buffers_give_their_memory_back(void **state) {
  (void)state;
  struct arena_slot *s = relay_slot_new();
  assert_non_null(s);
  memset(arena_rbuf(s), 'r', ARENA_RBUF);
  memset(arena_wbuf(s), 'w', ARENA_WBUF);
  assert_int_equal(madvise(arena_rbuf(s), ARENA_RBUF, MADV_REMOVE), 0);
  assert_int_equal(madvise(arena_wbuf(s), ARENA_WBUF, MADV_REMOVE), 0);
  assert_int_equal(arena_rbuf(s)[0], 0);
  assert_int_equal(arena_wbuf(s)[ARENA_WBUF - 1], 0);
  relay_slot_free(s);
}

/* The relay's buffers are its own: nobody is asked about their pages, which may be many at once. */
static void test_the_kernel_is_not_asked_about_the_relays_memory(void **state) {
  (void)state;
  const size_t n = (size_t)1 << 20;
  void *nothing = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(nothing, MAP_FAILED);
  assert_int_equal(pages_readable(nothing, n), n);
  assert_int_equal(pages_writable(nothing, n), n);
  assert_int_equal(munmap(nothing, n), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_is_lost_in_mid_stream),
      cmocka_unit_test(test_the_ends_of_both_directions),
      cmocka_unit_test(test_a_bad_record_ends_it_and_shows_nothing),
      cmocka_unit_test(test_a_cut_is_no_end),
      cmocka_unit_test(test_backpressure),
      cmocka_unit_test(test_a_tampered_slot_is_refused),
      cmocka_unit_test(test_a_connection_at_its_end_does_not_move),
      cmocka_unit_test(test_empty_buffers_give_their_memory_back),
      cmocka_unit_test(test_the_kernel_is_not_asked_about_the_relays_memory),
  };
  srandom(5);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
