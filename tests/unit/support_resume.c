/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_resume.c - see support_resume.h.
 */
#include "support_resume.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct hs_world resume_world;
static int listener = -1;
struct sockaddr_in resume_address;

int resume_setup(void **state) {
  socklen_t len = sizeof resume_address;
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  hs_world_open(&resume_world);
  resume_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(listener, (struct sockaddr *)&resume_address, sizeof resume_address), 0);
  assert_int_equal(listen(listener, 64), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *)&resume_address, &len), 0);
  return 0;
}

int resume_teardown(void **state) {
  (void)state;
  close(listener);
  hs_world_close(&resume_world);
  return 0;
}

/* Tickets belong to a destination: all meetings are at one. */
void resume_pair(int fd[2]) {
  fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd[0], (struct sockaddr *)&resume_address, sizeof resume_address), 0);
  fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(fd[1] >= 0);
}

void resume_begin(struct resume_pair_of *m, const struct resume_spec *spec) {
  int fd[2];
  resume_pair(fd);
  struct handshake_request c = hs_request(&resume_world, fd[0], ARENA_CLIENT, spec->out);
  struct handshake_request s = hs_request(&resume_world, fd[1], ARENA_SERVER, spec->in);
  if (spec->policy)
    s.policy = spec->policy;
  hs_begin(&resume_world, &m->server, &s);
  hs_begin(&resume_world, &m->client, &c);
}

void resume_meet(struct resume_pair_of *m, const struct resume_spec *spec) {
  resume_begin(m, spec);
  hs_wait(&m->client);
  hs_wait(&m->server);
}

void resume_part(struct resume_pair_of *m) {
  hs_done(&m->client);
  hs_done(&m->server);
}

const struct resume_spec resume_plain = {.in = RULE_IN, .out = RULE_OUT};

/* One meeting that comes about: was it resumed? */
bool resume_meeting(const struct resume_spec *spec) {
  struct resume_pair_of m;
  resume_meet(&m, spec);
  if (m.client.result.outcome != HANDSHAKE_OK || m.server.result.outcome != HANDSHAKE_OK)
    fail_msg("client: %s, server: %s", m.client.result.reason, m.server.result.reason);
  assert_int_equal(m.client.result.resumed, m.server.result.resumed);
  assert_string_equal(m.client.result.peer.text, "spiffe://example.org/server");
  assert_string_equal(m.server.result.peer.text, "spiffe://example.org/client");
  assert_memory_equal(m.client.result.rx_secret, m.server.result.tx_secret, ARENA_SECRET_MAX);
  assert_memory_equal(m.client.result.tx_secret, m.server.result.rx_secret, ARENA_SECRET_MAX);
  assert_int_equal(m.client.result.rx_records, m.server.result.tx_records);
  assert_int_equal(m.client.result.tx_records + m.server.result.rx_records, 0);
  bool was = m.client.result.resumed;
  resume_part(&m);
  return was;
}

void resume_renew(struct identity **id, const struct pki_svid *svid) {
  identity_unref(*id);
  *id = pki_identity(svid, (struct pki_ca *[]){resume_world.ca, resume_world.partner, NULL});
}

void resume_fresh(void) {
  resume_renew(&resume_world.server_id, resume_world.server);
  resume_renew(&resume_world.client_id, resume_world.client);
}
