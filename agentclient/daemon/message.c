/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.c - sendmsg and recvmsg with SCM_RIGHTS. Knows the size of things, not their meaning.
 */
#include "message.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SURPLUS 8 /* room for more than is allowed, so that a greedy client is told from a truncated one */

void message_close(int fds[WIRE_FDS_MAX]) {
  for (int i = 0; i < WIRE_FDS_MAX; i++) {
    if (fds[i] >= 0)
      close(fds[i]);
    fds[i] = -1;
  }
}

static int message_take_fds(struct msghdr *m, int fds[WIRE_FDS_MAX]) {
  int count = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      if (count < WIRE_FDS_MAX)
        fds[count] = fd;
      else
        close(fd);
      count++;
    }
  }
  return count;
}

ssize_t message_recv(int sock, void *buf, size_t size, int fds[WIRE_FDS_MAX], int *nfds) {
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int) * SURPLUS)];
  } control;
  struct iovec iov = {buf, size};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  for (int i = 0; i < WIRE_FDS_MAX; i++)
    fds[i] = -1;
  *nfds = 0;
  ssize_t n = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0)
    return -1;
  *nfds = message_take_fds(&m, fds);
  if (n > 0 && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
    return n;
  message_close(fds);
  *nfds = 0;
  if (n == 0)
    return 0;
  errno = EMSGSIZE;
  return -1;
}

int message_passes(int err) {
  return err == EAGAIN || err == ENOBUFS || err == ENOMEM || err == ETOOMANYREFS || err == EINTR;
}

int message_send(int sock, const void *buf, size_t len, const int *fds, int nfds) {
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
  } control;
  struct iovec iov = {(void *)(uintptr_t)buf, len};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
  if (nfds > 0) {
    memset(&control, 0, sizeof control);
    m.msg_control = &control;
    m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
  }
  ssize_t n = sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n == (ssize_t)len)
    return 0;
  if (n >= 0)
    errno = EAGAIN; /* cannot happen for messages this small; the receiver would discard a part */
  return -1;
}

void message_header(struct wire_hdr *h, enum wire_type type, size_t length) {
  *h = (struct wire_hdr){
      .magic = WIRE_MAGIC, .version = WIRE_VERSION, .type = (uint16_t)type, .length = (uint32_t)length};
}
