/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Can the connection be passed to another process, and stays it sealed?") {
  int s, c, u[2];
  char b[100], control[CMSG_SPACE(sizeof(int))];
  pair(&s, &c);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, u) != 0)
    give_up("socketpair");
  struct iovec v = {b, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET;
  h->cmsg_type = SCM_RIGHTS;
  h->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(h), &c, sizeof c);
  b[0] = 'x';
  if (CALL(sendmsg(u[0], &m, 0)) < 0)
    return;
  memset(control, 0, sizeof control);
  CALL(recvmsg(u[1], &m, 0));
  int d = -1;
  if ((h = CMSG_FIRSTHDR(&m)) != NULL)
    memcpy(&d, CMSG_DATA(h), sizeof d);
  close(c);
  fill(b, 100, 0);
  CALL(write(d, b, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
