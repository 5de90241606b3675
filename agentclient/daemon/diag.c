/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.c - NETLINK_SOCK_DIAG, a request at a time. Believes the kernel and nobody else: an answer of another sender
 * is not read.
 */
#include "diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SOCK_DESTROY
#define SOCK_DESTROY 21
#endif
#define ANSWER_S 2

struct request {
  struct nlmsghdr h;
  struct inet_diag_req_v2 r;
};

int diag_id(struct diag_id *id, const struct sockaddr *local, const struct sockaddr *remote, uint64_t cookie) {
  *id = (struct diag_id){.family = (uint8_t)local->sa_family, .cookie = cookie};
  if (local->sa_family != remote->sa_family)
    return -1;
  if (local->sa_family == AF_INET) {
    struct sockaddr_in a, b;
    memcpy(&a, local, sizeof a);
    memcpy(&b, remote, sizeof b);
    id->local_port = a.sin_port;
    id->remote_port = b.sin_port;
    id->local[0] = a.sin_addr.s_addr;
    id->remote[0] = b.sin_addr.s_addr;
    return 0;
  }
  if (local->sa_family != AF_INET6)
    return -1;
  struct sockaddr_in6 a, b;
  memcpy(&a, local, sizeof a);
  memcpy(&b, remote, sizeof b);
  id->local_port = a.sin6_port;
  id->remote_port = b.sin6_port;
  memcpy(id->local, &a.sin6_addr, 16);
  memcpy(id->remote, &b.sin6_addr, 16);
  return 0;
}

static void address(struct sockaddr_in6 *sa, uint8_t family, const uint32_t addr[4], uint16_t port) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = addr[0]};
  *sa = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
  if (family == AF_INET)
    memcpy(sa, &in, sizeof in);
  else
    memcpy(&sa->sin6_addr, addr, 16);
}

void diag_addresses(const struct diag_id *id, struct sockaddr_in6 *local, struct sockaddr_in6 *remote) {
  address(local, id->family, id->local, id->local_port);
  address(remote, id->family, id->remote, id->remote_port);
}

int diag_open(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  struct timeval tv = {.tv_sec = ANSWER_S};
  if (fd >= 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  return fd;
}

static int ask(int fd, struct request *q, uint16_t type, uint16_t flags) {
  static _Atomic uint32_t last;
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  q->h.nlmsg_len = sizeof *q;
  q->h.nlmsg_type = type;
  q->h.nlmsg_flags = NLM_F_REQUEST | flags;
  q->h.nlmsg_seq = ++last;
  return sendto(fd, q, sizeof *q, 0, (struct sockaddr *)&kernel, sizeof kernel) == (ssize_t)sizeof *q ? 0 : -errno;
}

/* One datagram of the kernel's, about this question and no earlier one. Its length, or a negative errno. */
static ssize_t answer(int fd, const struct request *q, void *buf, size_t size) {
  for (;;) {
    struct sockaddr_nl from = {0};
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(fd, buf, size, 0, (struct sockaddr *)&from, &len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno == EAGAIN ? -ETIMEDOUT : -errno;
    const struct nlmsghdr *h = buf;
    if (from.nl_pid == 0 && NLMSG_OK(h, (size_t)n) && h->nlmsg_seq == q->h.nlmsg_seq)
      return n;
  }
}

static void name(struct request *q, const struct diag_id *id) {
  memset(q, 0, sizeof *q);
  q->r.sdiag_family = id->family;
  q->r.sdiag_protocol = IPPROTO_TCP;
  q->r.idiag_states = ~0u;
  q->r.id.idiag_sport = id->local_port;
  q->r.id.idiag_dport = id->remote_port;
  memcpy(q->r.id.idiag_src, id->local, sizeof id->local);
  memcpy(q->r.id.idiag_dst, id->remote, sizeof id->remote);
  q->r.id.idiag_cookie[0] = (uint32_t)id->cookie;
  q->r.id.idiag_cookie[1] = (uint32_t)(id->cookie >> 32);
}

static void read_socket(const struct inet_diag_msg *m, struct diag_socket *out) {
  *out = (struct diag_socket){.inode = m->idiag_inode, .uid = m->idiag_uid};
  out->id.family = m->idiag_family;
  out->id.local_port = m->id.idiag_sport;
  out->id.remote_port = m->id.idiag_dport;
  memcpy(out->id.local, m->id.idiag_src, sizeof out->id.local);
  memcpy(out->id.remote, m->id.idiag_dst, sizeof out->id.remote);
  out->id.cookie = (uint64_t)m->id.idiag_cookie[0] | (uint64_t)m->id.idiag_cookie[1] << 32;
}

/* An error message's errno (negative, 0 for an acknowledgement); 1: it is none. */
static int error_of(const struct nlmsghdr *h) {
  struct nlmsgerr e;
  if (h->nlmsg_type != NLMSG_ERROR)
    return 1;
  if (h->nlmsg_len < NLMSG_LENGTH(sizeof e))
    return -EPROTO;
  memcpy(&e, NLMSG_DATA(h), sizeof e);
  return e.error;
}

int diag_look(int fd, const struct diag_id *id, struct diag_socket *out) {
  struct request q;
  _Alignas(struct nlmsghdr) char buf[4096];
  name(&q, id);
  int rc = ask(fd, &q, SOCK_DIAG_BY_FAMILY, 0);
  ssize_t n = rc == 0 ? answer(fd, &q, buf, sizeof buf) : rc;
  const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
  if (n < 0)
    return (int)n;
  rc = error_of(h);
  if (rc <= 0)
    return rc == -ESTALE ? -ENOENT : rc; /* another socket has the addresses now */
  if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
    return -EPROTO;
  read_socket(NLMSG_DATA(h), out);
  return 0;
}

int diag_destroy(int fd, const struct diag_id *id) {
  struct request q;
  _Alignas(struct nlmsghdr) char buf[4096];
  name(&q, id);
  int rc = ask(fd, &q, SOCK_DESTROY, NLM_F_ACK);
  ssize_t n = rc == 0 ? answer(fd, &q, buf, sizeof buf) : rc;
  const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
  if (n < 0)
    return (int)n;
  rc = error_of(h);
  return rc == -ESTALE ? -ENOENT : rc > 0 ? -EPROTO : rc;
}
