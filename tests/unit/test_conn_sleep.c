/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does a thread that sleeps in a read or a write keep of its connection? Nothing: it is closed by another
 * thread, cancelled, or jumps out of a handler, and the slot is free at close in any case.
 */
#include "support_asleep.h"
#include "support_conn.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static bool zero(const void *p, size_t n) {
  const uint8_t *b = p;
  for (size_t i = 0; i < n; i++)
    if (b[i])
      return false;
  return true;
}

struct reader {
  struct rig *r;
  _Atomic int tid;
  bool ok;
};

static void *reads(void *arg) {
  struct reader *h = arg;
  char b[10];
  h->tid = gettid();
  h->ok = rig_read(h->r, b, 10, 0) == -1 && errno == EBADF;
  return NULL;
}

static pthread_t blocked_reader(struct reader *h) {
  pthread_t t;
  assert_int_equal(pthread_create(&t, NULL, reads, h), 0);
  while (h->tid == 0)
    usleep(1000);
  until_asleep(h->tid);
  return t;
}

/* When it wakes the slot may be another connection's: it is not touched. */
static void test_closed_under_a_reader(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, (struct rig_options){0});
  struct reader h = {.r = &r};
  pthread_t t = blocked_reader(&h);
  conn_close(&r.c, r.fd);
  assert_int_equal(atomic_load(&r.slot->state), ARENA_RELEASED);
  assert_true(zero(&r.slot->rx, sizeof r.slot->rx));
  assert_int_equal(mprotect(r.slot, ARENA_STRIDE, PROT_NONE), 0);
  rig_send(&r, "wake", 4);
  pthread_join(t, NULL);
  assert_true(h.ok);
  assert_int_equal(mprotect(r.slot, ARENA_STRIDE, PROT_READ | PROT_WRITE), 0);
  rig_close(&r);
}

static void test_cancelled_reader(void **state) {
  (void)state;
  struct rig r;
  void *result;
  rig_open(&r, (struct rig_options){0});
  struct reader h = {.r = &r};
  pthread_t t = blocked_reader(&h);
  assert_int_equal(pthread_cancel(t), 0);
  assert_int_equal(pthread_join(t, &result), 0);
  assert_true(result == PTHREAD_CANCELED);
  conn_close(&r.c, r.fd);
  assert_int_equal(atomic_load(&r.slot->state), ARENA_RELEASED);
  rig_close(&r);
}

/* ---- a handler leaves by siglongjmp() ---- */
static sigjmp_buf back;
static int sleeper_tid;
static pthread_t sleeper;

static void jumps(int sig) {
  (void)sig;
  siglongjmp(back, 1);
}

static void *wakes(void *arg) {
  until_asleep(sleeper_tid);
  pthread_kill(sleeper, SIGUSR1);
  return arg;
}

static void jump_out(bool writes) {
  struct sigaction a = {.sa_handler = jumps};
  static char much[1 << 20];
  struct rig r;
  pthread_t t;
  rig_open(&r, (struct rig_options){0});
  sleeper = pthread_self();
  sleeper_tid = gettid();
  atomic_store(&lock_masking, 1); /* as the hook of sigaction() does */
  sigaction(SIGUSR1, &a, NULL);
  for (volatile int i = 0; i < 3; i++) {
    if (sigsetjmp(back, 1) == 0) {
      assert_int_equal(pthread_create(&t, NULL, wakes, NULL), 0);
      while (writes)
        rig_write(&r, much, sizeof much, 0);
      rig_read(&r, much, 10, 0);
    }
    pthread_join(t, NULL);
  }
  signal(SIGUSR1, SIG_DFL);
  conn_close(&r.c, r.fd);
  assert_int_equal(atomic_load(&r.slot->state), ARENA_RELEASED);
  assert_null(r.c.rx); /* the keys are in them */
  assert_null(r.c.tx);
  rig_close(&r);
}

static void test_jump_out_of_a_read(void **state) {
  (void)state;
  jump_out(false);
}

static void test_jump_out_of_a_write(void **state) {
  (void)state;
  jump_out(true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_closed_under_a_reader),
      cmocka_unit_test(test_cancelled_reader),
      cmocka_unit_test(test_jump_out_of_a_read),
      cmocka_unit_test(test_jump_out_of_a_write),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
