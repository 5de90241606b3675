/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile peer against the record engine on a real TCP connection, behind the cryptography (the AEAD is a
 * copy). Input is a script: what the peer sends, and how the program reads, writes and peeks in between.
 * Whatever happens: what is read was sent as data, in order; EAGAIN means that the socket is not readable;
 * an end is an end for good.
 */
#define RECORD_FUZZ_AEAD
#include "shim/record/record.c"

#include "shim/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
  if (!ok)
    abort();
}

static void tcp(int *a, int *b) {
  static int listener = -1;
  static struct sockaddr_in sa;
  socklen_t len = sizeof sa;
  int one = 1;
  struct linger hard = {1, 0}; /* no TIME_WAIT by the ten thousand */
  if (listener < 0) {
    sa.sin_family = AF_INET;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(listener, 8) == 0);
    check(getsockname(listener, (struct sockaddr *)&sa, &len) == 0);
  }
  *a = socket(AF_INET, SOCK_STREAM, 0);
  check(connect(*a, (struct sockaddr *)&sa, sizeof sa) == 0);
  *b = accept(listener, NULL, NULL);
  check(*b >= 0);
  setsockopt(*a, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  setsockopt(*b, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  setsockopt(*b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* what was sent is there */
}

struct script {
  const uint8_t *p;
  size_t left;
};

static uint8_t next(struct script *s) {
  if (s->left == 0)
    return 0;
  s->left--;
  return *s->p++;
}

static uint8_t sent[1 << 16]; /* data that the peer put into good records */
static size_t sent_len, read_len;
static int ended; /* an end of stream or an error was reported */
static int raw;   /* bytes were sent that may be, or spoil, any record: what is data is not known any more */

/* A record of n bytes, content counted up, with padding; in full or cut. */
static void send_record(struct script *s, int fd, uint8_t type, size_t n) {
  static uint8_t wire[RECORD_WIRE_MAX + 64];
  size_t pad = next(s) % 8, inner = n + 1 + pad;
  if (sent_len + n > sizeof sent)
    return;
  raw |= type == 0; /* then the last byte of the content is the type */
  wire[0] = 23, wire[1] = 3, wire[2] = 3;
  wire[3] = (uint8_t)((inner + 16) >> 8), wire[4] = (uint8_t)(inner + 16);
  memset(wire + 5, 0, inner + 16);
  for (size_t i = 0; i < n; i++)
    wire[5 + i] = type == RECORD_DATA ? (uint8_t)(sent_len + i) : next(s);
  wire[5 + n] = type;
  if (type == RECORD_DATA) {
    for (size_t i = 0; i < n; i++)
      sent[sent_len + i] = (uint8_t)(sent_len + i);
    sent_len += n;
  }
  send(fd, wire, 5 + inner + 16, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void do_read(struct script *s, struct conn *c, int fd, int flags) {
  static uint8_t buf[40000];
  size_t n = next(s) & 1 ? (size_t)next(s) * 150 : next(s);
  struct iovec iov[2] = {{buf, n / 3}, {buf + n / 3, n - n / 3}};
  ssize_t got = conn_readv(c, fd, iov, 2, MSG_DONTWAIT | flags);
  if (got > 0) {
    check((size_t)got <= n && !ended);
    check(raw || (read_len + (size_t)got <= sent_len && memcmp(buf, sent + read_len, (size_t)got) == 0));
    if (!(flags & MSG_PEEK))
      read_len += (size_t)got;
  } else if (got < 0 && errno == EAGAIN) {
    struct pollfd p = {fd, POLLIN, 0};
    check(!ended);
    /* Quiet; or something came just now, and then a look at it changes that. */
    for (int i = 0; n > 0 && poll(&p, 1, 0) != 0; i++, usleep(10)) {
      check(i < 50);
      if (conn_readv(c, fd, iov, 2, MSG_DONTWAIT | MSG_PEEK) >= 0 || errno != EAGAIN)
        break;
    }
  } else if (n > 0) {
    check(got == 0 || errno == ECONNRESET || errno == EACCES);
    ended = 1;
  }
}

static void step(struct script *s, struct conn *c, int fd, int peer) {
  uint8_t bytes[64], op = next(s);
  switch (op % 8) {
  case 0: { /* anything */
    size_t n = next(s) % sizeof bytes;
    for (size_t i = 0; i < n; i++)
      bytes[i] = next(s);
    raw = 1;
    send(peer, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    break;
  }
  case 1:
    send_record(s, peer, RECORD_DATA, next(s));
    break;
  case 2:
    send_record(s, peer, RECORD_DATA, (size_t)next(s) * 64);
    break;
  case 3:
    send_record(s, peer, (uint8_t)(RECORD_ALERT + (next(s) & 1)), next(s) % 24);
    break;
  case 4:
    do_read(s, c, fd, 0);
    break;
  case 5:
    do_read(s, c, fd, next(s) & 1 ? MSG_PEEK : 0);
    break;
  case 6: {
    struct iovec iov = {sent, (size_t)next(s) * 100};
    conn_writev(c, fd, &iov, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    break;
  }
  default:
    if (next(s) == 0)
      shutdown(peer, SHUT_WR);
    else
      send_record(s, peer, next(s), next(s) % 8);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct arena_slot *slot;
  struct script s = {data, size};
  struct conn c;
  int fd, peer;
  if (!slot)
    slot = mmap(NULL, ARENA_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(slot, 0, ARENA_PAGE);
  slot->magic = ARENA_SLOT_MAGIC;
  slot->cipher = ARENA_AES_128_GCM_SHA256;
  slot->role = next(&s) & 1;
  slot->flags = next(&s) & 1 ? ARENA_TRUNCATION_EOF : 0;
  slot->state = ARENA_READY;
  sent_len = read_len = 0;
  ended = raw = 0;
  tcp(&fd, &peer);
  check(conn_take(&c, slot, 0) == 0);
  for (int i = 0; i < 200 && s.left > 0; i++)
    step(&s, &c, fd, peer);
  conn_close(&c, fd);
  check(atomic_load(&slot->state) == ARENA_RELEASED);
  conn_free(&c);
  close(fd);
  close(peer);
  return 0;
}
