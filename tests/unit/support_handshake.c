/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_handshake.c - see support_handshake.h.
 */
#include "support_handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static const char policy_text[] = "listen:\n"
                                  "  - port: 22500\n"
                                  "    mode: enforce\n"
                                  "    allow: [ spiffe://example.org/client, spiffe://partner.test/guest ]\n"
                                  "  - port: 22501\n"
                                  "    mode: enforce\n"
                                  "    policy: audit\n"
                                  "    allow: [ spiffe://example.org/client ]\n"
                                  "connect:\n"
                                  "  - to: 127.0.0.1:22502\n"
                                  "    mode: enforce\n"
                                  "    allow: [ spiffe://example.org/server ]\n"
                                  "  - to: 127.0.0.1:22503\n"
                                  "    mode: enforce\n"
                                  "    policy: audit\n"
                                  "    allow: [ spiffe://example.org/server ]\n"
                                  "  - to: 127.0.0.1:22504\n"
                                  "    mode: enforce\n"
                                  "    sni: db.example.org\n"
                                  "    allow: [ spiffe://example.org/server ]\n";

static const char *no_variable(void *arg, const char *name) {
  (void)arg;
  (void)name;
  return NULL;
}

void hs_world_open(struct hs_world *w) {
  char why[256] = "";
  memset(w, 0, sizeof *w);
  w->ca = pki_ca_new("example.org");
  w->partner = pki_ca_new("partner.test");
  w->server = pki_issue(w->ca, &(struct pki_leaf){.id = "spiffe://example.org/server"});
  w->client = pki_issue(w->ca, &(struct pki_leaf){.id = "spiffe://example.org/client"});
  w->stranger = pki_issue(w->ca, &(struct pki_leaf){.id = "spiffe://example.org/stranger"});
  w->guest = pki_issue(w->partner, &(struct pki_leaf){.id = "spiffe://partner.test/guest"});
  struct pki_ca *trusted[] = {w->ca, w->partner, NULL};
  w->server_id = pki_identity(w->server, trusted);
  w->client_id = pki_identity(w->client, trusted);
  w->policy = policy_parse("test.yaml", policy_text, sizeof policy_text - 1, no_variable, NULL, why, sizeof why);
  if (!w->policy)
    fail_msg("%s", why);
  w->pool = handshake_pool_new(2);
  assert_non_null(w->pool);
}

void hs_world_close(struct hs_world *w) {
  handshake_pool_free(w->pool);
  policy_unref(w->policy);
  identity_unref(w->server_id);
  identity_unref(w->client_id);
  pki_svid_free(w->server);
  pki_svid_free(w->client);
  pki_svid_free(w->stranger);
  pki_svid_free(w->guest);
  pki_ca_free(w->ca);
  pki_ca_free(w->partner);
}

void hs_tcp(int fd[2]) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct timeval limit = {.tv_sec = 20};
  socklen_t len = sizeof a;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(listener >= 0);
  assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(listener, 16), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
  fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd[0], (struct sockaddr *)&a, sizeof a), 0);
  fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(fd[1] >= 0);
  for (int i = 0; i < 2; i++) {
    setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd[i], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  close(listener);
}

/* ---- ours ------------------------------------------------------------------------------------------------ */

struct handshake_request hs_request(const struct hs_world *w, int fd, enum arena_role role, uint32_t rule) {
  struct identity *id = role == ARENA_SERVER ? w->server_id : w->client_id;
  return (struct handshake_request){.fd = fd,
                                    .role = role,
                                    .identity = id,
                                    .svid = identity_svid_at(id, 0),
                                    .policy = w->policy,
                                    .rule = rule,
                                    .timeout_ms = 15000};
}

static void done(void *arg, int fd, struct handshake_result *result) {
  struct hs_ours *o = arg;
  pthread_mutex_lock(&o->lock);
  o->calls++;
  o->fd = fd;
  o->result = *result;
  pthread_cond_broadcast(&o->cond);
  pthread_mutex_unlock(&o->lock);
}

void hs_begin(const struct hs_world *w, struct hs_ours *o, struct handshake_request *request) {
  memset(o, 0, sizeof *o);
  pthread_mutex_init(&o->lock, NULL);
  pthread_cond_init(&o->cond, NULL);
  o->fd = request->fd;
  request->done = done;
  request->arg = o;
  struct handshake *h = handshake_begin(w->pool, request);
  assert_non_null(h);
  o->id = handshake_id(h);
}

void hs_wait(struct hs_ours *o) {
  struct timespec until;
  int rc = 0;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 20;
  pthread_mutex_lock(&o->lock);
  while (!o->calls && rc == 0)
    rc = pthread_cond_timedwait(&o->cond, &o->lock, &until);
  pthread_mutex_unlock(&o->lock);
  assert_int_equal(hs_calls(o), 1);
}

int hs_calls(struct hs_ours *o) {
  pthread_mutex_lock(&o->lock);
  int calls = o->calls;
  pthread_mutex_unlock(&o->lock);
  return calls;
}

void hs_done(struct hs_ours *o) {
  assert_int_equal(hs_calls(o), 1);
  close(o->fd);
  pthread_cond_destroy(&o->cond);
  pthread_mutex_destroy(&o->lock);
}

/* ---- the peer --------------------------------------------------------------------------------------------- */

static void on_info(const SSL *ssl, int where, int value) {
  struct hs_peer *p = SSL_get_app_data(ssl);
  if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
    p->alert = value & 0xff;
}

static void on_message(int sent, int version, int type, const void *buf, size_t len, SSL *ssl, void *arg) {
  struct hs_peer *p = arg;
  (void)version;
  (void)ssl;
  if (!sent && type == SSL3_RT_HEADER && len && *(const uint8_t *)buf == SSL3_RT_ALERT)
    p->alert_in_clear = true;
}

static void on_keylog(const SSL *ssl, const char *line) {
  struct hs_peer *p = SSL_get_app_data(ssl);
  bool client = strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0;
  if (!client && strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) != 0)
    return;
  long len = 0;
  unsigned char *bin = OPENSSL_hexstr2buf(strrchr(line, ' ') + 1, &len);
  assert_true(bin && len <= 48);
  memcpy(client ? p->client_secret : p->server_secret, bin, (size_t)len);
  OPENSSL_free(bin);
}

static void talk(struct hs_peer *p, SSL *ssl) {
  size_t sent;
  if (p->greet && !p->server)
    SSL_write_early_data(ssl, p->greet, strlen(p->greet), &sent);
  else if (p->greet) { /* OpenSSL lets a server speak before it has read the client's Finished, if it asked for early
                        * data
                        */
    SSL_read_early_data(ssl, p->data, sizeof p->data, &sent);
    SSL_write_early_data(ssl, p->greet, strlen(p->greet), &sent);
  }
  p->rc = SSL_do_handshake(ssl);
  if (p->server && SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name))
    snprintf(p->sni, sizeof p->sni, "%s", SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
  if (p->rc == 1 && p->say)
    SSL_write(ssl, p->say, (int)strlen(p->say));
  if (p->rc == 1 && !p->hang_up)
    p->got = SSL_read(ssl, p->data, sizeof p->data);
}

static void *peer_main(void *arg) {
  struct hs_peer *p = arg;
  SSL_CTX_set_info_callback(p->ctx, on_info);
  SSL_CTX_set_keylog_callback(p->ctx, on_keylog);
  SSL *ssl = SSL_new(p->ctx);
  SSL_set_app_data(ssl, p);
  SSL_set_msg_callback(ssl, on_message);
  SSL_set_msg_callback_arg(ssl, p);
  SSL_set_fd(ssl, p->fd);
  if (p->server)
    SSL_set_accept_state(ssl);
  else
    SSL_set_connect_state(ssl);
  talk(p, ssl);
  const unsigned char *alpn = NULL;
  unsigned alpn_len = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
  snprintf(p->alpn, sizeof p->alpn, "%.*s", (int)alpn_len, alpn ? (const char *)alpn : "");
  p->early_taken = SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED;
  p->saw_certificate = SSL_get0_peer_certificate(ssl) != NULL;
  SSL_free(ssl);
  if (p->hang_up)
    close(p->fd);
  return NULL;
}

void hs_peer_start(struct hs_peer *p) {
  p->alert = p->got = -1;
  assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

void hs_peer_join(struct hs_peer *p) {
  pthread_join(p->thread, NULL);
  SSL_CTX_free(p->ctx);
  if (!p->hang_up)
    close(p->fd);
}

void hs_meet(const struct hs_world *w, struct hs_ours *o, struct hs_peer *p, uint32_t rule) {
  int fd[2];
  hs_tcp(fd);
  p->fd = fd[1];
  hs_peer_start(p);
  struct handshake_request request = hs_request(w, fd[0], p->server ? ARENA_CLIENT : ARENA_SERVER, rule);
  hs_begin(w, o, &request);
  hs_wait(o);
}
