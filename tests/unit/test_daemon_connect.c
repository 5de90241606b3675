/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outbound: does a connect() get the one true answer, whatever the peer, the agent or the program does?
 */
#include "support_daemon.h"

#include "agentclient/daemon/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* A TLS server for one connection, on a thread. */
struct server {
  uint16_t port;
  int listener;
  const struct pki_svid *svid;
  pthread_t thread;
  struct peer peer;
  bool ok;
};

static void *server_run(void *arg) {
  struct server *s = arg;
  int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
  s->ok = peer_accept(&s->peer, fd, s->svid);
  return NULL;
}

static void server_begin_at(struct server *s, const struct pki_svid *svid, uint16_t from) {
  s->svid = svid;
  s->listener = tcp_listen(&s->port, from);
  pthread_create(&s->thread, NULL, server_run, s);
}

static void server_begin(struct server *s, const struct pki_svid *svid) { server_begin_at(s, svid, connect_port); }

static void server_end(struct server *s) {
  pthread_join(s->thread, NULL);
  peer_close(&s->peer);
  close(s->listener);
}

/* WIRE_CONNECT for a TCP socket; the reply socket, unanswered. */
static int request_connect(struct program *p, int tcp, uint16_t port, uint32_t rule) {
  struct wire_connect m = {.token = p->welcome.token, .rule = rule, .dest_len = sizeof(struct sockaddr_in)};
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  memcpy(&m.dest, &in, sizeof in);
  header(&m, WIRE_CONNECT, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, tcp);
  return sock;
}

static struct wire_connected connected(int sock) {
  struct wire_connected r;
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  assert_int_equal(r.hdr.type, WIRE_CONNECTED);
  return r;
}

#define CONNECT_RULE 1u /* the configuration's second rule */

static void an_allowed_server_is_connected_with_its_secrets(void **state) {
  (void)state;
  struct program p;
  struct server s;
  begin_program(&p);
  server_begin(&s, web);
  int tcp = tcp_connect(s.port);
  int sock = request_connect(&p, tcp, s.port, CONNECT_RULE);
  struct wire_connected r = connected(sock);
  assert_int_equal(r.status, WIRE_OK);
  assert_int_equal(r.arena_id, p.welcome.arena_id);
  server_end(&s);
  assert_true(s.ok);
  struct arena_slot *slot = map_slot(p.arena, r.slot);
  assert_int_equal(slot->role, ARENA_CLIENT);
  assert_int_equal(slot->use, r.slot_use);
  assert_memory_equal(slot->tx.secret, s.peer.client_secret, 32);
  assert_memory_equal(slot->rx.secret, s.peer.server_secret, 32);
  assert_memory_equal(slot->peer_id, "spiffe://example.org/web", slot->peer_id_len);
  unmap_slot(slot);
  const char *line = audit_find("\"allowed\"");
  assert_non_null(line);
  assert_non_null(strstr(line, "\"client_spiffe_id\":\"spiffe://example.org/self\""));
  assert_non_null(strstr(line, "\"direction\":\"outbound\""));
  assert_int_equal(audit_lines(), 1);
  close(sock);
  close(tcp);
  end_program(&p);
}

static void the_answer_can_be_read_by_every_process_that_shares_the_socket(void **state) {
  (void)state;
  struct program p;
  struct server s;
  begin_program(&p);
  server_begin(&s, web);
  int tcp = tcp_connect(s.port), sock = request_connect(&p, tcp, s.port, CONNECT_RULE);
  struct wire_connected r;
  assert_true(readable(sock, 10000));
  for (int i = 0; i < 3; i++)
    assert_int_equal(recv(sock, &r, sizeof r, MSG_PEEK), sizeof r);
  assert_int_equal(r.status, WIRE_OK);
  server_end(&s);
  close(sock);
  close(tcp);
  end_program(&p);
}

static void a_server_that_is_not_allowed_is_EACCES(void **state) {
  (void)state;
  struct program p;
  begin_program(&p);
  const struct pki_svid *bad[] = {stranger, foreigner};
  for (unsigned i = 0; i < 2; i++) {
    struct server s;
    server_begin(&s, bad[i]);
    int tcp = tcp_connect(s.port), sock = request_connect(&p, tcp, s.port, CONNECT_RULE);
    struct wire_connected r = connected(sock);
    assert_int_equal(r.status, WIRE_REFUSED);
    assert_int_equal(r.err, EACCES);
    assert_true(strlen(r.text) > 0);
    server_end(&s);
    close(sock);
    close(tcp);
    eventually(audit_lines() == i + 1);
  }
  assert_false(audit_has("\"allowed\""));
  end_program(&p);
}

static void a_server_without_TLS_is_EPROTO(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  begin_program(&p);
  int tcp = tcp_connect(port), sock = request_connect(&p, tcp, port, CONNECT_RULE);
  int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  assert_int_equal(send(peer, "+PONG\r\n", 7, 0), 7);
  struct wire_connected r = connected(sock);
  assert_int_equal(r.status, WIRE_REFUSED);
  assert_int_equal(r.err, EPROTO);
  close(sock);
  close(tcp);
  close(peer);
  close(listener);
  end_program(&p);
}

static void a_silent_server_is_ETIMEDOUT(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  begin_program(&p);
  struct wire_connect m = {
      .token = p.welcome.token, .rule = CONNECT_RULE, .wait_ms = 200, .dest_len = sizeof(struct sockaddr_in)};
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  memcpy(&m.dest, &in, sizeof in);
  header(&m, WIRE_CONNECT, sizeof m);
  int sock = dial_daemon(), tcp = tcp_connect(port);
  send_message(sock, &m, sizeof m, tcp);
  struct wire_connected r = connected(sock);
  assert_int_equal(r.status, WIRE_REFUSED);
  assert_int_equal(r.err, ETIMEDOUT);
  close(sock);
  close(tcp);
  close(listener);
  end_program(&p);
}

static void a_tcp_failure_is_left_for_the_kernel_to_tell(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  close(listener); /* nobody listens now */
  begin_program(&p);
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int rc = connect(tcp, (struct sockaddr *)&in, sizeof in);
  assert_true(rc == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
  if (errno == EINPROGRESS) {
    struct wire_connect m = {.token = p.welcome.token,
                             .rule = CONNECT_RULE,
                             .flags = WIRE_CONNECT_IN_PROGRESS,
                             .dest_len = sizeof(struct sockaddr_in)};
    memcpy(&m.dest, &in, sizeof in);
    header(&m, WIRE_CONNECT, sizeof m);
    int sock = dial_daemon();
    send_message(sock, &m, sizeof m, tcp);
    assert_int_equal(connected(sock).status, WIRE_TCP_FAILED);
    int err = 0;
    socklen_t len = sizeof err;
    assert_int_equal(getsockopt(tcp, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    assert_int_equal(err, ECONNREFUSED);
    close(sock);
  }
  close(tcp);
  end_program(&p);
}

static void a_destination_that_the_rule_does_not_cover_is_refused(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  begin_program(&p);
  int tcp = tcp_connect(port);
  int sock = request_connect(&p, tcp, 9, CONNECT_RULE);
  assert_int_equal(connected(sock).status, WIRE_BAD_REQUEST);
  close(sock);
  int file = open("/dev/null", O_RDWR | O_CLOEXEC);
  sock = request_connect(&p, file, port, CONNECT_RULE);
  assert_int_equal(connected(sock).status, WIRE_BAD_REQUEST);
  close(sock);
  close(file);
  close(tcp);
  close(listener);
  end_program(&p);
}

/* The program saw the rules of a moment ago. */
static void the_rule_is_found_by_the_destination_whatever_index_is_named(void **state) {
  (void)state;
  struct program p;
  struct server srv;
  server_begin(&srv, web);
  begin_program(&p);
  int tcp = tcp_connect(srv.port);
  int sock = request_connect(&p, tcp, srv.port, CONNECT_RULE + 77);
  assert_int_equal(connected(sock).status, WIRE_OK);
  close(sock);
  close(tcp);
  server_end(&srv);
  end_program(&p);
}

/* What the program says is compared with where the kernel says its socket is connected. */
static void a_socket_that_is_connected_elsewhere_is_refused(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, (uint16_t)(connect_port + 100)); /* no rule covers it */
  begin_program(&p);
  int tcp = tcp_connect(port), sock = request_connect(&p, tcp, connect_port, CONNECT_RULE);
  assert_int_equal(connected(sock).status, WIRE_BAD_REQUEST);
  close(sock);
  close(tcp);
  close(listener);
  end_program(&p);
}

/* The same when it is connected only after the daemon has got it. */
static void a_socket_that_goes_elsewhere_meanwhile_is_refused(void **state) {
  (void)state;
  struct program p;
  struct server s;
  agent_mode = AGENT_SILENT; /* so that the daemon waits, and the test has time */
  say_hello(&p);
  give_agent(&p, 0);
  server_begin_at(&s, web, (uint16_t)(connect_port + 100));
  struct sockaddr_in in = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(s.port)};
  int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int sock = request_connect(&p, tcp, connect_port, CONNECT_RULE);
  assert_false(readable(sock, 100));
  assert_int_equal(connect(tcp, (struct sockaddr *)&in, sizeof in), 0);
  agent_tells(WORKLOAD_UPDATE);
  struct wire_connected r = connected(sock);
  assert_int_equal(r.status, WIRE_REFUSED);
  assert_int_equal(r.err, EACCES);
  server_end(&s);
  assert_non_null(audit_find("another address than the program named"));
  assert_int_equal(audit_lines(), 1);
  close(sock);
  close(tcp);
  end_program(&p);
}

static void an_identity_that_is_taken_away_ends_the_handshakes_under_way(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  begin_program(&p);
  int tcp = tcp_connect(port), sock = request_connect(&p, tcp, port, CONNECT_RULE);
  int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(readable(peer, 10000)); /* the handshake is under way */
  agent_tells(WORKLOAD_DENIED);
  struct wire_connected r = connected(sock);
  assert_int_equal(r.status, WIRE_NO_IDENTITY);
  assert_int_equal(r.err, ECONNREFUSED);
  assert_non_null(audit_find("took our identity away"));
  assert_int_equal(audit_lines(), 1);
  close(sock);
  close(tcp);
  close(peer);
  close(listener);
  end_program(&p);
}

static void without_an_agent_connection_one_is_asked_for(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  say_hello(&p);
  int tcp = tcp_connect(port), sock = request_connect(&p, tcp, port, CONNECT_RULE);
  assert_int_equal(connected(sock).status, WIRE_NEED_AGENT);
  close(sock);
  /* The program cannot dial it either: then the connect() fails, and says why. */
  struct wire_identity m = {.token = p.welcome.token, .agent_errno = ENOENT};
  struct wire_reply reply;
  header(&m, WIRE_IDENTITY, sizeof m);
  sock = dial_daemon();
  send_message(sock, &m, sizeof m, -1);
  assert_int_equal(receive(sock, &reply, sizeof reply, NULL), sizeof reply);
  close(sock);
  sock = request_connect(&p, tcp, port, CONNECT_RULE);
  struct wire_connected r = connected(sock);
  assert_int_equal(r.status, WIRE_NO_IDENTITY);
  assert_int_equal(r.err, ECONNREFUSED);
  assert_non_null(strstr(r.text, strerror(ENOENT)));
  assert_non_null(audit_find("\"failed\""));
  close(sock);
  close(tcp);
  close(listener);
  end_program(&p);
}

static void a_connect_waits_for_an_identity_that_is_on_its_way(void **state) {
  (void)state;
  struct program p;
  struct server s;
  agent_mode = AGENT_SILENT;
  say_hello(&p);
  give_agent(&p, 0);
  server_begin(&s, web);
  int tcp = tcp_connect(s.port), sock = request_connect(&p, tcp, s.port, CONNECT_RULE);
  assert_false(readable(sock, 100));
  agent_tells(WORKLOAD_UPDATE);
  assert_int_equal(connected(sock).status, WIRE_OK);
  server_end(&s);
  close(sock);
  close(tcp);
  end_program(&p);
}

static void a_denied_identity_ends_the_wait(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  agent_mode = AGENT_SILENT;
  say_hello(&p);
  give_agent(&p, 0);
  int tcp = tcp_connect(port), sock = request_connect(&p, tcp, port, CONNECT_RULE);
  assert_false(readable(sock, 50));
  agent_tells(WORKLOAD_DENIED);
  struct wire_connected r = connected(sock);
  assert_int_equal(r.status, WIRE_NO_IDENTITY);
  assert_non_null(strstr(r.text, "PermissionDenied"));
  close(sock);
  close(tcp);
  close(listener);
  end_program(&p);
}

static void a_session_that_ends_takes_its_connects_along(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  begin_program(&p);
  int tcp = tcp_connect(port), sock = request_connect(&p, tcp, port, CONNECT_RULE);
  int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(readable(peer, 10000)); /* the handshake is under way */
  end_program(&p);
  assert_int_equal(connected(sock).status, WIRE_UNKNOWN_SESSION);
  close(sock);
  close(tcp);
  close(peer);
  close(listener);
}

static void who_gives_up_leaves_nothing_behind(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  begin_program(&p);
  unsigned before = open_fds();
  for (int i = 0; i < 20; i++) {
    int tcp = tcp_connect(port), sock = request_connect(&p, tcp, port, CONNECT_RULE);
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (i % 2)
      assert_true(readable(peer, 10000));
    close(sock);
    close(tcp);
    /* The peer sees the end: the daemon has let go of its copy. */
    char waste[4096];
    while (recv(peer, waste, sizeof waste, 0) > 0) {
    }
    close(peer);
  }
  eventually(open_fds() <= before);
  eventually(audit_lines() == 20);
  close(listener);
  end_program(&p);
}

static struct wire_connected try_once(struct program *p) {
  struct server s;
  server_begin(&s, web);
  int tcp = tcp_connect(s.port);
  int sock = request_connect(p, tcp, s.port, CONNECT_RULE);
  struct wire_connected r = connected(sock);
  close(sock);
  close(tcp);
  server_end(&s);
  return r;
}

static void a_full_arena_is_ENOBUFS_until_a_connection_ends(void **state) {
  (void)state;
  struct program p;
  begin_program(&p);
  slots_most = 1;
  struct wire_connected first = try_once(&p), second = try_once(&p);
  assert_int_equal(first.status, WIRE_OK);
  assert_int_equal(second.status, WIRE_BUSY);
  assert_int_equal(second.err, ENOBUFS);
  assert_non_null(strstr(second.text, "65536"));
  struct arena_slot *slot = map_slot(p.arena, first.slot);
  atomic_store(&slot->state, ARENA_RELEASED);
  struct wire_connected third = try_once(&p);
  assert_int_equal(third.status, WIRE_OK);
  assert_int_equal(third.slot, first.slot);
  assert_int_not_equal(third.slot_use, first.slot_use);
  slots_most = ARENA_SLOTS;
  unmap_slot(slot);
  end_program(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, daemon_setup, daemon_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(an_allowed_server_is_connected_with_its_secrets),
      T(the_answer_can_be_read_by_every_process_that_shares_the_socket),
      T(a_server_that_is_not_allowed_is_EACCES),
      T(a_server_without_TLS_is_EPROTO),
      T(a_silent_server_is_ETIMEDOUT),
      T(a_tcp_failure_is_left_for_the_kernel_to_tell),
      T(a_destination_that_the_rule_does_not_cover_is_refused),
      T(the_rule_is_found_by_the_destination_whatever_index_is_named),
      T(a_socket_that_is_connected_elsewhere_is_refused),
      T(a_socket_that_goes_elsewhere_meanwhile_is_refused),
      T(an_identity_that_is_taken_away_ends_the_handshakes_under_way),
      T(without_an_agent_connection_one_is_asked_for),
      T(a_connect_waits_for_an_identity_that_is_on_its_way),
      T(a_denied_identity_ends_the_wait),
      T(a_session_that_ends_takes_its_connects_along),
      T(who_gives_up_leaves_nothing_behind),
      T(a_full_arena_is_ENOBUFS_until_a_connection_ends),
  };
  return cmocka_run_group_tests(tests, daemon_group_setup, daemon_group_teardown);
}
