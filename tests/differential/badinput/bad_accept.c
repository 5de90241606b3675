/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What does accept() say to bad pointers and flags?") {
  int l = listen_on(SOCK_NONBLOCK, 8), c = client_socket(0);
  struct sockaddr_storage a;
  socklen_t len = sizeof a;
  CALL(accept(l, nowhere(), &len));
  CALL(accept4(l, NULL, NULL, 1 << 30));
  CALL(accept4(l, NULL, NULL, -1));
  connect_to(c, port);
  wait_mask(l, POLLIN, POLLIN);
  CALL(accept4(l, NULL, NULL, 4));
  CALL(accept(l, nowhere(), &len));
  int c2 = client_socket(0);
  connect_to(c2, port);
  wait_mask(l, POLLIN, POLLIN);
  CALL(accept(l, (struct sockaddr *)&a, nowhere()));
  int c3 = client_socket(0);
  connect_to(c3, port);
  wait_mask(l, POLLIN, POLLIN);
  CALL(accept(l, (struct sockaddr *)&a, NULL));
  int c4 = client_socket(0);
  connect_to(c4, port);
  wait_mask(l, POLLIN, POLLIN);
  len = (socklen_t)-1;
  CALL(accept(l, (struct sockaddr *)&a, &len));
  int c5 = client_socket(0);
  connect_to(c5, port);
  wait_mask(l, POLLIN, POLLIN);
  int s = accept(l, NULL, nowhere());
  say("without an address %d", s >= 0);
  say_alive(s, c5);
  wait_mask(c, POLLIN, POLLIN);
  CALL(recv(c, &a, 1, MSG_DONTWAIT));
  CALL(recv(c4, &a, 1, MSG_DONTWAIT));
}
