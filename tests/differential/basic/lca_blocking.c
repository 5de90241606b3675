/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does the whole life of a blocking connection, socket() to close(), answer as TCP does?") {
  struct sockaddr_in a = at_port(port), got;
  socklen_t len = sizeof got;
  char buf[256];
  int one = 1, s = (int)CALL(socket(AF_INET, SOCK_STREAM, 0));
  CALL(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
  CALL(bind(s, (struct sockaddr *)&a, sizeof a));
  CALL(listen(s, 8));
  int c = (int)CALL(socket(AF_INET, SOCK_STREAM, 0));
  CALL(connect(c, (struct sockaddr *)&a, sizeof a));
  int x = (int)CALL(accept(s, (struct sockaddr *)&got, &len));
  say("accepted from 127.0.0.1: %d, length %u", got.sin_addr.s_addr == htonl(INADDR_LOOPBACK), len);
  struct sockaddr_in local;
  len = sizeof local;
  CALL(getsockname(c, (struct sockaddr *)&local, &len));
  say("the client's own port is the accepted one: %d", local.sin_port == got.sin_port);
  len = sizeof got;
  CALL(getpeername(c, (struct sockaddr *)&got, &len));
  say("the client's peer is the port: %d", got.sin_port == a.sin_port);
  len = sizeof got;
  CALL(getpeername(x, (struct sockaddr *)&got, &len));
  say("the server's peer is the client: %d", local.sin_port == got.sin_port);
  fill(buf, sizeof buf, 0);
  CALL(write(c, buf, 200));
  CALL(read(x, buf, sizeof buf));
  say_bytes("read", buf, 200);
  CALL(write(x, buf, 100));
  CALL(read(c, buf, 50));
  CALL(read(c, buf + 50, 150));
  say_bytes("read back", buf, 100);
  CALL(close(c));
  CALL(read(x, buf, sizeof buf));
  CALL(close(x));
  CALL(close(s));
  CALL(close(s));
}
