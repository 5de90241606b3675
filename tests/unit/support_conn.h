/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_conn.h - a rig for the tests of the record engine: one end is conn_*() on a real loopback TCP
 * socket with its slot in a shared memfd, the other end is OpenSSL, or a hand that seals what it likes.
 */
#ifndef TESTS_SUPPORT_CONN_H
#define TESTS_SUPPORT_CONN_H

#include "shim/conn.h"
#include "shim/record/record.h"
#include "support_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct rig {
  struct tls_pair pair;
  struct arena_slot *slot;
  struct conn c;
  int fd, peer_fd;        /* both ends of the TCP connection */
  SSL *peer;              /* over memory BIOs until rig_peer_socket() */
  struct arena_side hand; /* the peer's sending side, for hand-made records (instead of SSL_write) */
  struct record_ctx *hand_ctx;
  struct arena_side ear; /* and its receiving side */
  struct record_ctx *ear_ctx;
};

struct rig_options {
  uint16_t cipher; /* 0: AES-128-GCM */
  enum arena_role role;
  int tickets;
  uint32_t flags;          /* of the slot */
  uint64_t rx_seq, tx_seq; /* records that the daemon has read or sent */
  int sndbuf, rcvbuf, mss;
};

void rig_open(struct rig *r, struct rig_options o);
void rig_close(struct rig *r);
/* Two connected TCP sockets. */
void rig_tcp(int *fd, int *peer_fd, int sndbuf, int rcvbuf, int mss);
/* From here the SSL object reads and writes peer_fd itself. */
void rig_peer_socket(struct rig *r);

/* The peer: what OpenSSL has written, as wire bytes (returned length); all of it sent; data sealed and sent;
 * n bytes received and opened. */
size_t rig_wire(struct rig *r, uint8_t *out, size_t max);
void rig_send(struct rig *r, const void *p, size_t n);
void rig_peer_write(struct rig *r, const void *p, size_t n);
void rig_peer_read(struct rig *r, void *p, size_t n);
/* A hand-made record: any type, any content, padding zeros. Length; out may be sent in pieces. */
size_t rig_seal(struct rig *r, uint8_t type, const void *p, size_t n, uint8_t *out);
void rig_send_record(struct rig *r, uint8_t type, const void *p, size_t n);
/* The next record that our end sent, opened by hand: its type, content length in *n. -1: end of stream. */
int rig_hear(struct rig *r, uint8_t *out, size_t *n);

ssize_t rig_read(struct rig *r, void *p, size_t n, int flags);
ssize_t rig_write(struct rig *r, const void *p, size_t n, int flags);

short rig_poll(int fd, short events, int timeout_ms);
/* Readable within a moment (loopback delivers at once, but from another context). */
bool rig_readable(struct rig *r);
bool rig_quiet(struct rig *r); /* not readable, also after a moment */
void rig_random(void *p, size_t n);

#define assert_fails(call, err)                                                                                      \
  do {                                                                                                               \
    errno = 0;                                                                                                       \
    assert_int_equal((call), -1);                                                                                    \
    assert_int_equal(errno, err);                                                                                    \
  } while (0)

#endif
