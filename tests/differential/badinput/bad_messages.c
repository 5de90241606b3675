/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What do message headers that point nowhere answer?") {
  int s, c;
  char b[100], control[64];
  struct iovec v = {b, 10};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1}, *volatile null = NULL;
  pair(&s, &c);
  CALL(sendmsg(c, nowhere(), 0));
  CALL(sendmsg(c, null, 0));
  CALL(recvmsg(s, nowhere(), MSG_DONTWAIT));
  m.msg_iov = nowhere();
  CALL(sendmsg(c, &m, 0));
  CALL(recvmsg(s, &m, MSG_DONTWAIT));
  m.msg_iov = &v;
  m.msg_name = nowhere();
  m.msg_namelen = 16;
  CALL(sendmsg(c, &m, 0));
  m.msg_namelen = (socklen_t)-1;
  CALL(sendmsg(c, &m, 0));
  CALL(recvmsg(s, &m, MSG_DONTWAIT));
  m.msg_namelen = 1000;
  m.msg_name = b;
  CALL(sendmsg(c, &m, 0));
  m.msg_name = NULL;
  m.msg_control = nowhere();
  m.msg_controllen = 32;
  CALL(sendmsg(c, &m, 0));
  m.msg_controllen = (size_t)1 << 33;
  CALL(sendmsg(c, &m, 0));
  m.msg_control = control;
  memset(control, 0, sizeof control);
  m.msg_controllen = sizeof control;
  CALL(sendmsg(c, &m, 0));
  ((struct cmsghdr *)(void *)control)->cmsg_len = 5000;
  CALL(sendmsg(c, &m, 0));
  m.msg_controllen = 4;
  CALL(sendmsg(c, &m, 0));
  wait_mask(s, POLLIN, POLLIN);
  nap(50);
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT));
  say_alive(s, c);
}
