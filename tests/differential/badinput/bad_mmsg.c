/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What do recvmmsg() and sendmmsg() say to bad vectors?") {
  int s, c;
  char b[100];
  struct iovec v[2] = {{b, 10}, {nowhere(), 10}};
  struct mmsghdr m[3] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 1}},
                         {.msg_hdr = {.msg_iov = v + 1, .msg_iovlen = 1}},
                         {.msg_hdr = {.msg_iov = v, .msg_iovlen = 1}}};
  struct timespec odd = {-1, 0};
  pair(&s, &c);
  CALL(sendmmsg(c, m, 3, 0));
  CALL(sendmmsg(c, m + 1, 2, 0));
  CALL(sendmmsg(c, nowhere(), 2, 0));
  CALL(sendmmsg(c, m, 0, 0));
  wait_mask(s, POLLIN, POLLIN);
  CALL(recvmmsg(s, nowhere(), 2, 0, NULL));
  CALL(recvmmsg(s, m, 2, 0, &odd));
  CALL(recvmmsg(s, m, 2, 0, nowhere()));
  CALL(recvmmsg(s, m, 0, 0, NULL));
  CALL(recvmmsg(s, m, 1, 0, NULL));
  CALL(recvmmsg(s, m, 2, MSG_DONTWAIT, NULL));
  say_alive(s, c);
}
