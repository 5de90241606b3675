/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

/* With TCP_DEFER_ACCEPT a listener is not readable before the client has sent something (nginx's "deferred", Apache's
 * AcceptFilter), which a server must not rely on: after a while the kernel gives it up. */
SCENARIO("TCP_DEFER_ACCEPT: is a connection there without data, and is it there with some?") {
  int l = socket(AF_INET, SOCK_STREAM, 0), on = 1, seconds = 5, c = client_socket(0);
  struct sockaddr_in a = at_port(port);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  CALL(setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds));
  CALL(bind(l, (struct sockaddr *)&a, sizeof a));
  CALL(listen(l, 8));
  CALL(connect_to(c, port));
  say_poll("no data", l, POLLIN, 300);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say_wait("data", l, POLLIN);
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 100, 0, 100));
  say("wrote %zu", write_all(s, 100, 0, 100));
  say("read %zu", read_all(c, 100, 0, 100));
}
