/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a connection live as a socket does? Blocking with timeouts and signals, two threads, two processes,
 * a process that dies with a lock held, close and what it leaves behind.
 */
#include "support_asleep.h"
#include "support_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- blocking reads ---------------------------------------------------------------------------------- */
struct later {
  struct rig *r;
  const uint8_t *p;
  size_t n, piece;
  int pause_us, signal;
  bool holds_last; /* the last piece waits for this: */
  _Atomic bool last;
  pthread_t who;
};

/* Sends wire bytes in pieces, with pauses, each after a signal if there is one. */
static void *later_thread(void *arg) {
  struct later *l = arg;
  for (size_t at = 0; at < l->n; at += l->piece) {
    usleep((useconds_t)l->pause_us);
    if (l->signal)
      pthread_kill(l->who, l->signal);
    while (l->holds_last && at + l->piece >= l->n && !atomic_load(&l->last))
      usleep(1000);
    rig_send(l->r, l->p + at, l->n - at < l->piece ? l->n - at : l->piece);
  }
  return NULL;
}

static volatile sig_atomic_t signals;
static void on_signal(int sig) {
  (void)sig;
  signals++;
}

static void handler(int sig, int flags) {
  struct sigaction a = {.sa_handler = on_signal, .sa_flags = flags};
  signals = 0;
  sigaction(sig, &a, NULL);
}

static void test_waitall_and_dripping_records(void **state) {
  (void)state;
  struct rig r;
  uint8_t data[1000], wire[1100], got[2000];
  pthread_t t;
  rig_open(&r, (struct rig_options){0});
  rig_random(data, sizeof data);
  size_t n = rig_seal(&r, RECORD_DATA, data, 400, wire);
  n += rig_seal(&r, RECORD_DATA, data + 400, 600, wire + n);
  struct later l = {.r = &r, .p = wire, .n = n, .piece = 97, .pause_us = 3000};
  pthread_create(&t, NULL, later_thread, &l);
  assert_int_equal(rig_read(&r, got, 1000, MSG_WAITALL), 1000);
  assert_memory_equal(got, data, 1000);
  pthread_join(t, NULL);
  /* Without WAITALL the first record is enough. */
  n = rig_seal(&r, RECORD_DATA, data, 400, wire);
  l = (struct later){.r = &r, .p = wire, .n = n, .piece = 97, .pause_us = 3000};
  pthread_create(&t, NULL, later_thread, &l);
  assert_int_equal(rig_read(&r, got, 2000, 0), 400);
  pthread_join(t, NULL);
  /* An end of stream ends the waiting. */
  rig_send_record(&r, RECORD_DATA, data, 5);
  uint8_t bye[2] = {1, 0};
  rig_send_record(&r, RECORD_ALERT, bye, 2);
  assert_int_equal(rig_read(&r, got, 1000, MSG_WAITALL), 5);
  assert_int_equal(rig_read(&r, got, 1000, MSG_WAITALL), 0);
  rig_close(&r);
}

static void test_receive_timeout(void **state) {
  (void)state;
  struct rig r;
  char b[100];
  uint8_t wire[200];
  pthread_t t;
  struct timeval tv = {0, 60000};
  rig_open(&r, (struct rig_options){0});
  setsockopt(r.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  assert_fails(rig_read(&r, b, 100, 0), EAGAIN);
  /* A peer that sends a byte of a record now and then does not stretch it without end. */
  size_t n = rig_seal(&r, RECORD_DATA, b, 100, wire);
  struct later l = {.r = &r, .p = wire, .n = n, .piece = 1, .pause_us = 10000, .holds_last = true};
  pthread_create(&t, NULL, later_thread, &l);
  assert_fails(rig_read(&r, b, 100, 0), EAGAIN);
  assert_true(r.slot->r_have < n);
  atomic_store(&l.last, true);
  pthread_join(t, NULL);
  assert_int_equal(rig_read(&r, b, 100, 0), 100);
  rig_close(&r);
}

static void test_interrupted_read(void **state) {
  (void)state;
  struct rig r;
  char b[100];
  uint8_t wire[200];
  pthread_t t;
  rig_open(&r, (struct rig_options){0});
  handler(SIGUSR1, 0);
  struct alarm_clock alarm;
  alarm_clock_set(&alarm, SIGUSR1);
  assert_fails(rig_read(&r, b, 100, 0), EINTR);
  alarm_clock_end(&alarm);
  assert_int_equal(signals, 1);
  /* In the middle of a record, and nothing is lost. */
  size_t n = rig_seal(&r, RECORD_DATA, "0123456789", 10, wire);
  rig_send(&r, wire, 12);
  alarm_clock_set(&alarm, SIGUSR1);
  assert_fails(rig_read(&r, b, 100, 0), EINTR);
  alarm_clock_end(&alarm);
  /* MSG_WAITALL: what came before the signal is returned. */
  rig_send(&r, wire + 12, n - 12);
  alarm_clock_set(&alarm, SIGUSR1);
  assert_int_equal(rig_read(&r, b, 100, MSG_WAITALL), 10);
  assert_memory_equal(b, "0123456789", 10);
  alarm_clock_end(&alarm);
  /* SA_RESTART: goes on. */
  handler(SIGUSR1, SA_RESTART);
  n = rig_seal(&r, RECORD_DATA, "0123456789", 10, wire);
  struct later l = {
      .r = &r, .p = wire, .n = n, .piece = 7, .pause_us = 5000, .signal = SIGUSR1, .who = pthread_self()};
  pthread_create(&t, NULL, later_thread, &l);
  assert_int_equal(rig_read(&r, b, 100, 0), 10);
  assert_true(signals >= 4);
  pthread_join(t, NULL);
  signal(SIGUSR1, SIG_DFL);
  rig_close(&r);
}

/* ---- threads ----------------------------------------------------------------------------------------- */
#define BULK (8u << 20)
static uint8_t bulk[BULK];

struct half {
  struct rig *r;
  SSL *ssl;
  bool ok;
};

static void *our_writer(void *arg) {
  struct half *h = arg;
  h->ok = true;
  for (size_t at = 0; at < BULK && h->ok; at += 100000) {
    size_t n = BULK - at < 100000 ? BULK - at : 100000;
    h->ok = rig_write(h->r, bulk + at, n, 0) == (ssize_t)n;
  }
  return NULL;
}

static void *our_reader(void *arg) {
  struct half *h = arg;
  static uint8_t got[77777];
  size_t at = 0;
  h->ok = true;
  while (at < BULK && h->ok) {
    ssize_t n = rig_read(h->r, got, BULK - at < sizeof got ? BULK - at : sizeof got, 0);
    h->ok = n > 0 && memcmp(got, bulk + at, (size_t)n) == 0;
    at += n > 0 ? (size_t)n : 0;
  }
  return NULL;
}

/* The peer in one thread: a non-blocking SSL object must not be used by two. It asks for KeyUpdates. */
static void *their_half(void *arg) {
  struct half *h = arg;
  static uint8_t got[30000];
  size_t in = 0, out = 0;
  h->ok = true;
  while (h->ok && (in < BULK || out < BULK)) {
    int n = in < BULK ? SSL_read(h->ssl, got, sizeof got) : -1;
    if (n > 0) {
      h->ok = memcmp(got, bulk + in, (size_t)n) == 0;
      in += (size_t)n;
    }
    size_t step = BULK - out < 20000 ? BULK - out : 20000;
    int m = out < BULK ? SSL_write(h->ssl, bulk + out, (int)step) : -1;
    if (m > 0) {
      out += (size_t)m;
      if (out % 7 == 0)
        SSL_key_update(h->ssl, SSL_KEY_UPDATE_REQUESTED);
    }
    if (n <= 0 && m <= 0)
      rig_poll(SSL_get_fd(h->ssl), POLLIN, 1);
  }
  return NULL;
}

static void test_two_threads(void **state) {
  (void)state;
  struct rig r;
  pthread_t a, b, c;
  rig_open(&r, (struct rig_options){0});
  rig_peer_socket(&r);
  fcntl(r.peer_fd, F_SETFL, O_NONBLOCK);
  SSL_set_mode(r.peer, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  struct half w = {&r, NULL, false}, rd = {&r, NULL, false}, p = {&r, r.peer, false};
  pthread_create(&c, NULL, their_half, &p);
  pthread_create(&a, NULL, our_writer, &w);
  pthread_create(&b, NULL, our_reader, &rd);
  pthread_join(a, NULL);
  pthread_join(b, NULL);
  pthread_join(c, NULL);
  assert_true(w.ok && rd.ok && p.ok);
  rig_close(&r);
}

/* ---- processes --------------------------------------------------------------------------------------- */
/* Parent and child take turns on one stream, through KeyUpdates in both directions that the other made. */
static void test_two_processes(void **state) {
  (void)state;
  struct rig r;
  int turn[2][2];
  char b[100], x;
  rig_open(&r, (struct rig_options){0});
  rig_peer_write(&r, "before", 6);
  assert_int_equal(rig_read(&r, b, 3, 0), 3); /* plaintext waits across the fork */
  assert_int_equal(pipe(turn[0]), 0);
  assert_int_equal(pipe(turn[1]), 0);
  conn_hold(&r.c);
  pid_t child = fork();
  if (child == 0) {
    conn_after_fork(&r.c);
    bool ok = rig_read(&r, b, 3, 0) == 3 && memcmp(b, "ore", 3) == 0;
    for (int i = 0; i < 50 && ok; i++) {
      ok = write(turn[0][1], "x", 1) == 1 && read(turn[1][0], &x, 1) == 1;
      ok = ok && rig_read(&r, b, 100, 0) == 5 && memcmp(b, "child", 5) == 0;
      ok = ok && rig_write(&r, "from child", 10, 0) == 10;
    }
    conn_close(&r.c, r.fd);
    conn_free(&r.c);
    _exit(ok ? 0 : 1);
  }
  for (int i = 0; i < 50; i++) {
    assert_int_equal(read(turn[0][0], &x, 1), 1);
    if (i % 10 == 5) {
      SSL_key_update(r.peer, SSL_KEY_UPDATE_REQUESTED);
      SSL_do_handshake(r.peer);
    }
    rig_peer_write(&r, "parent", 6);
    assert_int_equal(rig_read(&r, b, 100, 0), 6);
    assert_int_equal(rig_write(&r, "from parent", 11, 0), 11);
    rig_peer_read(&r, b, 11);
    assert_memory_equal(b, "from parent", 11);
    rig_peer_write(&r, "child", 5);
    assert_int_equal(write(turn[1][1], "x", 1), 1);
    rig_peer_read(&r, b, 10);
    assert_memory_equal(b, "from child", 10);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  /* The child's close was not the last: the connection lives, and no close_notify was sent. */
  assert_int_equal(atomic_load(&r.slot->state), ARENA_LIVE);
  assert_int_equal(atomic_load(&r.slot->holders), 1);
  rig_peer_write(&r, "after", 5);
  assert_int_equal(rig_read(&r, b, 100, 0), 5);
  assert_int_equal(rig_write(&r, "after", 5, 0), 5);
  rig_peer_read(&r, b, 5);
  conn_close(&r.c, r.fd);
  assert_int_equal(atomic_load(&r.slot->state), ARENA_RELEASED);
  rig_peer_socket(&r);
  assert_int_equal(SSL_read(r.peer, b, 1), 0);
  assert_int_equal(SSL_get_error(r.peer, 0), SSL_ERROR_ZERO_RETURN);
  rig_close(&r);
}

static void test_failed_fork(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, (struct rig_options){0});
  conn_hold(&r.c);
  assert_int_equal(atomic_load(&r.slot->holders), 2);
  conn_unhold(&r.c);
  assert_int_equal(atomic_load(&r.slot->holders), 1);
  rig_close(&r);
}

/* A process is killed in the middle of a read or a write: nobody can know where the stream is. */
static void test_owner_died(void **state) {
  (void)state;
  for (int side = 0; side < 4; side++) { /* bit 0: write side; bit 1: it had not touched anything */
    struct rig r;
    char b[10];
    rig_open(&r, (struct rig_options){0});
    pid_t child = fork();
    if (child == 0) {
      pthread_mutex_lock(side & 1 ? &r.slot->wlock : &r.slot->rlock);
      if (!(side & 2))
        *(side & 1 ? &r.slot->w_busy : &r.slot->r_busy) = 1;
      _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    rig_peer_write(&r, "x", 1);
    assert_true(rig_readable(&r));
    if (side & 2) {
      assert_int_equal(rig_read(&r, b, 10, 0), 1);
      assert_int_equal(rig_write(&r, b, 10, 0), 10);
    } else {
      if (side & 1)
        assert_fails(rig_write(&r, b, 10, MSG_NOSIGNAL), ECONNRESET);
      assert_fails(rig_read(&r, b, 10, 0), ECONNRESET);
      assert_fails(rig_write(&r, b, 10, MSG_NOSIGNAL), ECONNRESET);
      assert_true(rig_poll(r.fd, 0, 0) & POLLHUP);
    }
    rig_close(&r);
  }
}

/* ---- beginning and end ------------------------------------------------------------------------------- */
static void test_take_refuses(void **state) {
  (void)state;
  struct rig r;
  struct conn c;
  rig_open(&r, (struct rig_options){0});
  assert_int_equal(conn_take(&c, r.slot, 7), -ESTALE); /* taken already */
  atomic_store(&r.slot->state, ARENA_READY);
  assert_int_equal(conn_take(&c, r.slot, 8), -ESTALE); /* another use of the slot */
  r.slot->cipher = 0x1304;
  assert_int_equal(conn_take(&c, r.slot, 7), -EPROTO);
  r.slot->magic = 0;
  assert_int_equal(conn_take(&c, r.slot, 7), -ESTALE);
  conn_close(&c, r.fd); /* harmless on what was not taken */
  conn_free(&c);
  atomic_store(&r.slot->state, ARENA_LIVE);
  rig_close(&r);
}

static bool zero(const void *p, size_t n) {
  const uint8_t *b = p;
  for (size_t i = 0; i < n; i++)
    if (b[i])
      return false;
  return true;
}

static void test_close_notifies(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  rig_open(&r, (struct rig_options){0});
  rig_peer_write(&r, "all of it", 9);
  assert_int_equal(rig_read(&r, b, 10, 0), 9);
  errno = 4711;
  conn_close(&r.c, r.fd);
  assert_int_equal(errno, 4711);
  assert_int_equal(atomic_load(&r.slot->state), ARENA_RELEASED);
  assert_fails(rig_read(&r, b, 1, 0), EBADF);
  assert_fails(rig_write(&r, b, 1, 0), EBADF);
  conn_close(&r.c, r.fd); /* twice is once */
  rig_peer_socket(&r);
  assert_int_equal(SSL_read(r.peer, b, 1), 0);
  assert_int_equal(SSL_get_error(r.peer, 0), SSL_ERROR_ZERO_RETURN);
  rig_close(&r);
}

/* Data that nobody read: the peer is reset, as TCP does it; no key and no plaintext stays in the arena. */
static void test_close_wipes(void **state) {
  (void)state;
  struct rig r;
  char b[10];
  rig_open(&r, (struct rig_options){0});
  rig_peer_write(&r, "plaintext that nobody reads", 27);
  assert_int_equal(rig_read(&r, b, 3, 0), 3);
  assert_false(zero(arena_rbuf(r.slot), ARENA_RBUF));
  conn_close(&r.c, r.fd);
  close(r.fd);
  r.fd = -1;
  assert_int_equal(atomic_load(&r.slot->state), ARENA_RELEASED);
  assert_true(zero(&r.slot->rx, sizeof r.slot->rx));
  assert_true(zero(&r.slot->tx, sizeof r.slot->tx));
  assert_true(zero(arena_rbuf(r.slot), ARENA_RBUF));
  assert_fails(recv(r.peer_fd, b, 1, 0), ECONNRESET);
  rig_close(&r);
}

/* A close went past the shim, the daemon gave the slot to another connection, and now the number is closed for good.
 */
static void test_close_leaves_a_slot_of_another_alone(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, (struct rig_options){0});
  r.slot->use++;
  memset(r.slot->rx.secret, 7, sizeof r.slot->rx.secret);
  conn_hold(&r.c);
  assert_int_equal(atomic_load(&r.slot->holders), 1);
  conn_close(&r.c, -1);
  assert_int_equal(atomic_load(&r.slot->holders), 1);
  assert_int_equal(atomic_load(&r.slot->state), ARENA_LIVE);
  assert_int_equal(r.slot->rx.secret[0], 7);
  rig_close(&r);
}

/* Idle connections hold one page of the arena: buffers go back when they have been used. */
static void test_buffers_are_given_back(void **state) {
  (void)state;
  struct rig r;
  char b[3000];
  unsigned char resident[ARENA_STRIDE / ARENA_PAGE];
  rig_open(&r, (struct rig_options){0});
  rig_peer_write(&r, b, sizeof b);
  assert_int_equal(rig_read(&r, b, 10, 0), 10);
  assert_int_equal(mincore(r.slot, ARENA_STRIDE, resident), 0);
  assert_true(resident[1] & 1);
  assert_int_equal(rig_read(&r, b, 2990, 0), 2990);
  assert_fails(rig_read(&r, b, 10, MSG_DONTWAIT), EAGAIN);
  assert_int_equal(mincore(r.slot, ARENA_STRIDE, resident), 0);
  for (size_t i = 1; i < sizeof resident; i++)
    assert_false(resident[i] & 1);
  rig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_waitall_and_dripping_records),
      cmocka_unit_test(test_receive_timeout),
      cmocka_unit_test(test_interrupted_read),
      cmocka_unit_test(test_two_threads),
      cmocka_unit_test(test_two_processes),
      cmocka_unit_test(test_failed_fork),
      cmocka_unit_test(test_owner_died),
      cmocka_unit_test(test_take_refuses),
      cmocka_unit_test(test_close_notifies),
      cmocka_unit_test(test_close_wipes),
      cmocka_unit_test(test_close_leaves_a_slot_of_another_alone),
      cmocka_unit_test(test_buffers_are_given_back),
  };
  rig_random(bulk, sizeof bulk);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
