/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_conn.c - see support_conn.h.
 */
#include "support_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

void rig_tcp(int *fd, int *peer_fd, int sndbuf, int rcvbuf, int mss) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);
  if (rcvbuf)
    setsockopt(l, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
  if (mss)
    setsockopt(l, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
  assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(l, 1), 0);
  assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
  *fd = socket(AF_INET, SOCK_STREAM, 0);
  if (sndbuf)
    setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
  assert_int_equal(connect(*fd, (struct sockaddr *)&a, sizeof a), 0);
  *peer_fd = accept(l, NULL, NULL);
  assert_true(*peer_fd >= 0);
  setsockopt(*peer_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  close(l);
}

static void new_slot(struct rig *r) {
  int m = memfd_create("slot", 0);
  assert_int_equal(ftruncate(m, ARENA_STRIDE), 0);
  r->slot = mmap(NULL, ARENA_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
  assert_true(r->slot != MAP_FAILED);
  close(m);
}

void rig_open(struct rig *r, struct rig_options o) {
  memset(r, 0, sizeof *r);
  uint16_t cipher = o.cipher ? o.cipher : ARENA_AES_128_GCM_SHA256;
  tls_pair_open(&r->pair, cipher, o.tickets);
  new_slot(r);
  tls_pair_slot(&r->pair, r->slot, o.role);
  r->slot->flags = o.flags;
  r->slot->rx.seq = o.rx_seq;
  r->slot->tx.seq = o.tx_seq;
  memcpy(r->hand.secret, r->slot->rx.secret, ARENA_SECRET_MAX);
  memcpy(r->ear.secret, r->slot->tx.secret, ARENA_SECRET_MAX);
  assert_int_equal(record_side_init(&r->hand, cipher), 0);
  assert_int_equal(record_side_init(&r->ear, cipher), 0);
  r->hand_ctx = record_ctx_new(&r->hand, cipher, 1);
  r->ear_ctx = record_ctx_new(&r->ear, cipher, 0);
  rig_tcp(&r->fd, &r->peer_fd, o.sndbuf, o.rcvbuf, o.mss);
  assert_int_equal(conn_take(&r->c, r->slot, 7), 0);
  r->peer = tls_pair_peer(&r->pair, o.role);
}

void rig_close(struct rig *r) {
  if (r->c.slot) {
    conn_close(&r->c, r->fd);
    conn_free(&r->c);
  }
  if (r->fd >= 0)
    close(r->fd);
  if (r->peer_fd >= 0)
    close(r->peer_fd);
  record_ctx_free(r->hand_ctx);
  record_ctx_free(r->ear_ctx);
  tls_pair_close(&r->pair);
  munmap(r->slot, ARENA_STRIDE);
}

void rig_peer_socket(struct rig *r) { tls_pair_socket(r->peer, r->peer_fd); }

size_t rig_wire(struct rig *r, uint8_t *out, size_t max) {
  int n = BIO_read(SSL_get_wbio(r->peer), out, (int)max);
  return n > 0 ? (size_t)n : 0;
}

void rig_send(struct rig *r, const void *p, size_t n) {
  const uint8_t *at = p;
  while (n > 0) {
    ssize_t k = send(r->peer_fd, at, n, MSG_NOSIGNAL);
    assert_true(k > 0);
    at += k;
    n -= (size_t)k;
  }
}

static void pump_out(struct rig *r) {
  uint8_t buf[20000];
  size_t n;
  while ((n = rig_wire(r, buf, sizeof buf)) > 0)
    rig_send(r, buf, n);
}

void rig_peer_write(struct rig *r, const void *p, size_t n) {
  if (n > 0)
    assert_int_equal(SSL_write(r->peer, p, (int)n), n);
  pump_out(r);
}

void rig_peer_read(struct rig *r, void *p, size_t n) {
  uint8_t buf[20000], *at = p;
  while (n > 0) {
    int k = SSL_read(r->peer, at, (int)n);
    pump_out(r);
    if (k > 0) {
      at += k;
      n -= (size_t)k;
      continue;
    }
    assert_int_equal(SSL_get_error(r->peer, k), SSL_ERROR_WANT_READ);
    ssize_t m = recv(r->peer_fd, buf, sizeof buf, 0);
    assert_true(m > 0);
    assert_int_equal(BIO_write(SSL_get_rbio(r->peer), buf, (int)m), m);
  }
}

size_t rig_seal(struct rig *r, uint8_t type, const void *p, size_t n, uint8_t *out) {
  struct iovec iov = {(void *)(uintptr_t)p, n};
  int len = record_seal(r->hand_ctx, &r->hand, type, &iov, 1, 0, n, out);
  assert_int_equal(len, n + RECORD_OVERHEAD);
  return (size_t)len;
}

void rig_send_record(struct rig *r, uint8_t type, const void *p, size_t n) {
  uint8_t out[RECORD_PLAIN_MAX + RECORD_OVERHEAD];
  rig_send(r, out, rig_seal(r, type, p, n, out));
}

int rig_hear(struct rig *r, uint8_t *out, size_t *n) {
  uint8_t rec[RECORD_WIRE_MAX], type = 0;
  ssize_t k = recv(r->peer_fd, rec, RECORD_HEADER, MSG_WAITALL);
  if (k <= 0)
    return -1;
  assert_int_equal(k, RECORD_HEADER);
  int len = record_length(rec, RECORD_HEADER);
  assert_true(len > 0);
  size_t rest = (size_t)len - RECORD_HEADER;
  assert_int_equal(recv(r->peer_fd, rec + RECORD_HEADER, rest, MSG_WAITALL), rest);
  int got = record_open(r->ear_ctx, &r->ear, rec, (size_t)len, out, RECORD_PLAIN_MAX, NULL, 0, &type);
  assert_true(got >= 0);
  *n = (size_t)got;
  return type;
}

ssize_t rig_read(struct rig *r, void *p, size_t n, int flags) {
  struct iovec iov = {p, n};
  return conn_readv(&r->c, r->fd, &iov, 1, flags);
}

ssize_t rig_write(struct rig *r, const void *p, size_t n, int flags) {
  struct iovec iov = {(void *)(uintptr_t)p, n};
  return conn_writev(&r->c, r->fd, &iov, 1, flags);
}

short rig_poll(int fd, short events, int timeout_ms) {
  struct pollfd p = {fd, events, 0};
  return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

bool rig_readable(struct rig *r) { return (rig_poll(r->fd, POLLIN, 20000) & POLLIN) != 0; }

bool rig_quiet(struct rig *r) { return (rig_poll(r->fd, POLLIN, 2) & POLLIN) == 0; }

void rig_random(void *p, size_t n) {
  uint8_t *b = p;
  for (size_t i = 0; i < n; i++)
    b[i] = (uint8_t)random();
}
