/* SPDX-License-Identifier: Apache-2.0 */
/*
 * one.c - one handshake, from a TCP socket to traffic secrets or a reason. It runs on one worker's thread, as events
 * allow; a peer that does not answer costs a timer.
 *
 * It sends no close_notify and reads nothing beyond the handshake: the connection's TLS life goes on elsewhere.
 */
#include "internal.h"
#include "shim/record/record.h"

#include <errno.h>
#include <openssl/err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* ---- the end ------------------------------------------------------------------------------------------- */

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* The one way out. Everything that could still act on the socket is gone before the owner hears of it. */
static void finish(struct handshake *h, struct handshake_result *result) {
  if (h->started) {
    event_del(&h->readiness);
    event_del(&h->deadline);
  }
  SSL_free(h->ssl);
  h->ssl = NULL;
  handshake_resume_end(h);
  handshake_io_free(&h->io);
  handshake_pool_forget(h);
  result->duration_us = h->begun_us ? now_us() - h->begun_us + 1 : 0;
  result->peer = h->peer;
  result->self = h->request.svid->id;
  h->request.done(h->request.arg, h->request.fd, result);
  OPENSSL_cleanse(result, sizeof *result);
  handshake_one_free(h);
}

void handshake_one_free(struct handshake *h) {
  identity_unref(h->request.identity);
  policy_unref(h->request.policy);
  OPENSSL_cleanse(h, sizeof *h);
  free(h);
}

static void finish_as(struct handshake *h, enum handshake_outcome outcome, const char *reason) {
  struct handshake_result result;
  memset(&result, 0, sizeof result);
  result.outcome = outcome;
  snprintf(result.reason, sizeof result.reason, "%s", reason);
  finish(h, &result);
}

/* We had refused the peer already: that is the outcome, however the rest of the handshake went. */
static void finish_refused(struct handshake *h) { finish_as(h, h->refusal, h->reason); }

static void fail(struct handshake *h, int ssl_error) {
  char reason[256];
  enum handshake_outcome outcome = handshake_failure(h, ssl_error, reason, sizeof reason);
  handshake_resume_failed(h);
  /* "Does not hold the key" is the one finding that a refusal must not hide: the name we refused is not the peer's.
   */
  if (outcome == HANDSHAKE_UNVERIFIED)
    memset(&h->peer, 0, sizeof h->peer);
  if (h->verdict == VERDICT_REFUSED && outcome != HANDSHAKE_UNVERIFIED)
    finish_refused(h);
  else
    finish_as(h, outcome, reason);
}

/* ---- success -------------------------------------------------------------------------------------------- */

static const char *secrets_out(struct handshake *h, struct handshake_result *result) {
  const struct handshake_secrets *s = &h->secrets;
  size_t n = record_hash_len(result->cipher);
  bool server = h->request.role == ARENA_SERVER;
  if (n == 0 || s->client_len != n || s->server_len != n)
    return "no traffic secrets from OpenSSL";
  memcpy(result->rx_secret, server ? s->client : s->server, n);
  memcpy(result->tx_secret, server ? s->server : s->client, n);
  return NULL;
}

/* The first happens when a peer takes its time; the others cannot happen. Each would be a connection that is not what
 * it seems. */
static const char *unsound(const struct handshake *h) {
  if (h->request.svid->not_after <= time(NULL))
    return "our SVID expired during the handshake";
  if (h->verdict != VERDICT_ALLOWED && h->verdict != VERDICT_WOULD_DENY)
    return "the peer was not judged";
  if (SSL_version(h->ssl) != TLS1_3_VERSION)
    return "negotiated something else than TLS 1.3";
  if (SSL_has_pending(h->ssl))
    return "bytes beyond the handshake were read";
  return NULL;
}

/* The client's last flight is answered by no bytes of ours. Were its acknowledgement delayed (40 ms), Nagle's
 * algorithm would hold back the client's first request for as long. */
static void acknowledge_now(int fd) {
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static uint16_t cipher_of(const struct handshake *h) {
  const SSL_CIPHER *cipher = SSL_get_current_cipher(h->ssl);
  return cipher ? SSL_CIPHER_get_protocol_id(cipher) : 0;
}

static void conclude(struct handshake *h) {
  struct handshake_result result;
  memset(&result, 0, sizeof result);
  result.cipher = cipher_of(h);
  const char *why = unsound(h);
  if (!why)
    why = secrets_out(h, &result);
  if (why) {
    OPENSSL_cleanse(&result, sizeof result);
    finish_as(h, HANDSHAKE_INTERNAL, why);
    return;
  }
  if (h->request.role == ARENA_SERVER)
    acknowledge_now(h->request.fd);
  result.outcome = HANDSHAKE_OK;
  result.rx_records = h->rx_records;
  result.tx_records = h->tx_records;
  result.resumed = SSL_session_reused(h->ssl);
  result.would_deny = h->verdict == VERDICT_WOULD_DENY;
  if (result.would_deny)
    memcpy(result.reason, h->reason, sizeof result.reason);
  finish(h, &result);
}

/* ---- on the way ------------------------------------------------------------------------------------------- */

/* How long a client waits at most for the tickets that the server said it would send. A server that is busy has not
 * looked at our Finished either, and would not answer the program sooner. */
#define TICKET_WAIT_MS 1000

static void on_ready(evutil_socket_t fd, short what, void *arg);
static void step(struct handshake *h);

static void wait_for(struct handshake *h, short what) {
  struct event_base *base = event_get_base(&h->readiness);
  event_assign(&h->readiness, base, h->request.fd, what, on_ready, h);
  if (event_add(&h->readiness, NULL) != 0)
    finish_as(h, HANDSHAKE_INTERNAL, "the socket cannot be waited for");
}

static void take_secret(void *arg, const char *line) {
  struct handshake *h = arg;
  handshake_secrets_line(&h->secrets, line);
}

static bool make_ssl(struct handshake *h) {
  bool server = h->request.role == ARENA_SERVER;
  h->watch = (struct identity_watch){.arg = h, .peer = handshake_judge, .secret = take_secret};
  h->ssl = SSL_new(server ? h->request.svid->server : h->request.svid->client);
  if (!h->ssl || identity_context_watch(h->ssl, &h->watch) != 0)
    return false;
  BIO *bio = handshake_io_bio(&h->io);
  if (!bio)
    return false;
  SSL_set_bio(h->ssl, bio, bio);
  handshake_resume_begin(h);
  if (server)
    SSL_set_accept_state(h->ssl);
  else
    SSL_set_connect_state(h->ssl);
  return server || handshake_hello(h);
}

/* Tickets are worth a wait, not an error: whatever goes wrong with them, the handshake is done. */
static void collect(struct handshake *h) {
  const struct timeval soon = {.tv_usec = 1000};
  bool partial;
  int rc = handshake_resume_collect(h, cipher_of(h), &partial);
  if (rc == 0 && !partial) {
    wait_for(h, EV_READ);
  } else if (rc == 0) { /* the rest is on its way, and the socket stays readable */
    event_assign(&h->readiness, event_get_base(&h->readiness), -1, 0, on_ready, h);
    if (event_add(&h->readiness, &soon) != 0)
      conclude(h);
  } else {
    h->rx_records = rc == 1;
    conclude(h);
  }
}

/* No longer than half of what is left of the handshake's own time: the program waits for us. */
static struct timeval patience(const struct handshake *h) {
  struct timeval end, now, left;
  long ms = TICKET_WAIT_MS;
  if (event_pending(&h->deadline, EV_TIMEOUT, &end)) {
    evutil_gettimeofday(&now, NULL);
    evutil_timersub(&end, &now, &left);
    long half = (long)left.tv_sec * 500 + (long)left.tv_usec / 2000;
    ms = half < ms ? half : ms;
  }
  return (struct timeval){.tv_sec = ms > 0 ? ms / 1000 : 0, .tv_usec = ms > 0 ? ms % 1000 * 1000 : 0};
}

static void sent(struct handshake *h) {
  if (h->request.role != ARENA_CLIENT || SSL_session_reused(h->ssl) || !handshake_resume_expects(h)) {
    conclude(h);
    return;
  }
  struct timeval wait = patience(h);
  h->resume.collecting = true;
  evtimer_add(&h->deadline, &wait);
  collect(h);
}

/* Finished as far as OpenSSL is concerned; our last flight may still wait for room in the socket. */
static void drain(struct handshake *h) {
  switch (handshake_io_flush(&h->io)) {
  case 1:
    sent(h);
    break;
  case 0:
    wait_for(h, EV_WRITE);
    break;
  default:
    fail(h, SSL_ERROR_SYSCALL);
  }
}

/* Both have said Finished: the peer is who it says, and what it may was decided. */
static void finished(struct handshake *h) {
  bool resumed = SSL_session_reused(h->ssl);
  const char *why = resumed ? handshake_resume_adopt(h) : NULL;
  if (why)
    finish_as(h, HANDSHAKE_INTERNAL, why);
  else if (h->verdict == VERDICT_REFUSED) {
    handshake_alert_send(h, cipher_of(h));
    finish_refused(h);
  } else {
    if (h->request.role == ARENA_SERVER && !resumed)
      h->tx_records = handshake_resume_give(h, cipher_of(h));
    h->finished = true;
    drain(h);
  }
}

static void step(struct handshake *h) {
  ERR_clear_error();
  if (h->finished) {
    drain(h);
    return;
  }
  if (!h->ssl && !make_ssl(h)) {
    ERR_clear_error();
    finish_as(h, HANDSHAKE_INTERNAL, "out of memory");
    return;
  }
  int rc = SSL_do_handshake(h->ssl);
  int error = SSL_get_error(h->ssl, rc);
  if (rc == 1)
    finished(h);
  else if (error == SSL_ERROR_WANT_READ)
    wait_for(h, EV_READ);
  else if (error == SSL_ERROR_WANT_WRITE)
    wait_for(h, EV_WRITE);
  else
    fail(h, error);
}

/* Has connect() come to an end? 1 connected, 0 not yet, -1 failed. SO_ERROR is not read: reading it clears it, and
 * it is the program that has to learn of it. */
static int dialed(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  if (poll(&p, 1, 0) < 0)
    return 0;
  if (p.revents & (POLLERR | POLLHUP | POLLNVAL))
    return -1;
  return (p.revents & POLLOUT) && getpeername(fd, (struct sockaddr *)&peer, &len) == 0 ? 1 : 0;
}

static void on_ready(evutil_socket_t fd, short what, void *arg) {
  struct handshake *h = arg;
  (void)what;
  if (h->dialing) {
    int state = dialed(fd);
    if (state < 0) {
      finish_as(h, HANDSHAKE_TCP_FAILED, "TCP connect failed");
      return;
    }
    if (state == 0) {
      wait_for(h, EV_WRITE);
      return;
    }
    h->dialing = false;
    h->begun_us = now_us();
  }
  if (h->resume.collecting)
    collect(h);
  else
    step(h);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
  struct handshake *h = arg;
  char reason[128];
  const char *state = h->dialing            ? "TCP did not connect"
                      : h->io.received == 0 ? "the peer sent nothing"
                                            : "the peer did not finish the handshake";
  (void)fd;
  (void)what;
  if (h->resume.collecting) {
    conclude(h);
    return;
  }
  if (h->verdict == VERDICT_REFUSED) {
    finish_refused(h);
    return;
  }
  snprintf(reason, sizeof reason, "%s within %u ms", state, h->request.timeout_ms);
  finish_as(h, HANDSHAKE_TIMEOUT, reason);
}

#define TIMEOUT_DEFAULT_MS 10000u

void handshake_one_begin(struct handshake *h, struct event_base *base) {
  if (h->request.timeout_ms == 0) /* no handshake is without a deadline */
    h->request.timeout_ms = TIMEOUT_DEFAULT_MS;
  struct timeval left = {.tv_sec = h->request.timeout_ms / 1000u,
                         .tv_usec = (suseconds_t)(h->request.timeout_ms % 1000u) * 1000};
  h->io.fd = h->request.fd;
  h->io.role = h->request.role;
  h->dialing = h->request.connecting;
  h->begun_us = h->dialing ? 0 : now_us();
  if (event_assign(&h->readiness, base, h->request.fd, EV_READ, on_ready, h) != 0 ||
      evtimer_assign(&h->deadline, base, on_deadline, h) != 0 || evtimer_add(&h->deadline, &left) != 0) {
    finish_as(h, HANDSHAKE_INTERNAL, "out of memory");
    return;
  }
  h->started = true;
  if (h->dialing)
    wait_for(h, EV_WRITE);
  else if (h->request.role == ARENA_SERVER)
    wait_for(h, EV_READ);
  else
    step(h);
}

void handshake_one_cancel(struct handshake *h) { finish_as(h, HANDSHAKE_CANCELLED, "cancelled"); }
