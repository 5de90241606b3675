/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_daemon_live.c - do live connections end when their identity is taken away, seen from the program's side of the
 * wire and from the peer's?
 */
#include "support_daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A program with one inbound connection that it has taken. */
struct held {
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  struct arena_slot *slot;
  int tcp;
};

static void *dial_one(void *arg) {
  struct held *h = arg;
  peer_connect(&h->peer, h->s.port, web);
  return NULL;
}

static void held_begin(struct held *h) {
  pthread_t t;
  memset(h, 0, sizeof *h);
  begin_program(&h->p);
  listen_managed(&h->p, &h->s, 5);
  pthread_create(&t, NULL, dial_one, h);
  close(accept_handover(&h->s, &h->m, &h->tcp));
  pthread_join(t, NULL);
  h->slot = map_slot(h->p.arena, h->m.slot);
  atomic_store(&h->slot->state, ARENA_LIVE);
}

static void held_end(struct held *h) {
  unmap_slot(h->slot);
  if (h->tcp >= 0)
    close(h->tcp);
  peer_close(&h->peer);
  close_standin(&h->s);
  end_program(&h->p);
}

static void a_denied_identity_ends_what_is_live(void **state) {
  (void)state;
  struct held h;
  held_begin(&h);
  char byte;
  assert_int_equal(recv(h.tcp, &byte, 1, MSG_DONTWAIT), -1);
  agent_tells(WORKLOAD_DENIED);
  eventually(atomic_load(&h.slot->revoked) == ECONNRESET); /* every further call of the program fails */
  assert_true(readable(h.tcp, 10000));                     /* who waits wakes */
  assert_true(recv(h.tcp, &byte, 1, MSG_DONTWAIT) <= 0);
  assert_true(readable(h.peer.fd, 10000)); /* and so does the peer */
  assert_non_null(audit_find("\"event\":\"revocation\""));
  held_end(&h);
}

static void what_was_not_taken_yet_ends_as_well(void **state) {
  (void)state;
  struct held h;
  pthread_t t;
  memset(&h, 0, sizeof h);
  begin_program(&h.p);
  listen_managed(&h.p, &h.s, 5);
  pthread_create(&t, NULL, dial_one, &h);
  assert_true(readable(h.s.listener, 10000)); /* it waits in the stand-in */
  pthread_join(t, NULL);
  agent_tells(WORKLOAD_DENIED);
  assert_non_null(audit_find("\"event\":\"revocation\""));
  close(accept_handover(&h.s, &h.m, &h.tcp));
  h.slot = map_slot(h.p.arena, h.m.slot);
  assert_int_equal(atomic_load(&h.slot->revoked), ECONNRESET);
  held_end(&h);
}

/* The daemon is in this process. */
static unsigned numbers_of(int fd) {
  char path[32], name[64] = "", other[64] = "";
  unsigned count = 0;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  assert_true(readlink(path, name, sizeof name - 1) > 0);
  for (int n = 0; n < 1024; n++, memset(other, 0, sizeof other)) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", n);
    count += readlink(path, other, sizeof other - 1) > 0 && strcmp(name, other) == 0;
  }
  return count;
}

static void a_connection_that_is_over_is_not_ended_again(void **state) {
  (void)state;
  struct held h;
  held_begin(&h);
  eventually(numbers_of(h.tcp) == 1); /* the daemon has seen that the message was taken */
  close(h.tcp);
  h.tcp = -1;
  atomic_store(&h.slot->state, ARENA_RELEASED);
  agent_tells(WORKLOAD_DENIED);
  assert_non_null(audit_find("\"result\":\"allowed\""));
  usleep(100000);
  assert_false(audit_has("\"event\":\"revocation\""));
  held_end(&h);
}

/* The socket is gone, and nobody said so: the kernel does. */
static void the_slot_of_who_was_killed_is_free_again(void **state) {
  (void)state;
  struct held h;
  held_begin(&h);
  close(h.tcp);
  h.tcp = -1;
  eventually(atomic_load(&h.slot->state) == ARENA_FREE);
  held_end(&h);
}

/* A thread may be at it, and the records must not go under it. */
static void the_worker_ends_in_the_middle_of_it(void **state) {
  (void)state;
  struct held h;
  held_begin(&h);
  agent_tells(WORKLOAD_DENIED);
  daemon_restart();
  held_end(&h);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, daemon_setup, daemon_teardown)
  const struct CMUnitTest tests[] = {
      T(a_denied_identity_ends_what_is_live),          T(what_was_not_taken_yet_ends_as_well),
      T(a_connection_that_is_over_is_not_ended_again), T(the_slot_of_who_was_killed_is_free_again),
      T(the_worker_ends_in_the_middle_of_it),
  };
  return cmocka_run_group_tests(tests, daemon_group_setup, daemon_group_teardown);
}
