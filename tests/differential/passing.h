/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passing.h - a descriptor goes to another process, or to ourselves.
 */
#ifndef DIFFERENTIAL_PASSING_H
#define DIFFERENTIAL_PASSING_H

#include <string.h>
#include <sys/socket.h>

#define PASSED_MAX 2

/* With one byte of data, over a unix socket; n of them, at most PASSED_MAX. What sendmsg() answers. */
static inline ssize_t send_fds(int u, const int *fds, size_t n) {
  char b = 'x', control[CMSG_SPACE(PASSED_MAX * sizeof(int))] = "";
  struct iovec v = {&b, 1};
  struct msghdr m = {
      .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET;
  h->cmsg_type = SCM_RIGHTS;
  h->cmsg_len = CMSG_LEN(n * sizeof(int));
  memcpy(CMSG_DATA(h), fds, n * sizeof(int));
  return sendmsg(u, &m, 0);
}
static inline ssize_t send_fd(int u, int fd) { return send_fds(u, &fd, 1); }

/* The other end of it: what recvmsg() answers, and in *fd the descriptor, or -1. */
static inline ssize_t receive_fd(int u, int *fd, int flags) {
  char b, control[CMSG_SPACE(sizeof(int))] = "";
  struct iovec v = {&b, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(u, &m, flags);
  *fd = -1;
  if (n == 1 && CMSG_FIRSTHDR(&m))
    memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof *fd);
  return n;
}

#endif
