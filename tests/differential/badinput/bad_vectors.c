/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What do odd counts and lengths of vectors answer?") {
  int s, c;
  static struct iovec many[1025];
  static char b[4000];
  int volatile minus_one = -1;
  char *volatile top = (char *)-1;
  pair(&s, &c);
  for (int i = 0; i < 1025; i++)
    many[i] = (struct iovec){b + i, 1};
  CALL(writev(c, many, minus_one));
  CALL(writev(c, many, 0));
  CALL(writev(c, many, 1025));
  CALL(writev(c, many, 1024));
  CALL(readv(s, many, minus_one));
  CALL(readv(s, many, 0));
  CALL(readv(s, many, 1025));
  wait_mask(s, POLLIN, POLLIN);
  CALL(readv(s, many, 1024));
  CALL(writev(c, (struct iovec[]){{b, 1}, {b, SIZE_MAX}}, 2));
  CALL(writev(c, (struct iovec[]){{b, 1}, {b, SSIZE_MAX}}, 2));
  CALL(writev(c, (struct iovec[]){{b, (size_t)SSIZE_MAX + 1}, {b, 1}}, 2));
  CALL(writev(c, (struct iovec[]){{b, 1}, {top, 0}}, 2));
  CALL(readv(s, (struct iovec[]){{b, 1}, {b, SIZE_MAX}}, 2));
  CALL(readv(s, (struct iovec[]){{b, 1}, {top, 10}}, 2));
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT));
  struct msghdr m = {.msg_iov = many, .msg_iovlen = 1025};
  CALL(sendmsg(c, &m, 0));
  CALL(recvmsg(s, &m, MSG_DONTWAIT));
  m.msg_iovlen = (size_t)-1;
  CALL(sendmsg(c, &m, 0));
  m.msg_iovlen = 0;
  CALL(sendmsg(c, &m, 0));
  CALL(recvmsg(s, &m, MSG_DONTWAIT));
  say_alive(s, c);
}
