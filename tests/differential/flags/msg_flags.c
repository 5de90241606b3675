/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("What do the other flags of send() and recv() do?") {
  int s, c;
  char b[1000], control[200];
  struct iovec v = {b, 100};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  pair(&s, &c);
  memset(b, 'f', sizeof b);
  CALL(send(c, b, 10, MSG_MORE));
  CALL(send(c, b, 10, MSG_EOR));
  CALL(send(c, b, 10, MSG_CONFIRM));
  CALL(send(c, b, 10, MSG_DONTROUTE));
  CALL(send(c, b, 10, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE));
  CALL(send(c, b, 0, 0));
  CALL(send(c, b, 10, 0));
  CALL(recv(s, b, 60, MSG_WAITALL));
  CALL(recvmsg(s, &m, MSG_ERRQUEUE));
  CALL(recv(s, b, 10, MSG_ERRQUEUE | MSG_DONTWAIT));
  CALL(send(c, b, 100, 0));
  wait_mask(s, POLLIN, POLLIN);
  CALL(recvmsg(s, &m, MSG_CMSG_CLOEXEC));
  say("control %zu, flags %x", m.msg_controllen, (unsigned)m.msg_flags);
  CALL(send(c, b, 100, 0));
  wait_mask(s, POLLIN, POLLIN);
  m.msg_controllen = sizeof control;
  v.iov_len = 60;
  CALL(recvmsg(s, &m, MSG_TRUNC));
  say("control %zu, flags %x", m.msg_controllen, (unsigned)m.msg_flags);
  CALL(recv(s, b, 100, MSG_PEEK | MSG_TRUNC));
  CALL(recv(s, b, 100, 0));
}
