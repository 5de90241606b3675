/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

SCENARIO(
    "MSG_ZEROCOPY without SO_ZEROCOPY is no more than a send(): is it here, and is nothing in the error queue?") {
  int s, c;
  char b[5000], control[64];
  pair(&s, &c);
  fill(b, sizeof b, 0);
  CALL(send(c, b, sizeof b, MSG_ZEROCOPY));
  struct iovec v = {b, 100};
  fill(b, 100, 5000);
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  CALL(sendmsg(c, &m, MSG_ZEROCOPY | MSG_NOSIGNAL));
  say("read %zu", read_all(s, 5100, 0, 5100));
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  CALL(recvmsg(c, &m, MSG_ERRQUEUE));
}
