/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resume.c - resuming a session between two svidwrap peers: what is offered, what is taken, and the judgement that a
 * resumed peer has to pass as every other (docs/ARCHITECTURE.md, "Resumption").
 *
 * A peer that would not be let in now is never resumed: the client does not offer, the server does not take, and the
 * full handshake that follows refuses it with the right alert and under its proven name.
 */
#include "internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Tickets come a round trip after the handshake, and save no round trip later, only work: to a peer that is far away
 * waiting for them is a bad trade. */
#define NEAR_RTT_US 20000u

/* ---- who may be resumed --------------------------------------------------------------------------------------- */

static bool stands(const struct handshake *h, const struct ticket_state *s) {
  char reason[sizeof h->reason];
  time_t now = time(NULL);
  return now >= s->from && now < s->until && handshake_policy(h, &s->peer, reason, sizeof reason) != VERDICT_REFUSED;
}

const char *handshake_resume_adopt(struct handshake *h) {
  const struct ticket_state *s = h->resume.state;
  time_t now = time(NULL);
  h->verdict = VERDICT_REFUSED;
  if (!h->resume.on || !s)
    return "a session was resumed that nobody offered";
  h->peer = s->peer;
  if (now < s->from || now >= s->until)
    return "the peer's certificate expired during the handshake";
  h->verdict = handshake_policy(h, &h->peer, h->reason, sizeof h->reason);
  return h->verdict == VERDICT_REFUSED ? "the peer is not allowed any more" : NULL;
}

/* ---- client -----------------------------------------------------------------------------------------------------
 */

static bool near(int fd) {
  struct tcp_info info;
  socklen_t len = sizeof info;
  memset(&info, 0, sizeof info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_rtt <= NEAR_RTT_US;
}

static unsigned wanted(void *arg) {
  const struct handshake *h = arg;
  return h->resume.want;
}

static SSL_SESSION *offer(void *arg, const EVP_MD *md, const unsigned char **ticket, size_t *len) {
  struct handshake *h = arg;
  const struct ticket_state *s = h->resume.state;
  if (!s || (md && EVP_MD_get_size(md) != (int)s->psk_len))
    return NULL;
  SSL_SESSION *session = identity_context_session(h->ssl, s->cipher, s->psk, s->psk_len);
  if (session) {
    h->resume.offered = true;
    *ticket = h->resume.ticket;
    *len = h->resume.ticket_len;
  }
  return session;
}

/* Takes a ticket that would do. Those of a peer that would not be let in any more are forgotten. */
static void find_ticket(struct handshake *h) {
  struct handshake_resume *r = &h->resume;
  uint8_t ticket[TICKET_MAX];
  struct ticket_state *s = calloc(1, sizeof *s);
  if (!s)
    return;
  r->state = s;
  r->ticket_len = purse_take(h->request.identity, &r->place, time(NULL), ticket, s, &r->want);
  if (r->ticket_len && stands(h, s) && (r->ticket = malloc(r->ticket_len))) {
    memcpy(r->ticket, ticket, r->ticket_len);
    return;
  }
  if (r->ticket_len)
    purse_drop(h->request.identity, &r->place);
  OPENSSL_cleanse(s, sizeof *s);
  free(s);
  r->state = NULL;
}

static uint32_t svid_number(const struct handshake *h) {
  uint32_t i = 0;
  while (identity_svid_at(h->request.identity, i) && identity_svid_at(h->request.identity, i) != h->request.svid)
    i++;
  return i;
}

static void begin_client(struct handshake *h) {
  struct handshake_resume *r = &h->resume;
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  char name[256];
  handshake_server_name(h, name);
  if (getpeername(h->request.fd, (struct sockaddr *)&peer, &len) != 0 ||
      ticket_place_make(&r->place, (struct sockaddr *)&peer, h->request.rule, svid_number(h), name) != 0) {
    r->on = false;
    return;
  }
  find_ticket(h);
  if (!near(h->request.fd))
    r->want = 0;
  h->watch.tickets = wanted;
  h->watch.offer = offer;
}

/* ---- server -----------------------------------------------------------------------------------------------------
 */

static unsigned promised(void *arg) {
  const struct handshake *h = arg;
  return SSL_session_reused(h->ssl) ? 0 : h->resume.said;
}

/* A ClientHello has room for a thousand tickets; an honest one has one in it, or two with a retry. */
#define TRIES_MAX 4u

static SSL_SESSION *redeem(void *arg, const unsigned char *ticket, size_t len) {
  struct handshake *h = arg;
  struct handshake_resume *r = &h->resume;
  if (r->tries++ >= TRIES_MAX)
    return NULL;
  if (!r->state && !(r->state = calloc(1, sizeof *r->state)))
    return NULL;
  struct ticket_state *s = r->state;
  if (ticket_open(h->request.identity, svid_number(h), ticket, len, s) != 0 || !stands(h, s)) {
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
    r->state = NULL;
    return NULL;
  }
  return identity_context_session(h->ssl, s->cipher, s->psk, s->psk_len);
}

/* ---- both -------------------------------------------------------------------------------------------------------
 */

static void heard(void *arg, unsigned count) {
  struct handshake *h = arg;
  h->resume.said = count < TICKET_BATCH_MAX ? count : TICKET_BATCH_MAX;
}

void handshake_resume_begin(struct handshake *h) {
  const struct policy_rule *rule = policy_rule_at(h->request.policy, h->request.rule);
  h->resume.on = rule && rule->resumption;
  if (!h->resume.on)
    return;
  h->watch.tickets_heard = heard;
  if (h->request.role == ARENA_CLIENT)
    begin_client(h);
  else {
    h->watch.tickets = promised;
    h->watch.redeem = redeem;
  }
}

/* For how long a session of this handshake may be resumed. false: not at all. */
static bool lifetime(const struct handshake *h, struct ticket_state *s) {
  time_t now = time(NULL), own = h->request.svid->not_after;
  s->from = h->span.from;
  s->until = h->span.until < own ? h->span.until : own;
  if (s->until > now + TICKET_LIFE_S)
    s->until = now + TICKET_LIFE_S;
  return s->until > now;
}

bool handshake_resume_state(const struct handshake *h, uint16_t cipher, unsigned n, struct ticket_state *s,
                            uint8_t *psks) {
  static const char label[] = "EXPERIMENTAL svidwrap resumption"; /* RFC 5705 section 4 */
  size_t each = (size_t)EVP_MD_get_size(SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(h->ssl)));
  memset(s, 0, sizeof *s);
  if (each == 0 || each > TICKET_PSK_MAX || !lifetime(h, s))
    return false;
  s->cipher = cipher;
  s->svid = svid_number(h);
  s->peer = h->peer;
  s->psk_len = (uint8_t)each;
  return SSL_export_keying_material(h->ssl, psks, n * each, label, sizeof label - 1, NULL, 0, 0) == 1;
}

void handshake_resume_failed(struct handshake *h) {
  if (h->resume.offered)
    purse_drop(h->request.identity, &h->resume.place);
}

void handshake_resume_end(struct handshake *h) {
  struct handshake_resume *r = &h->resume;
  if (r->state)
    OPENSSL_cleanse(r->state, sizeof *r->state);
  free(r->state);
  free(r->ticket);
  r->state = NULL;
  r->ticket = NULL;
}
