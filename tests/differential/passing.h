/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passing.h - a descriptor goes to another process, or to ourselves.
 */
#ifndef DIFFERENTIAL_PASSING_H
#define DIFFERENTIAL_PASSING_H

#include <string.h>
#include <sys/socket.h>

/* With one byte of data, over a unix socket. What sendmsg() answers. */
static inline ssize_t send_fd(int u, int fd) {
  char b = 'x', control[CMSG_SPACE(sizeof(int))] = "";
  struct iovec v = {&b, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET;
  h->cmsg_type = SCM_RIGHTS;
  h->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(h), &fd, sizeof fd);
  return sendmsg(u, &m, 0);
}

#endif
