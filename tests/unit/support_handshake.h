/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_handshake.h - a world for handshakes: authorities, identities, a policy, a pool, and blocking OpenSSL peers
 * in threads of their own, over real TCP on the loopback.
 *
 * Every wait of a peer ends by itself, so that a broken test fails and does not hang.
 */
#ifndef TESTS_SUPPORT_HANDSHAKE_H
#define TESTS_SUPPORT_HANDSHAKE_H

#include "agentclient/handshake/handshake.h"
#include "support_pki.h"

#include <pthread.h>

/* Rules of the world's policy, by number. */
enum { RULE_IN, RULE_IN_AUDIT, RULE_OUT, RULE_OUT_AUDIT, RULE_OUT_SNI };

struct hs_world {
  struct pki_ca *ca, *partner;
  struct pki_svid *server, *client, *stranger; /* the stranger is of example.org too, and in no allow list */
  struct pki_svid *guest;                      /* of partner.test, allowed */
  struct identity *server_id, *client_id;
  struct policy *policy;
  struct handshake_pool *pool;
};
void hs_world_open(struct hs_world *w);
void hs_world_close(struct hs_world *w);

/* A connected TCP pair, whose blocking calls end after 20 s. */
void hs_tcp(int fd[2]);

/* One handshake of ours. */
struct hs_ours {
  pthread_mutex_t lock;
  pthread_cond_t cond;
  int fd, calls;
  uint64_t id;
  struct handshake_result result;
};
/* A request for the world's server or client. */
struct handshake_request hs_request(const struct hs_world *w, int fd, enum arena_role role, uint32_t rule);
void hs_begin(const struct hs_world *w, struct hs_ours *o, struct handshake_request *request);
void hs_wait(struct hs_ours *o); /* fails the test after 20 s */
int hs_calls(struct hs_ours *o); /* how often the callback has run so far */
void hs_done(struct hs_ours *o); /* closes the socket */

/* The other end. Set what is needed, start, join, look. */
struct hs_peer {
  int fd;
  bool server;
  SSL_CTX *ctx;      /* owned by the peer from here */
  const char *say;   /* is written right after the peer's handshake */
  const char *greet; /* written even before the client's Finished (a server's 0.5-RTT, a client's early data) */
  bool hang_up;      /* closes right after its handshake */
  pthread_t thread;
  int rc;               /* of SSL_do_handshake() */
  int alert;            /* received, -1 if none */
  bool alert_in_clear;  /* it came in a plaintext record */
  bool saw_certificate; /* of ours */
  bool early_taken;     /* client: the early data */
  int got;              /* bytes of application data, or -1 */
  char data[64];
  char sni[64], alpn[16];
  uint8_t client_secret[48], server_secret[48];
};
void hs_peer_start(struct hs_peer *p);
void hs_peer_join(struct hs_peer *p); /* closes its socket */

/* Both at once: ours on one end, the peer on the other. */
void hs_meet(const struct hs_world *w, struct hs_ours *o, struct hs_peer *p, uint32_t rule);

#endif
