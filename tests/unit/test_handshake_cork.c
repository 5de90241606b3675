/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_handshake_cork.c - does a handshake go on at once on a socket that the program has corked?
 *
 * The kernel keeps what is small for 200 ms on such a socket. Once we have a result nothing may wait in it, and the
 * option is as the program has set it.
 */
#include "support_handshake.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

/* The client's Finished is the last to be sent. */
static void nothing_waits_in_a_corked_socket_and_it_stays_corked(void **state) {
  struct hs_world w;
  struct hs_ours o;
  int fd[2], value = 1;
  socklen_t len = sizeof value;
  (void)state;
  hs_world_open(&w);
  struct hs_peer p = {.server = true, .ctx = pki_peer_context(w.server, w.ca, true), .hang_up = true};
  SSL_CTX_set_num_tickets(p.ctx, 0);
  hs_tcp(fd);
  assert_int_equal(setsockopt(fd[0], IPPROTO_TCP, TCP_CORK, &value, sizeof value), 0);
  p.fd = fd[1];
  hs_peer_start(&p);
  struct handshake_request request = hs_request(&w, fd[0], ARENA_CLIENT, RULE_OUT);
  hs_begin(&w, &o, &request);
  hs_wait(&o);
  assert_int_equal(o.result.outcome, HANDSHAKE_OK);
  assert_int_equal(ioctl(o.fd, SIOCOUTQNSD, &value), 0);
  assert_int_equal(value, 0);
  assert_int_equal(getsockopt(o.fd, IPPROTO_TCP, TCP_CORK, &value, &len), 0);
  assert_int_equal(value, 1);
  hs_done(&o);
  hs_peer_join(&p);
  hs_world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_waits_in_a_corked_socket_and_it_stays_corked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
