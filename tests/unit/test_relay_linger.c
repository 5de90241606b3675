/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a connection that is closed with bytes which the peer has no room for bring them all, whatever the peer says
 * meanwhile that TCP would not mind? When is nobody asked to hold it, and by what does the holding end?
 */
#include "agentclient/relay/internal.h"
#include "support_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t bye[2] = {1, 0};

static struct relay *relay;
static unsigned asked;
static bool takes, slow, speaks, leaving;
static struct rig *spoken_by;

/* What the shim and the daemon do between them. */
static int stay(struct conn *c, int fd, int *theirs) {
  int pair[2];
  if (leaving || gettid() != getpid()) /* the relay's own last close: in the daemon it has nobody to ask */
    return -1;
  asked++;
  if (!takes)
    return -1;
  struct arena_slot *copy = relay_slot_new();
  assert_non_null(copy);
  memcpy(copy, c->slot, ARENA_STRIDE);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  assert_int_equal(relay_take(relay, copy, dup(fd), pair[0], pair[1], getpid()), 0);
  atomic_store(&c->slot->state, ARENA_MOVED);
  if (speaks) /* the peer says something before the program's end is closed */
    rig_send_record(spoken_by, RECORD_DATA, "hello?", 6);
  if (slow) /* the relay has looked at it before the program's end is closed */
    usleep(20000);
  if (theirs)
    *theirs = pair[1];
  else
    close(pair[1]);
  return 0;
}

static int set_up(void **state) {
  (void)state;
  relay = relay_new();
  conn_stay_behind = stay;
  asked = 0;
  takes = true;
  slow = speaks = leaving = false;
  return relay ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  leaving = true;
  relay_free(relay); /* its threads have looked at what follows until then */
  conn_stay_behind = NULL;
  return 0;
}

static void open_small(struct rig *r) { rig_open(r, (struct rig_options){.sndbuf = 500000, .rcvbuf = 30000}); }

/* Writes until nothing is taken. */
static size_t fill(struct rig *r) {
  static uint8_t data[10000];
  size_t sum = 0;
  for (ssize_t n; (n = rig_write(r, data, sizeof data, MSG_DONTWAIT)) > 0;)
    sum += (size_t)n;
  assert_true(sum > 200000);
  return sum;
}

static void close_ours(struct rig *r) {
  conn_close(&r->c, r->fd);
  close(r->fd);
  r->fd = -1;
}

/* The rest of the stream: bytes of data, then a close_notify and nothing else. */
static void hear_all(struct rig *r, size_t expected) {
  uint8_t got[RECORD_PLAIN_MAX];
  size_t heard = 0, n = 0;
  int type;
  while ((type = rig_hear(r, got, &n)) == RECORD_DATA)
    heard += n;
  assert_int_equal(heard, expected);
  assert_int_equal(type, RECORD_ALERT);
  assert_memory_equal(got, bye, 2);
  assert_int_equal(recv(r->peer_fd, got, 1, 0), 0);
}

static struct relay_totals totals(void) {
  struct relay_totals t;
  relay_totals(relay, &t);
  return t;
}

/* true: it came to that. */
static bool live_becomes(uint64_t live, uint64_t lingering) {
  for (int i = 0; i < 5000; i++) {
    struct relay_totals t = totals();
    if (t.live == live && t.lingering == lingering)
      return true;
    usleep(1000);
  }
  return false;
}

/* Full, closed, and the relay has it. Bytes written. */
static size_t close_full(struct rig *r) {
  open_small(r);
  size_t n = fill(r);
  close_ours(r);
  assert_true(live_becomes(1, 1));
  return n;
}

static void test_all_comes_though_the_peer_ends_first(void **state) {
  (void)state;
  for (int relayed = 0; relayed < 2; relayed++) {
    struct rig r;
    size_t n = close_full(&r);
    assert_int_equal(asked, relayed + 1);
    rig_send_record(&r, RECORD_ALERT, bye, 2);
    shutdown(r.peer_fd, SHUT_WR);
    assert_true(live_becomes(0, 0)); /* it has said its last: nothing is answered by a reset from here */
    hear_all(&r, n);
    rig_close(&r);
  }
}

static void test_it_ends_when_all_is_acknowledged(void **state) {
  (void)state;
  struct rig r;
  size_t n = close_full(&r);
  hear_all(&r, n);
  assert_true(live_becomes(0, 0));
  rig_close(&r);
}

/* The kernel resets who reads no more at whatever comes behind our FIN: so that one is sent last. */
static void test_who_reads_no_more(void **state) {
  (void)state;
  for (int way = 0; way < 4; way++) {
    struct rig r;
    bool first = way & 1;
    slow = way & 2;
    open_small(&r);
    assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_RD), 0);
    size_t n = fill(&r);
    close_ours(&r);
    assert_true(live_becomes(1, 1));
    if (first) {
      rig_send_record(&r, RECORD_ALERT, bye, 2);
      shutdown(r.peer_fd, SHUT_WR);
    }
    hear_all(&r, n);
    assert_true(live_becomes(0, 0));
    rig_close(&r);
  }
}

static void test_a_half_closed_one(void **state) {
  (void)state;
  struct rig r;
  open_small(&r);
  size_t n = fill(&r);
  assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_WR), 0);
  close_ours(&r);
  assert_true(live_becomes(1, 1));
  rig_send_record(&r, RECORD_ALERT, bye, 2);
  hear_all(&r, n);
  assert_true(live_becomes(0, 0));
  rig_close(&r);
}

/* shutdown() of both ways, or of one after the other, and the socket is still open. */
static void test_both_ways_shut(void **state) {
  (void)state;
  for (int way = 0; way < 3; way++) {
    struct rig r;
    int pair = -1;
    open_small(&r);
    if (way == 1)
      assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_RD), 0);
    size_t n = fill(&r);
    if (way == 2)
      assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_WR), 0);
    if (way < 2)
      assert_false(conn_shut_behind(&r.c, r.fd, way ? SHUT_RD : SHUT_WR, &pair)); /* not both */
    assert_true(conn_shut_behind(&r.c, r.fd, way == 0 ? SHUT_RDWR : way == 1 ? SHUT_WR : SHUT_RD, &pair));
    assert_true(conn_moved(&r.c));
    close(r.fd);
    r.fd = -1;
    shutdown(pair, SHUT_RDWR);
    assert_true(live_becomes(1, 1));
    rig_send_record(&r, RECORD_ALERT, bye, 2);
    shutdown(r.peer_fd, SHUT_WR);
    hear_all(&r, n);
    assert_true(live_becomes(0, 0));
    close(pair);
    rig_close(&r);
  }
}

static void test_data_is_answered_by_a_reset(void **state) {
  (void)state;
  for (int way = 0; way < 2; way++) {
    struct rig r;
    uint8_t got[50000];
    ssize_t n;
    slow = speaks = way & 1;
    open_small(&r);
    fill(&r);
    spoken_by = &r;
    close_ours(&r);
    assert_true(way == 1 || live_becomes(1, 1));
    if (way != 1)
      rig_send_record(&r, RECORD_DATA, "hello?", 6);
    assert_true(live_becomes(0, 0));
    while ((n = recv(r.peer_fd, got, sizeof got, 0)) > 0) {
    }
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
    rig_close(&r);
  }
}

/* Not even what looks like an end: it has to be the peer's. */
static void test_a_forged_end_is_none(void **state) {
  (void)state;
  struct rig r;
  uint8_t wire[100];
  close_full(&r);
  size_t n = rig_seal(&r, RECORD_ALERT, bye, 2, wire);
  wire[n - 1] ^= 1;
  assert_int_equal(send(r.peer_fd, wire, n - 1, 0), n - 1);
  usleep(3 * LINGER_TICK_MS * 1000); /* a piece of a record says nothing yet */
  assert_int_equal(totals().lingering, 1);
  assert_int_equal(send(r.peer_fd, wire + n - 1, 1, 0), 1);
  assert_true(live_becomes(0, 0));
  rig_close(&r);
}

static void test_a_reset_by_the_peer_ends_it(void **state) {
  (void)state;
  struct rig r;
  const struct linger hard = {1, 0};
  close_full(&r);
  setsockopt(r.peer_fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(r.peer_fd);
  r.peer_fd = -1;
  assert_true(live_becomes(0, 0));
  rig_close(&r);
}

/* The daemon ends: it is the kernel's then, as if there were no daemon, and not reset. */
static void test_the_end_of_the_relay(void **state) {
  (void)state;
  struct rig r;
  size_t n = close_full(&r);
  relay_free(relay);
  hear_all(&r, n);
  rig_close(&r);
  relay = relay_new();
}

static void test_nobody_takes_it(void **state) {
  (void)state;
  struct rig r;
  takes = false;
  open_small(&r);
  size_t n = fill(&r);
  close_ours(&r);
  assert_int_equal(asked, 1);
  assert_int_equal(atomic_load(&r.slot->state), ARENA_RELEASED);
  hear_all(&r, n);
  rig_close(&r);
}

static void test_when_nobody_is_asked(void **state) {
  (void)state;
  const struct linger hard = {1, 0}, soft = {1, 1};
  for (int why = 0; why < 6; why++) {
    struct rig r;
    open_small(&r);
    if (why == 0) { /* all has left */
      assert_int_equal(rig_write(&r, "x", 1, 0), 1);
    } else {
      fill(&r);
    }
    if (why == 1)
      setsockopt(r.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    if (why == 2)
      setsockopt(r.fd, SOL_SOCKET, SO_LINGER, &soft, sizeof soft);
    if (why == 3) /* the peer has said its last */
      rig_send_record(&r, RECORD_ALERT, bye, 2);
    if (why == 4) /* close() resets */
      rig_send_record(&r, RECORD_DATA, "unread", 6);
    if (why == 5) { /* another process goes on with it */
      conn_hold(&r.c);
    }
    close_ours(&r);
    assert_int_equal(asked, 0);
    rig_close(&r);
  }
}

/* Nagle's algorithm holds bytes back, too: a FIN takes them along. */
static void test_bytes_that_wait_for_company(void **state) {
  (void)state;
  struct rig r;
  uint8_t got[100];
  size_t n;
  rig_open(&r, (struct rig_options){0});
  assert_int_equal(rig_write(&r, "some ", 5, 0), 5);
  assert_int_equal(rig_write(&r, "more", 4, MSG_MORE), 4);
  close_ours(&r);
  assert_int_equal(asked, 0);
  assert_int_equal(rig_hear(&r, got, &n), RECORD_DATA);
  assert_int_equal(rig_hear(&r, got, &n), RECORD_DATA);
  assert_memory_equal(got, "more", 4);
  assert_int_equal(rig_hear(&r, got, &n), RECORD_ALERT);
  rig_close(&r);
}

static void test_bounds(void **state) {
  (void)state;
  struct rig r;
  struct lingering l = {.count = LINGER_MAX};
  TAILQ_INIT(&l.all);
  open_small(&r);
  fill(&r);
  struct passage p = {.conn = r.c, .slot = r.slot, .tcp = {.fd = r.fd}, .gone = true, .outward_shut = true};
  assert_false(linger_begin(&l, &p)); /* there are too many */
  assert_int_equal(l.refused, 1);
  l.count = LINGER_MAX - 1;
  assert_true(linger_begin(&l, &p));
  assert_int_equal(l.count, LINGER_MAX);
  assert_false(linger_over(&p));
  p.linger_until_ms = 0; /* and nothing was taken for too long */
  assert_true(linger_over(&p));
  p.linger_until_ms = 0;
  p.linger_left++; /* something was */
  assert_false(linger_over(&p));
  linger_end(&l, &p);
  assert_int_equal(l.count, LINGER_MAX - 1);
  rig_close(&r);
}

/* The other side of it: the peer's end is here, behind more than one look shows, and says that it reads no more. Then
 * it is sent no close_notify, which nobody would be there for. */
static void test_an_end_far_behind_is_seen(void **state) {
  (void)state;
  for (int padded = 0; padded < 2; padded++) {
    struct rig r;
    static uint8_t data[RECORD_PLAIN_MAX];
    uint8_t got[100], last[3] = {1, 0, RECORD_ALERT};
    size_t n;
    int room = 1 << 20;
    rig_open(&r, (struct rig_options){.sndbuf = room, .rcvbuf = 60000});
    setsockopt(r.fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    for (int i = 0; i < 9; i++)
      rig_send_record(&r, RECORD_DATA, data, sizeof data);
    rig_send_record(&r, padded ? 0 : RECORD_ALERT, last, padded ? 3 : 2);
    shutdown(r.peer_fd, SHUT_WR);
    assert_true(rig_poll(r.fd, POLLRDHUP, 5000) & POLLRDHUP);
    assert_int_equal(conn_shutdown(&r.c, r.fd, SHUT_WR), 0);
    if (!padded)
      assert_int_equal(rig_hear(&r, got, &n), RECORD_ALERT);
    assert_int_equal(recv(r.peer_fd, got, 1, 0), 0);
    for (size_t heard = 0; heard < 9 * sizeof data; heard += n) {
      n = (size_t)rig_read(&r, data, sizeof data, 0);
      assert_in_range(n, 1, sizeof data);
    }
    assert_int_equal(rig_read(&r, got, 1, 0), 0);
    rig_close(&r);
  }
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_all_comes_though_the_peer_ends_first),
      T(test_it_ends_when_all_is_acknowledged),
      T(test_who_reads_no_more),
      T(test_a_half_closed_one),
      T(test_both_ways_shut),
      T(test_data_is_answered_by_a_reset),
      T(test_a_forged_end_is_none),
      T(test_a_reset_by_the_peer_ends_it),
      T(test_the_end_of_the_relay),
      T(test_nobody_takes_it),
      T(test_when_nobody_is_asked),
      T(test_bytes_that_wait_for_company),
      T(test_bounds),
      T(test_an_end_far_behind_is_seen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
