/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passage.c - one relayed connection: from the network to the program and back, each way only as fast as the other
 * end takes it. It never gives the program a byte that did not authenticate, and never sends one that was not sealed.
 */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static bool passing(int err) { return err == EAGAIN || err == EINTR || err == ENOBUFS || err == ENOMEM; }

/* Keeps what the other side did not take. false: out of memory. */
static bool keep_rest(struct pipe_rest *r, const uint8_t *p, size_t n) {
  r->data = malloc(n);
  if (!r->data)
    return false;
  memcpy(r->data, p, n);
  r->at = 0;
  r->len = n;
  return true;
}

static void drop_rest(struct pipe_rest *r) {
  if (r->data)
    explicit_bzero(r->data, r->at + r->len);
  free(r->data);
  memset(r, 0, sizeof *r);
}

static ssize_t to_program(struct passage *p, const uint8_t *data, size_t n) {
  return send(p->pair.fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t to_network(struct passage *p, const uint8_t *data, size_t n) {
  struct iovec iov = {(void *)(uintptr_t)data, n};
  return conn_writev(&p->conn, p->tcp.fd, &iov, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

typedef ssize_t (*give_fn)(struct passage *p, const uint8_t *data, size_t n);

/* Is the program's end closed, and not only shut down? Its hangup may not have been told yet. */
static bool hung_up(int fd) {
  struct pollfd f = {.fd = fd};
  return poll(&f, 1, 0) == 1 && (f.revents & POLLHUP);
}

/* One end takes nothing any more. Where the program has closed its own, these are bytes that it never read. */
static void refused(struct passage *p, give_fn give) {
  p->dead = p->broken = true;
  if (give == to_program && hung_up(p->pair.fd))
    p->gone = p->left_unread = true;
}

/* Gives what waits. true: nothing waits any more. */
static bool give_rest(struct passage *p, struct pipe_rest *r, give_fn give) {
  while (r->len > 0) {
    ssize_t n = give(p, r->data + r->at, r->len);
    if (n < 0) {
      if (!passing(errno))
        refused(p, give);
      return false;
    }
    r->at += (size_t)n;
    r->len -= (size_t)n;
  }
  drop_rest(r);
  return true;
}

/* Gives n bytes and keeps what is not taken. true: all were. */
static bool give_now(struct passage *p, struct pipe_rest *r, give_fn give, const uint8_t *data, size_t n) {
  size_t done = 0;
  while (done < n) {
    ssize_t k = give(p, data + done, n - done);
    if (k < 0 && !passing(errno))
      refused(p, give);
    if (k < 0)
      break;
    done += (size_t)k;
  }
  if (done == n)
    return true;
  if (!p->dead && !keep_rest(r, data + done, n - done))
    p->dead = p->broken = true;
  return false;
}

static void inward(struct passage *p, uint8_t *scratch) {
  if (p->gone || !give_rest(p, &p->inward, to_program))
    return;
  for (int turn = 0; turn < PIPE_TURNS && !p->inward_ended && !p->dead; turn++) {
    struct iovec iov = {scratch, PIPE_BYTES};
    ssize_t n = conn_readv(&p->conn, p->tcp.fd, &iov, 1, MSG_DONTWAIT);
    if (n < 0) {
      if (!passing(errno))
        p->dead = p->broken = true;
      return;
    }
    if (n == 0)
      p->inward_ended = true;
    else if (!give_now(p, &p->inward, to_program, scratch, (size_t)n))
      return;
  }
  if (p->inward_ended && !p->inward_shut && !p->dead) {
    shutdown(p->pair.fd, SHUT_WR);
    p->inward_shut = true;
  }
}

static void outward(struct passage *p, uint8_t *scratch) {
  if (!give_rest(p, &p->outward, to_network))
    return;
  for (int turn = 0; turn < PIPE_TURNS && !p->outward_ended && !p->dead; turn++) {
    ssize_t n = recv(p->pair.fd, scratch, PIPE_RECORDS * RECORD_PLAIN_MAX, MSG_DONTWAIT);
    if (n < 0) {
      if (passing(errno))
        return;
      p->outward_ended = p->gone = p->left_unread = true; /* ECONNRESET: closed with bytes in it, never read */
      return;
    }
    if (n == 0) {
      p->outward_ended = true;
      p->gone = p->gone || hung_up(p->pair.fd);
    } else if (!give_now(p, &p->outward, to_network, scratch, (size_t)n)) {
      return;
    }
  }
  if (p->outward_ended && !p->outward_shut && !p->dead && p->slot->w_len == 0) {
    if (p->gone)
      p->slot->r_shut = 1; /* nobody reads any more: close_notify says so */
    if (!p->fin_last || !p->slot->w_shut || !p->gone)
      conn_shutdown(&p->conn, p->tcp.fd, SHUT_WR);
    p->outward_shut = true;
  }
}

void passage_pump(struct passage *p, uint8_t *scratch, uint32_t pair_events) {
  if (p->slot->w_len > 0 && conn_flush(&p->conn, p->tcp.fd) < 0)
    p->dead = p->broken = true;
  if (pair_events & (EPOLLHUP | EPOLLERR))
    p->gone = true;
  if (!p->dead)
    outward(p, scratch);
  if (!p->dead)
    inward(p, scratch);
  /* Both directions are over, or the program is gone and all that it said is on its way. */
  bool said = p->outward_shut || (p->left_unread && p->outward.len == 0);
  if (said && (p->gone || p->inward_shut) && p->slot->w_len == 0)
    p->dead = true;
}

uint32_t passage_tcp_events(const struct passage *p) {
  uint32_t events = 0;
  if (!p->inward_ended && !p->gone && p->inward.len == 0)
    events |= EPOLLIN;
  if (p->outward.len > 0 || p->slot->w_len > 0)
    events |= EPOLLOUT;
  return events;
}

uint32_t passage_pair_events(const struct passage *p) {
  uint32_t events = 0;
  if (!p->outward_ended && p->outward.len == 0)
    events |= EPOLLIN;
  if (p->inward.len > 0)
    events |= EPOLLOUT;
  return events;
}

void passage_free(struct passage *p) {
  if (p->broken && !p->gone)
    reset_mark(p->pid, p->cookie);
  /* Where the program did not read to the end the peer is reset, as by TCP: closing with unread bytes does that by
   * itself, and where they were read here it is asked for. */
  const struct linger hard = {1, 0};
  if (p->left_unread)
    setsockopt(p->tcp.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  conn_close(&p->conn, p->left_unread ? -1 : p->tcp.fd);
  conn_free(&p->conn);
  close(p->tcp.fd);
  if (p->pair.fd >= 0)
    close(p->pair.fd);
  drop_rest(&p->inward);
  drop_rest(&p->outward);
  relay_slot_free(p->slot);
  free(p);
}
