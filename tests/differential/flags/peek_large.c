/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does MSG_PEEK show as much as there is, and leave all of it?") {
  int s, c, l = socket(AF_INET, SOCK_STREAM, 0), one = 1, size = 1 << 20;
  static char b[300000];
  struct sockaddr_in a = at_port(port);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(l, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(listen(l, 5));
  c = client_socket(0);
  connect_to(c, port);
  s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 200000, 0, 30000));
  CALL(recv(s, b, 200000, MSG_PEEK | MSG_WAITALL));
  say("same %d", same(b, 200000, 0));
  CALL(recv(s, b, 150000, MSG_PEEK));
  CALL(recv(s, b, 20, 0));
  CALL(recv(s, b, sizeof b, MSG_PEEK));
  say("same %d", same(b, 199980, 20));
  CALL(recv(s, NULL, 100000, MSG_PEEK | MSG_TRUNC));
  struct iovec v[3] = {{b, 100}, {b + 200, 70000}, {b + 100000, 60000}};
  struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
  CALL(recvmsg(s, &m, MSG_PEEK));
  say("same %d", same(b + 200, 70000, 120) && same(b + 100000, 60000, 70120));
  shutdown(c, SHUT_WR);
  wait_mask(s, POLLRDHUP, POLLRDHUP);
  CALL(recv(s, b, sizeof b, MSG_PEEK));
  say("all of it %zu", read_all(s, sizeof b, 20, 33333));
  CALL(recv(s, b, 10, MSG_PEEK));
}
