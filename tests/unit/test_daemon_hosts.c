/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names in connect rules, at the daemon: are their addresses covered before a program can connect, and does a
 * name that a program claims lead to no rule but the one it may choose?
 */
#include "support_daemon.h"
#include "agentclient/daemon/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -- the name server: db.test is at `db`, everything else is nowhere -- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *db; /* NULL: nowhere */
static unsigned slow_us, lookups;
static bool hanging; /* names that begin with "hang" are not answered */
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;

static void lookup(const char *name, struct resolver_answer *out) {
  pthread_mutex_lock(&lock);
  unsigned wait = slow_us;
  pthread_mutex_unlock(&lock);
  usleep(wait);
  pthread_mutex_lock(&lock);
  lookups++;
  while (hanging && strncmp(name, "hang", 4) == 0)
    pthread_cond_wait(&moved, &lock);
  out->count = 0;
  out->error = EAI_NONAME;
  if (db && strcmp(name, "db.test") == 0) {
    memset(out->addr[0], 0, 10);
    memset(out->addr[0] + 10, 0xff, 2);
    inet_pton(AF_INET, db, out->addr[0] + 12);
    out->count = 1;
    out->error = 0;
  }
  pthread_mutex_unlock(&lock);
}

static void db_is_at(const char *ip) {
  pthread_mutex_lock(&lock);
  db = ip;
  pthread_mutex_unlock(&lock);
}

static unsigned looked_up(void) {
  pthread_mutex_lock(&lock);
  unsigned n = lookups;
  pthread_mutex_unlock(&lock);
  return n;
}

static char targets[512]; /* the fixture's log: and audit: */

static int setup(void **state) {
  daemon_lookup = lookup;
  db = NULL;
  slow_us = lookups = 0;
  hanging = false;
  int rc = daemon_setup(state);
  const char *log = strstr(config_text, "log:"), *end = strstr(config_text, "listen:");
  snprintf(targets, sizeof targets, "%.*s", (int)(end - log), log);
  return rc;
}

static char config[2048];
static void configure(const char *more, const char *rules) {
  snprintf(config, sizeof config, "workload_api: { socket: \"unix:///run/agent.sock\" }\n%s%s\nconnect:\n%s", targets,
           more, rules);
  config_text = config;
}

#define DB    "  - { to: \"db.test:22200-22299\", mode: enforce, allow: [ spiffe://example.org/web ] }\n"
#define CDN   "  - { to: \"cdn.test:22200-22299\", mode: enforce, allow: [ spiffe://example.org/stranger ] }\n"
#define RANGE "  - { to: \"127.0.0.0/8:22200-22299\", mode: enforce, allow: [ spiffe://example.org/web ] }\n"

/* -- the program -- */

/* The rule that covers an address without any name; -1: none. */
static int covered(const struct program *p, const char *ip) {
  struct rules_table *t = mmap(NULL, sizeof *t, PROT_READ, MAP_SHARED, p->rules, 0);
  assert_true(t != MAP_FAILED);
  uint8_t addr[16] = {[10] = 0xff, [11] = 0xff};
  struct rules_entry e;
  inet_pton(AF_INET, ip, addr + 12);
  int rule = rules_match(t, RULES_CONNECT, addr, 22200, &e) == 1 ? (int)e.rule : -1;
  munmap(t, sizeof *t);
  return rule;
}

static uint32_t generation(const struct program *p) {
  struct rules_table *t = mmap(NULL, sizeof *t, PROT_READ, MAP_SHARED, p->rules, 0);
  assert_true(t != MAP_FAILED);
  uint32_t n = atomic_load(&t->generation);
  munmap(t, sizeof *t);
  return n;
}

static int request_as(struct program *p, int tcp, const char *ip, uint16_t port, const char *name) {
  struct wire_connect m = {.token = p->welcome.token, .dest_len = sizeof(struct sockaddr_in)};
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &in.sin_addr);
  memcpy(&m.dest, &in, sizeof in);
  if (name)
    snprintf(m.hosts.name[m.hosts.count++], sizeof m.hosts.name[0], "%s", name);
  header(&m, WIRE_CONNECT, sizeof m);
  int sock = dial_daemon();
  send_message(sock, &m, sizeof m, tcp);
  return sock;
}

struct server {
  int listener;
  uint16_t port;
  const struct pki_svid *svid;
  pthread_t thread;
  bool hold; /* until the client goes */
};

static void *serve_one(void *arg) {
  struct server *s = arg;
  struct peer peer;
  int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
  (void)peer_accept(&peer, fd, s->svid);
  char byte;
  if (s->hold)
    (void)!recv(fd, &byte, 1, 0);
  peer_close(&peer);
  return NULL;
}

/* What the daemon says about a connect to a server with this SVID, under the name that is claimed for `ip`. */
static struct wire_connected connect_as(struct program *p, const struct pki_svid *svid, const char *ip,
                                        const char *name) {
  struct server s = {.svid = svid};
  struct wire_connected r;
  s.listener = tcp_listen(&s.port, connect_port);
  pthread_create(&s.thread, NULL, serve_one, &s);
  int tcp = tcp_connect(s.port), sock = request_as(p, tcp, ip, s.port, name);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  close(sock);
  close(tcp);
  pthread_join(s.thread, NULL);
  close(s.listener);
  return r;
}

/* A control socket of this user's: his HELLO is sent, its answer not waited for. */
static int hello_of(uid_t uid) {
  struct wire_hello h = {.pid = (uint32_t)getpid(), .path_len = 2, .program_len = 1};
  char msg[sizeof h + 3];
  header(&h, WIRE_HELLO, sizeof msg);
  memcpy(msg, &h, sizeof h);
  memcpy(msg + sizeof h, "/ap", 3);
  int fd = config_fd();
  uid_t me = geteuid();
  assert_int_equal(syscall(SYS_setresuid, -1, uid, -1), 0); /* of this thread alone */
  int control = dial_daemon();
  assert_int_equal(syscall(SYS_setresuid, -1, me, -1), 0);
  send_message(control, msg, sizeof msg, fd);
  close(fd);
  return control;
}

/* -- tests -- */

static void the_rules_of_a_hello_have_the_addresses(void **state) {
  (void)state;
  struct program p;
  configure("", DB);
  db_is_at("127.0.0.1");
  slow_us = 300000;
  begin_program(&p);
  assert_int_equal(covered(&p, "127.0.0.1"), 0);
  assert_int_equal(covered(&p, "127.0.0.2"), -1);
  assert_int_equal(connect_as(&p, web, "127.0.0.1", NULL).status, WIRE_OK);
  end_program(&p);
}

static void who_goes_before_the_answer_leaves_nothing_behind(void **state) {
  (void)state;
  unsigned before = open_fds();
  configure("", DB);
  slow_us = 300000;
  close(hello_of(geteuid()));
  eventually(looked_up() > 0);
  struct program p;
  say_hello(&p);
  assert_int_equal(p.welcome.status, WIRE_OK);
  end_program(&p);
  eventually(open_fds() <= before + 1); /* the log */
}

static void a_name_that_the_program_resolved_is_its_rule(void **state) {
  (void)state;
  struct program p;
  configure("", DB);
  begin_program(&p);
  assert_int_equal(connect_as(&p, web, "127.0.0.1", "db.test").status, WIRE_OK);
  struct wire_connected r = connect_as(&p, stranger, "127.0.0.1", "db.test");
  assert_int_equal(r.status, WIRE_REFUSED);
  assert_int_equal(r.err, EACCES);
  end_program(&p);
}

static void without_the_name_an_unknown_address_is_nobodys(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  int listener = tcp_listen(&port, connect_port);
  configure("", DB);
  begin_program(&p);
  const char *names[] = {NULL, "other.test"};
  for (unsigned i = 0; i < 2; i++) {
    struct wire_connected r;
    int tcp = tcp_connect(port), sock = request_as(&p, tcp, "127.0.0.1", port, names[i]);
    assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
    assert_int_equal(r.status, WIRE_BAD_REQUEST);
    assert_int_equal(r.err, EACCES);
    close(sock);
    close(tcp);
  }
  close(listener);
  end_program(&p);
}

static void a_name_is_of_the_address_that_was_named_and_no_other(void **state) {
  (void)state;
  struct program p;
  uint16_t port;
  struct wire_connected r;
  int listener = tcp_listen(&port, connect_port);
  configure("", DB);
  begin_program(&p);
  int tcp = tcp_connect(port), sock = request_as(&p, tcp, "127.0.0.9", port, "db.test");
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  assert_int_equal(r.status, WIRE_BAD_REQUEST);
  close(sock);
  close(tcp);
  close(listener);
  end_program(&p);
}

/* Among its own rules a program chooses by the name it gives. Among those that are enforced it does not. */
static void a_claim_leads_past_no_rule_that_is_enforced(void **state) {
  (void)state;
  struct program p;
  configure("", CDN RANGE);
  begin_program(&p);
  assert_int_equal(connect_as(&p, stranger, "127.0.0.1", "cdn.test").status, WIRE_OK);
  end_program(&p);
  configure("enforce_config: true", CDN RANGE);
  begin_program(&p);
  assert_int_equal(connect_as(&p, stranger, "127.0.0.1", "cdn.test").status, WIRE_REFUSED);
  assert_int_equal(connect_as(&p, web, "127.0.0.1", "cdn.test").status, WIRE_OK);
  end_program(&p);
}

/* A name server may give everybody another answer: the daemon asks again before it refuses. */
static void an_enforced_name_is_looked_up_again_before_it_is_refused(void **state) {
  (void)state;
  struct program p;
  configure("enforce_config: true", DB);
  db_is_at("127.0.0.2");
  begin_program(&p);
  db_is_at("127.0.0.1");
  sleep(1); /* a name is not asked for again within a second */
  assert_int_equal(connect_as(&p, web, "127.0.0.1", "db.test").status, WIRE_OK);
  assert_int_equal(covered(&p, "127.0.0.1"), 0);
  assert_int_equal(covered(&p, "127.0.0.2"), 0); /* as long as somebody may remember it */
  end_program(&p);
}

static void a_name_that_resolves_later_is_covered_then(void **state) {
  (void)state;
  struct program p;
  configure("", DB);
  begin_program(&p);
  assert_int_equal(covered(&p, "127.0.0.1"), -1);
  uint32_t before = generation(&p);
  db_is_at("127.0.0.1");
  eventually(covered(&p, "127.0.0.1") == 0);
  assert_int_equal(generation(&p), before); /* it is the same policy */
  end_program(&p);
}

static void configurations_share_what_is_known_of_a_name(void **state) {
  (void)state;
  struct program p, q;
  configure("", DB);
  db_is_at("127.0.0.1");
  begin_program(&p);
  configure("# another\n", DB RANGE);
  begin_program(&q); /* the name is known: nothing is waited for */
  assert_int_equal(covered(&q, "127.0.0.1"), 0);
  assert_int_equal(covered(&q, "127.0.0.3"), 1);
  end_program(&p);
  assert_int_equal(connect_as(&q, web, "127.0.0.1", "db.test").status, WIRE_OK);
  end_program(&q);
}

/* It was judged by the policy there is. That a name server moves its address under another rule is for the next. */
static void a_live_connection_stays_when_addresses_change(void **state) {
  (void)state;
  struct program p;
  struct server s = {.svid = web};
  struct wire_connected r;
  configure("",
            "  - { to: \"db.test:22200-22299\", mode: enforce, allow: [ spiffe://example.org/stranger ] }\n" RANGE);
  begin_program(&p);
  s.listener = tcp_listen(&s.port, connect_port);
  s.hold = true;
  pthread_create(&s.thread, NULL, serve_one, &s);
  int tcp = tcp_connect(s.port), sock = request_as(&p, tcp, "127.0.0.1", s.port, NULL);
  assert_int_equal(receive(sock, &r, sizeof r, NULL), sizeof r);
  assert_int_equal(r.status, WIRE_OK);
  struct arena_slot *slot = map_slot(p.arena, r.slot);
  db_is_at("127.0.0.1");
  eventually(covered(&p, "127.0.0.1") == 0);
  assert_int_equal(connect_as(&p, web, "127.0.0.1", NULL).status, WIRE_REFUSED); /* and so the daemon is through */
  assert_int_equal(slot->revoked, 0);
  unmap_slot(slot);
  close(sock);
  shutdown(tcp, SHUT_RDWR);
  close(tcp);
  pthread_join(s.thread, NULL);
  close(s.listener);
  end_program(&p);
}

static void names_that_hang_hold_up_no_other_user(void **state) {
  (void)state;
  if (geteuid() != 0)
    skip();
  struct program p;
  hanging = true;
  db_is_at("127.0.0.1");
  configure(
      "",
      "  - { to: [ 'hang1.test:1', 'hang2.test:1', 'hang3.test:1', 'hang4.test:1', 'hang5.test:1' ], mode: off }\n");
  int other = hello_of(65534);
  eventually(looked_up() == 4); /* all the threads that he gets */
  configure("", DB);
  begin_program(&p);
  assert_int_equal(covered(&p, "127.0.0.1"), 0);
  assert_int_equal(looked_up(), 5);
  pthread_mutex_lock(&lock);
  hanging = false;
  pthread_cond_broadcast(&moved);
  pthread_mutex_unlock(&lock);
  struct wire_welcome r;
  assert_int_equal(receive(other, &r, sizeof r, NULL), sizeof r);
  assert_int_equal(r.status, WIRE_OK);
  close(other);
  end_program(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, daemon_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(the_rules_of_a_hello_have_the_addresses),
      T(who_goes_before_the_answer_leaves_nothing_behind),
      T(a_name_that_the_program_resolved_is_its_rule),
      T(without_the_name_an_unknown_address_is_nobodys),
      T(a_name_is_of_the_address_that_was_named_and_no_other),
      T(a_claim_leads_past_no_rule_that_is_enforced),
      T(an_enforced_name_is_looked_up_again_before_it_is_refused),
      T(a_name_that_resolves_later_is_covered_then),
      T(a_live_connection_stays_when_addresses_change),
      T(names_that_hang_hold_up_no_other_user),
      T(configurations_share_what_is_known_of_a_name),
  };
  return cmocka_run_group_tests(tests, daemon_group_setup, daemon_group_teardown);
}
