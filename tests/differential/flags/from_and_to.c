/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("What do recvfrom() and sendto() do with addresses on a connection?") {
  int s, c;
  char b[100];
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  pair(&s, &c);
  fill(b, 50, 0);
  a = at_port(port);
  CALL(sendto(c, b, 50, 0, (struct sockaddr *)&a, sizeof a));
  memset(&a, 0x55, sizeof a);
  CALL(recvfrom(s, b, 100, 0, (struct sockaddr *)&a, &len));
  say("length %u", len);
  CALL(send(c, b, 20, 0));
  struct iovec v = {b, sizeof b};
  char control[100];
  struct msghdr m = {.msg_name = &a,
                     .msg_namelen = sizeof a,
                     .msg_iov = &v,
                     .msg_iovlen = 1,
                     .msg_control = control,
                     .msg_controllen = sizeof control};
  wait_mask(s, POLLIN, POLLIN);
  CALL(recvmsg(s, &m, 0));
  say("name %u, control %zu, flags %d", m.msg_namelen, m.msg_controllen, m.msg_flags);
}
