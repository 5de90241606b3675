/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_daemon.h - a daemon's worker on a thread of the test, an agent that says what the test tells it to, and
 * the program's side of the wire, spoken by hand.
 *
 * The agent stands in for agentclient/workload; everything else is the real thing, over real sockets.
 */
#ifndef TESTS_SUPPORT_DAEMON_H
#define TESTS_SUPPORT_DAEMON_H

#include "support_pki.h"
#include "agentclient/workload/workload.h"
#include "svidwrap/arena.h"
#include "svidwrap/rules.h"
#include "svidwrap/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* What the agent answers to a fresh connection. */
enum agent_mode { AGENT_SERVES, AGENT_DENIES, AGENT_SILENT };
extern enum agent_mode agent_mode;
/* Says something to every client that is connected. */
void agent_tells(enum workload_event event);
unsigned agent_streams(void); /* opened so far */

/* What the daemon finds for host names: in place of the C library's resolver, when it is set before daemon_setup().
 */
struct resolver_answer;
extern void (*daemon_lookup)(const char *name, struct resolver_answer *out);

/* The cast: "example.org" trusts itself and nobody else. */
extern struct pki_ca *ca, *other_ca;
extern struct pki_svid *self, *web, *stranger, *foreigner; /* self: what the agent serves; web is allowed */

/* cmocka fixtures: the CAs once, a worker (and a temporary directory) for each test. */
int daemon_group_setup(void **state);
int daemon_group_teardown(void **state);
int daemon_setup(void **state);
int daemon_teardown(void **state);
void daemon_restart(void); /* the worker is replaced by a fresh one that knows nothing */

extern const char *config_text; /* what config_fd() holds; reset for every test */
int config_fd(void);
/* Other rules ("listen: ..." and "connect: ..."), for programs that say HELLO from now on. */
void config_rules(const char *yaml);
/* Every configuration that the worker has: the rule of this name gets another mode, as `svidwrap mode` does it. */
void config_mode(const char *rule, enum rules_mode mode, uint32_t percent);
/* Ports of the configuration: peers come in on LISTEN_PORT.., go out to CONNECT_PORT.. */
extern uint16_t listen_port, connect_port;

/* The program's side. */
struct program {
  int control;
  struct wire_welcome welcome;
  int arena, rules;
};
int dial_daemon(void);
void send_message(int sock, const void *msg, size_t len, int fd);
/* Waits up to 10 s. -1: the daemon closed. fds may be NULL. */
ssize_t receive(int sock, void *buf, size_t size, int fds[WIRE_FDS_MAX]);
void header(void *msg, enum wire_type type, size_t len);
/* HELLO; the answer is in p->welcome whatever it says. */
void say_hello(struct program *p);
void end_program(struct program *p);
/* IDENTITY with a connection that stands for one to the agent. */
struct wire_reply give_agent(struct program *p, uint32_t wait_ms);
/* HELLO and a served identity. */
void begin_program(struct program *p);
struct arena_slot *map_slot(int arena, uint32_t slot);
void unmap_slot(struct arena_slot *s);

/* Listeners. */
struct standin {
  char name[WIRE_NAME_LEN];
  int tcp, listener, life;
  uint16_t port;
};
void open_standin(struct standin *s, int backlog); /* TCP listener and stand-in, not registered */
struct wire_reply request_listener(struct program *p, struct standin *s, enum wire_type type, int backlog, int *fd);
void listen_managed(struct program *p, struct standin *s, int backlog); /* both, and registered */
void close_standin(struct standin *s);
bool readable(int fd, int ms);
/* Accepts on the stand-in, reads the message. The unix connection; *tcp the socket in it or -1. */
int accept_handover(struct standin *s, struct wire_handover *m, int *tcp);

/* TLS peers, with the secrets that they saw. */
struct peer {
  int fd;
  SSL *ssl;
  SSL_CTX *ctx;
  uint8_t client_secret[48], server_secret[48];
};
int tcp_connect(uint16_t port);
/* Shakes hands as a client of the port. SSL_connect()'s verdict. */
bool peer_connect(struct peer *p, uint16_t port, const struct pki_svid *svid);
bool peer_connect_on(struct peer *p, int fd, const struct pki_svid *svid); /* a TCP connection that is there */
bool peer_accept(struct peer *p, int fd, const struct pki_svid *svid);
void peer_close(struct peer *p);
int tcp_listen(uint16_t *port, uint16_t from); /* plain TCP */

/* The audit log: how many lines, and the last one that has this text (a static buffer, NULL: none in 30 s). */
unsigned audit_lines(void);
const char *audit_find(const char *text);
bool audit_has(const char *text); /* now */

/* Waits until the condition holds, up to 30 s. */
#define eventually(condition)                                                                                        \
  do {                                                                                                               \
    for (int tries_ = 0; !(condition) && tries_ < 6000; tries_++)                                                    \
      usleep(5000);                                                                                                  \
    assert_true(condition);                                                                                          \
  } while (0)

unsigned open_fds(void);

#endif
