/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inbound: who gets through to the stand-in, and is nobody lost on the way?
 */
#include "support_daemon.h"
#include "agentclient/daemon/serve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_reset(int fd) {
  char byte;
  return recv(fd, &byte, 1, 0) == -1 && errno == ECONNRESET;
}

static bool port_is_free(uint16_t port) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  bool ok = bind(fd, (struct sockaddr *)&in, sizeof in) == 0;
  close(fd);
  return ok;
}

struct dial {
  struct peer *peer;
  uint16_t port;
  bool ok;
};

/* On a thread: who is not taken yet must not hold the test up. */
static void *dial_one(void *arg) {
  struct dial *d = arg;
  d->ok = peer_connect(d->peer, d->port, web);
  return NULL;
}

static void an_allowed_peer_arrives_with_its_secrets(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  assert_true(peer_connect(&peer, s.port, web));
  int fd = accept_handover(&s, &m, &tcp);
  assert_int_equal(m.kind, HANDOVER_CONN);
  assert_int_equal(m.arena_id, p.welcome.arena_id);
  struct arena_slot *slot = map_slot(p.arena, m.slot);
  assert_int_equal(atomic_load(&slot->state), ARENA_READY);
  assert_int_equal(slot->use, m.slot_use);
  assert_int_equal(slot->role, ARENA_SERVER);
  assert_int_equal(slot->peer_id_len, strlen("spiffe://example.org/web"));
  assert_memory_equal(slot->peer_id, "spiffe://example.org/web", slot->peer_id_len);
  assert_memory_equal(slot->rx.secret, peer.client_secret, 32);
  assert_memory_equal(slot->tx.secret, peer.server_secret, 32);
  struct sockaddr_in a, b;
  socklen_t len = sizeof a;
  assert_int_equal(getpeername(tcp, (struct sockaddr *)&a, &len), 0);
  memcpy(&b, &m.peer, sizeof b);
  assert_int_equal(a.sin_port, b.sin_port);
  close(fd);
  const char *line = audit_find("\"allowed\"");
  assert_non_null(line);
  assert_non_null(strstr(line, "\"client_spiffe_id\":\"spiffe://example.org/web\""));
  assert_int_equal(audit_lines(), 1);
  unmap_slot(slot);
  close(tcp);
  peer_close(&peer);
  close_standin(&s);
  end_program(&p);
}

static void who_is_not_allowed_never_arrives(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  struct peer peer;
  char byte;
  /* In TLS 1.3 the client may be done before it is judged; its first read tells. */
  if (peer_connect(&peer, s.port, stranger))
    assert_true(SSL_read(peer.ssl, &byte, 1) <= 0);
  peer_close(&peer);
  assert_non_null(audit_find("spiffe://example.org/stranger"));
  if (peer_connect(&peer, s.port, foreigner))
    assert_true(SSL_read(peer.ssl, &byte, 1) <= 0);
  peer_close(&peer);
  eventually(audit_lines() == 2);
  if (peer_connect(&peer, s.port, NULL))
    assert_true(SSL_read(peer.ssl, &byte, 1) <= 0);
  peer_close(&peer);
  eventually(audit_lines() == 3);
  int plain = tcp_connect(s.port);
  assert_int_equal(send(plain, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
  char answer[100];
  ssize_t n = recv(plain, answer, sizeof answer, 0);
  assert_true(n <= 7); /* an alert at most */
  close(plain);
  assert_non_null(audit_find("plaintext"));
  assert_int_equal(audit_lines(), 4);
  assert_false(audit_has("\"allowed\""));
  assert_false(readable(s.listener, 0));
  close_standin(&s);
  end_program(&p);
}

static void the_alert_reaches_a_peer_that_talks_on(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  char byte;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  if (peer_connect(&peer, s.port, stranger)) {
    SSL_write(peer.ssl, "SELECT 1", 8);
    assert_true(SSL_read(peer.ssl, &byte, 1) <= 0);
  }
  unsigned long e = ERR_peek_error();
  assert_int_equal(ERR_GET_REASON(e), SSL_AD_REASON_OFFSET + SSL_AD_ACCESS_DENIED);
  ERR_clear_error();
  peer_close(&peer);
  close_standin(&s);
  end_program(&p);
}

static void a_parked_connection_is_offered_again(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover first, again;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  assert_true(peer_connect(&peer, s.port, web));
  for (int i = 0; i < 3; i++) {
    int fd = accept_handover(&s, &first, &tcp);
    close(tcp);
    const char park = HANDOVER_PARK;
    assert_int_equal(send(fd, &park, 1, 0), 1);
    close(fd);
  }
  int fd = accept_handover(&s, &again, &tcp);
  assert_int_equal(again.slot, first.slot);
  assert_int_equal(again.slot_use, first.slot_use);
  close(fd);
  /* Nobody reset it: what is written here arrives there. */
  assert_int_equal(send(tcp, "x", 1, MSG_NOSIGNAL), 1);
  char byte;
  assert_int_equal(recv(peer.fd, &byte, 1, 0), 1);
  close(tcp);
  peer_close(&peer);
  assert_int_equal(audit_lines(), 1);
  close_standin(&s);
  end_program(&p);
}

static void closed_unread_is_offered_again_while_somebody_listens(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  assert_true(peer_connect(&peer, s.port, web));
  assert_true(readable(s.listener, 10000));
  int fd = accept(s.listener, NULL, NULL);
  assert_true(readable(fd, 10000));
  close(fd); /* the acceptor died */
  fd = accept_handover(&s, &m, &tcp);
  assert_true(tcp >= 0);
  close(fd);
  close(tcp);
  peer_close(&peer);
  close_standin(&s);
  end_program(&p);
}

static void closing_the_listener_resets_who_was_never_accepted(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peers[3];
  begin_program(&p);
  listen_managed(&p, &s, 5);
  for (int i = 0; i < 3; i++)
    assert_true(peer_connect(&peers[i], s.port, web));
  assert_true(readable(s.listener, 10000));
  close_standin(&s);
  for (int i = 0; i < 3; i++) {
    assert_true(is_reset(peers[i].fd));
    peer_close(&peers[i]);
  }
  eventually(port_is_free(s.port));
  end_program(&p);
}

static void more_peers_than_the_backlog_all_arrive(void **state) {
  (void)state;
  enum { N = 12 };
  struct program p;
  struct standin s;
  struct peer peers[N];
  begin_program(&p);
  listen_managed(&p, &s, 1);
  pthread_t threads[N];
  struct dial dials[N];
  for (int i = 0; i < N; i++) {
    dials[i] = (struct dial){&peers[i], s.port, false};
    pthread_create(&threads[i], NULL, dial_one, &dials[i]);
  }
  for (int i = 0; i < N; i++) {
    struct wire_handover m;
    int tcp, fd = accept_handover(&s, &m, &tcp);
    close(fd);
    assert_int_equal(send(tcp, "x", 1, MSG_NOSIGNAL), 1);
    close(tcp);
    usleep(2000);
  }
  for (int i = 0; i < N; i++) {
    pthread_join(threads[i], NULL);
    assert_true(dials[i].ok);
    char byte;
    assert_int_equal(recv(peers[i].fd, &byte, 1, 0), 1);
    peer_close(&peers[i]);
  }
  close_standin(&s);
  end_program(&p);
}

static void silent_peers_do_not_keep_good_ones_out(void **state) {
  (void)state;
  enum { N = 200 };
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int silent[N], tcp;
  begin_program(&p);
  listen_managed(&p, &s, 8);
  for (int i = 0; i < N; i++) {
    silent[i] = tcp_connect(s.port);
    if (i % 16 == 0)
      usleep(1000); /* the kernel's backlog is small */
  }
  assert_true(peer_connect(&peer, s.port, web));
  int fd = accept_handover(&s, &m, &tcp);
  close(fd);
  close(tcp);
  peer_close(&peer);
  for (int i = 0; i < N; i++)
    close(silent[i]);
  close_standin(&s);
  end_program(&p);
}

/* Strangers who stall at some listeners use up what all of them share; a listener that they left alone goes on. */
static void peers_that_stall_at_other_listeners_keep_nobody_out(void **state) {
  (void)state;
  enum { LISTENERS = SERVE_HANDSHAKES_MAX / SERVE_STALLED_MAX };
  static int silent[SERVE_HANDSHAKES_MAX];
  static char patient[4096];
  struct program p;
  struct standin s[LISTENERS], quiet;
  struct peer peer;
  struct wire_handover m;
  struct rlimit lim;
  int tcp, n = 0;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
  if (lim.rlim_cur < 2 * SERVE_HANDSHAKES_MAX + 512)
    skip();
  snprintf(patient, sizeof patient, "handshake_timeout: 60s\n%s", config_text);
  config_text = patient;
  begin_program(&p);
  for (int i = 0; i < LISTENERS; i++)
    listen_managed(&p, &s[i], 4096);
  listen_managed(&p, &quiet, 4096);
  unsigned before = open_fds();
  for (unsigned k = 0; k < SERVE_STALLED_MAX; k++)
    for (int i = 0; i < LISTENERS; i++) {
      silent[n++] = tcp_connect(s[i].port);
      if (n % 64 == 0)
        usleep(1000); /* the kernel's backlog is small */
    }
  eventually(open_fds() >= before + 2u * SERVE_HANDSHAKES_MAX); /* ours, and the daemon's */
  assert_true(peer_connect(&peer, quiet.port, web));
  close(accept_handover(&quiet, &m, &tcp));
  close(tcp);
  peer_close(&peer);
  while (n > 0)
    close(silent[--n]);
  for (int i = 0; i < LISTENERS; i++)
    close_standin(&s[i]);
  close_standin(&quiet);
  end_program(&p);
}

static void unlisten_frees_the_port_before_it_answers(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  close(s.listener);
  close(s.tcp);
  assert_int_equal(request_listener(&p, &s, WIRE_UNLISTEN, 0, NULL).status, WIRE_OK);
  assert_true(port_is_free(s.port));
  s.listener = s.tcp = -1;
  close_standin(&s);
  end_program(&p);
}

static void unlisten_does_not_take_a_listener_from_who_still_holds_it(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  assert_int_equal(request_listener(&p, &s, WIRE_UNLISTEN, 0, NULL).status, WIRE_OK);
  assert_true(peer_connect(&peer, s.port, web));
  close(accept_handover(&s, &m, &tcp));
  close(tcp);
  peer_close(&peer);
  close_standin(&s);
  end_program(&p);
}

static void a_killed_program_leaves_its_port(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  close_standin(&s); /* the child holds all of it */
  end_program(&p);
  usleep(50000);
  assert_false(port_is_free(s.port));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  eventually(port_is_free(s.port));
}

static void sync_closes_an_orphan_before_it_answers(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  close(s.listener);
  close(s.tcp);
  struct wire_listen m = {.local_len = sizeof(struct sockaddr_in)};
  struct wire_reply r;
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(s.port)}; /* 0.0.0.0 conflicts with 127.0.0.1 */
  memcpy(&m.local, &in, sizeof in);
  header(&m, WIRE_SYNC, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, -1);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  assert_int_equal(r.status, WIRE_OK);
  close(sock);
  assert_true(port_is_free(s.port));
  s.listener = s.tcp = -1;
  close_standin(&s);
  end_program(&p);
}

static void an_adopted_listener_outlives_who_registered_it(void **state) {
  (void)state;
  struct program p, q;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp, real;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  int first_life = s.life;
  s.life = -1;
  begin_program(&q);
  struct wire_reply r = request_listener(&q, &s, WIRE_ADOPT, 0, &real);
  assert_int_equal(r.status, WIRE_OK);
  assert_int_equal(r.arena_id, p.welcome.arena_id);
  assert_true(real >= 0);
  close(first_life);
  end_program(&p);
  assert_true(peer_connect(&peer, s.port, web));
  close(accept_handover(&s, &m, &tcp));
  /* The arena is still the first one's; who adopted may ask for it. */
  struct wire_arena a = {.token = q.welcome.token, .arena_id = m.arena_id};
  int fds[2], sock = dial_daemon();
  header(&a, WIRE_ARENA, sizeof a);
  send_message(sock, &a, sizeof a, -1);
  assert_int_equal(receive(sock, &r, sizeof r, fds), sizeof r);
  assert_int_equal(r.status, WIRE_OK);
  struct arena_slot *slot = map_slot(fds[0], m.slot);
  assert_int_equal(atomic_load(&slot->state), ARENA_READY);
  unmap_slot(slot);
  close(fds[0]);
  close(sock);
  close(tcp);
  close(real);
  peer_close(&peer);
  close_standin(&s);
  end_program(&q);
}

/* Its name is in /proc for everybody to read. */
static void a_listener_is_adopted_only_by_who_shows_its_stand_in(void **state) {
  (void)state;
  struct program p, q;
  struct standin s, other;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  begin_program(&q);
  open_standin(&other, 5);
  int connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), mine = s.listener, real;
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memcpy(un.sun_path + 1, s.name, WIRE_NAME_LEN - 1);
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + WIRE_NAME_LEN);
  assert_int_equal(connect(connected, (struct sockaddr *)&un, len), 0);
  int accepted = accept(s.listener, NULL, NULL); /* bears the name, too */
  int shown[] = {other.listener, s.tcp, connected, accepted};
  for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
    s.listener = shown[i];
    assert_int_equal(request_listener(&q, &s, WIRE_ADOPT, 0, &real).status, WIRE_NOT_FOUND);
    assert_int_equal(real, -1);
  }
  s.listener = mine;
  close(accepted);
  close(connected);
  close_standin(&other);
  close_standin(&s);
  end_program(&q);
  end_program(&p);
}

/* An image that is new speaks for the listener, and has no identity yet: what was begun in the old one's name goes
 * on. */
static void a_handshake_goes_on_when_another_speaks_for_the_listener(void **state) {
  (void)state;
  struct program p, q;
  struct standin s;
  struct peer early, other;
  struct wire_handover m;
  int tcp, real;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  int fd = tcp_connect(s.port);
  assert_true(peer_connect(&other, s.port, web)); /* the one before is with the daemon by now */
  close(accept_handover(&s, &m, &tcp));
  close(tcp);
  say_hello(&q);
  int first_life = s.life;
  s.life = -1;
  assert_int_equal(request_listener(&q, &s, WIRE_ADOPT, 0, &real).status, WIRE_OK);
  close(first_life);
  int next = tcp_connect(s.port); /* asks who speaks */
  usleep(50000);
  assert_true(peer_connect_on(&early, fd, web));
  do
    close(accept_handover(&s, &m, &tcp));
  while (m.kind == HANDOVER_AGENT); /* it is rung for its identity */
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(tcp);
  close(next);
  close(real);
  peer_close(&early);
  peer_close(&other);
  close_standin(&s);
  end_program(&q);
  end_program(&p);
}

static void a_rule_that_does_not_cover_the_socket_is_refused(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  begin_program(&p);
  listen_port = 22300; /* outside of every rule */
  open_standin(&s, 5);
  assert_int_equal(request_listener(&p, &s, WIRE_LISTEN, 5, NULL).status, WIRE_BAD_REQUEST);
  close_standin(&s);
  listen_port = 22100;
  open_standin(&s, 5);
  int listener = s.tcp;
  s.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* does not listen */
  assert_int_equal(request_listener(&p, &s, WIRE_LISTEN, 5, NULL).status, WIRE_BAD_REQUEST);
  close(s.tcp);
  s.tcp = listener;
  close_standin(&s);
  end_program(&p);
}

static void without_an_identity_peers_wait_and_are_then_served(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct wire_handover m;
  int tcp;
  agent_mode = AGENT_SILENT;
  say_hello(&p);
  give_agent(&p, 0);
  listen_managed(&p, &s, 5);
  struct peer peer;
  struct dial d = (struct dial){&peer, s.port, false};
  pthread_t t;
  pthread_create(&t, NULL, dial_one, &d);
  assert_false(readable(s.listener, 100));
  agent_tells(WORKLOAD_UPDATE);
  close(accept_handover(&s, &m, &tcp));
  pthread_join(t, NULL);
  assert_true(d.ok);
  close(tcp);
  peer_close(&peer);
  close_standin(&s);
  end_program(&p);
}

/* Has the session an identity? Asked without giving a new connection. */
static bool served(struct program *p) {
  struct wire_identity m = {.token = p->welcome.token};
  struct wire_reply r;
  header(&m, WIRE_IDENTITY, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, -1);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  close(sock);
  return r.status == WIRE_OK;
}

static void a_withdrawn_identity_serves_nobody_more(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  agent_tells(WORKLOAD_DENIED);
  eventually(!served(&p));
  assert_false(peer_connect(&peer, s.port, web));
  peer_close(&peer);
  assert_false(audit_has("\"allowed\""));
  close_standin(&s);
  end_program(&p);
}

static void an_agent_that_went_away_is_asked_for_by_the_ring(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  agent_tells(WORKLOAD_GONE);
  close(accept_handover(&s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_AGENT);
  assert_int_equal(tcp, -1);
  /* The SVID is still good. */
  assert_true(peer_connect(&peer, s.port, web));
  for (m.kind = HANDOVER_AGENT; m.kind == HANDOVER_AGENT;)
    close(accept_handover(&s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(tcp);
  peer_close(&peer);
  assert_int_equal(give_agent(&p, 10000).status, WIRE_OK);
  close_standin(&s);
  end_program(&p);
}

static void an_agent_that_goes_away_again_and_again_is_asked_for_each_time(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  agent_mode = AGENT_SILENT;
  for (int i = 0; i < 3; i++) {
    agent_tells(WORKLOAD_GONE);
    close(accept_handover(&s, &m, &tcp));
    assert_int_equal(m.kind, HANDOVER_AGENT);
    give_agent(&p, 0); /* accepts, and hangs up at once */
  }
  close_standin(&s);
  end_program(&p);
}

static void of_all_agent_connections_that_were_rung_for_one_is_taken(void **state) {
  (void)state;
  struct program p;
  struct standin s[3];
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  for (int i = 0; i < 3; i++)
    listen_managed(&p, &s[i], 5);
  unsigned before = agent_streams();
  agent_tells(WORKLOAD_GONE);
  for (int i = 0; i < 3; i++) {
    close(accept_handover(&s[i], &m, &tcp));
    assert_int_equal(m.kind, HANDOVER_AGENT);
    assert_int_equal(give_agent(&p, 10000).status, WIRE_OK);
  }
  assert_int_equal(agent_streams(), before + 1);
  for (int i = 0; i < 3; i++)
    close_standin(&s[i]);
  end_program(&p);
}

static void a_listener_that_nobody_speaks_for_is_rung(void **state) {
  (void)state;
  struct program p, q;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  int life = s.life;
  s.life = -1;
  end_program(&p); /* another process holds the stand-in still */
  close(life);
  close(accept_handover(&s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_REGISTER);
  begin_program(&q);
  assert_int_equal(request_listener(&q, &s, WIRE_LISTEN, 5, NULL).status, WIRE_OK);
  assert_true(peer_connect(&peer, s.port, web));
  do
    close(accept_handover(&s, &m, &tcp));
  while (m.kind == HANDOVER_REGISTER);
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(tcp);
  peer_close(&peer);
  close_standin(&s);
  end_program(&q);
}

/* Its first process became another user (no session, and its life goes on in forks of it); one of them was rung and
 * answered, and is gone: first its life, then its session. */
static void a_listener_is_rung_again_when_who_answered_is_gone(void **state) {
  (void)state;
  struct program p, q;
  struct standin s;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  int life = s.life;
  s.life = -1;
  end_program(&p);
  close(accept_handover(&s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_REGISTER);
  begin_program(&q);
  assert_int_equal(request_listener(&q, &s, WIRE_LISTEN, 5, NULL).status, WIRE_OK);
  close(s.life);
  s.life = life;
  say_hello(&p); /* the daemon has seen the life's end */
  end_program(&p);
  end_program(&q);
  while (readable(s.listener, 300)) /* what was sent before q answered */
    close(accept_handover(&s, &m, &tcp));
  assert_true(readable(s.listener, 5000));
  close(accept_handover(&s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_REGISTER);
  close_standin(&s);
}

static void a_new_worker_rings_and_is_registered_with(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  daemon_restart();
  close(accept_handover(&s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_REGISTER);
  assert_int_equal(request_listener(&p, &s, WIRE_LISTEN, 5, NULL).status, WIRE_UNKNOWN_SESSION);
  end_program(&p);
  begin_program(&p);
  assert_int_equal(request_listener(&p, &s, WIRE_LISTEN, 5, NULL).status, WIRE_OK);
  assert_true(peer_connect(&peer, s.port, web));
  close(accept_handover(&s, &m, &tcp));
  assert_int_equal(m.kind, HANDOVER_CONN);
  close(tcp);
  peer_close(&peer);
  close_standin(&s);
  end_program(&p);
}

static void the_listeners_status_flags_are_left_alone(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  assert_true(peer_connect(&peer, s.port, web));
  close(accept_handover(&s, &m, &tcp));
  assert_int_equal(fcntl(s.tcp, F_GETFL) & O_NONBLOCK, 0);
  assert_int_equal(fcntl(tcp, F_GETFL) & O_NONBLOCK, 0);
  close(tcp);
  peer_close(&peer);
  close_standin(&s);
  end_program(&p);
}

static void a_released_slot_is_wiped_and_used_again(void **state) {
  (void)state;
  struct program p;
  struct standin s;
  struct peer peer;
  struct wire_handover m;
  int tcp;
  begin_program(&p);
  listen_managed(&p, &s, 5);
  uint32_t slot = 0, use = 0;
  assert_true(peer_connect(&peer, s.port, web));
  close(accept_handover(&s, &m, &tcp));
  slot = m.slot;
  use = m.slot_use;
  struct arena_slot *a = map_slot(p.arena, slot);
  atomic_store(&a->state, ARENA_LIVE);
  a->use = 4711; /* a hostile program writes what it likes */
  a->index = 60000;
  usleep(1200000); /* a sweep leaves it alone */
  assert_int_equal(atomic_load(&a->state), ARENA_LIVE);
  close(tcp);
  peer_close(&peer);
  atomic_store(&a->state, ARENA_RELEASED);
  eventually(atomic_load(&a->state) == ARENA_FREE);
  static const uint8_t zero[ARENA_SECRET_MAX];
  assert_memory_equal(a->rx.secret, zero, sizeof zero);
  assert_true(peer_connect(&peer, s.port, web));
  close(accept_handover(&s, &m, &tcp));
  assert_int_equal(m.slot, slot);
  assert_int_equal(m.slot_use, use + 1);
  unmap_slot(a);
  close(tcp);
  peer_close(&peer);
  close_standin(&s);
  end_program(&p);
}

static void no_descriptor_is_left_behind(void **state) {
  (void)state;
  unsigned before = open_fds();
  for (int i = 0; i < 5; i++) {
    struct program p;
    struct standin s;
    struct peer peer;
    struct wire_handover m;
    int tcp;
    begin_program(&p);
    listen_managed(&p, &s, 5);
    assert_true(peer_connect(&peer, s.port, web));
    close(accept_handover(&s, &m, &tcp));
    close(tcp);
    peer_close(&peer);
    assert_true(peer_connect(&peer, s.port, web)); /* this one is never accepted */
    close_standin(&s);
    peer_close(&peer);
    end_program(&p);
  }
  eventually(open_fds() <= before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, daemon_setup, daemon_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(an_allowed_peer_arrives_with_its_secrets),
      T(who_is_not_allowed_never_arrives),
      T(the_alert_reaches_a_peer_that_talks_on),
      T(a_parked_connection_is_offered_again),
      T(closed_unread_is_offered_again_while_somebody_listens),
      T(closing_the_listener_resets_who_was_never_accepted),
      T(more_peers_than_the_backlog_all_arrive),
      T(silent_peers_do_not_keep_good_ones_out),
      T(peers_that_stall_at_other_listeners_keep_nobody_out),
      T(unlisten_frees_the_port_before_it_answers),
      T(unlisten_does_not_take_a_listener_from_who_still_holds_it),
      T(a_killed_program_leaves_its_port),
      T(sync_closes_an_orphan_before_it_answers),
      T(an_adopted_listener_outlives_who_registered_it),
      T(a_handshake_goes_on_when_another_speaks_for_the_listener),
      T(a_listener_is_adopted_only_by_who_shows_its_stand_in),
      T(of_all_agent_connections_that_were_rung_for_one_is_taken),
      T(a_rule_that_does_not_cover_the_socket_is_refused),
      T(without_an_identity_peers_wait_and_are_then_served),
      T(a_withdrawn_identity_serves_nobody_more),
      T(an_agent_that_went_away_is_asked_for_by_the_ring),
      T(an_agent_that_goes_away_again_and_again_is_asked_for_each_time),
      T(a_listener_that_nobody_speaks_for_is_rung),
      T(a_listener_is_rung_again_when_who_answered_is_gone),
      T(a_new_worker_rings_and_is_registered_with),
      T(the_listeners_status_flags_are_left_alone),
      T(a_released_slot_is_wiped_and_used_again),
      T(no_descriptor_is_left_behind),
  };
  return cmocka_run_group_tests(tests, daemon_group_setup, daemon_group_teardown);
}
