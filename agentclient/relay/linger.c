/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linger.c - a connection whose program has closed it while the peer had no room for all that was written. The kernel
 * goes on sending, as after any close(), and here the socket is held meanwhile: the peer may end its own side, and
 * the close_notify by which it says so would be answered by a reset if nobody held the socket, and cost it the rest.
 *
 * It ends when all is acknowledged, or when the peer has said its last (a FIN or a reset does no harm from then on),
 * or when it sends data, which nobody reads: then by a reset, as over TCP. There are so many of them and no more, and
 * one whose peer takes nothing for minutes is let go: it is then what it would have been without us, the kernel's.
 */
#include "internal.h"

#include "agentclient/daemon/clock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes that the peer has not acknowledged, or that were never sent. */
static int outstanding(const struct passage *p) {
  int bytes = 0;
  return ioctl(p->tcp.fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

/* Has the peer said something that ends it? What is left unread in the kernel makes close() a reset. */
static bool peer_is_through(struct passage *p) {
  uint8_t byte;
  struct iovec iov = {&byte, 1};
  ssize_t n = conn_readv(&p->conn, p->tcp.fd, &iov, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0)
    return errno != EAGAIN && errno != EINTR && errno != ENOMEM && errno != ENOBUFS;
  return n > 0 || p->slot->r_eof == ARENA_EOF_END; /* else the program's own shutdown(SHUT_RD) */
}

bool linger_begin(struct lingering *l, struct passage *p) {
  if (p->broken || p->left_unread || !p->outward_shut || p->inward.len > 0)
    return false;
  p->linger_left = outstanding(p);
  if (p->linger_left == 0 || peer_is_through(p))
    return false;
  if (l->count >= LINGER_MAX) {
    l->refused++;
    return false;
  }
  p->linger_until_ms = clock_ms() + LINGER_MS;
  p->lingers = true;
  TAILQ_INSERT_TAIL(&l->all, p, linger_link);
  l->count++;
  return true;
}

bool linger_over(struct passage *p) {
  int left = outstanding(p);
  int64_t now = clock_ms();
  if (left != p->linger_left)
    p->linger_until_ms = now + LINGER_MS;
  p->linger_left = left;
  return left == 0 || now >= p->linger_until_ms || peer_is_through(p);
}

void linger_end(struct lingering *l, struct passage *p) {
  if (!p->lingers)
    return;
  TAILQ_REMOVE(&l->all, p, linger_link);
  l->count--;
  p->lingers = false;
}
