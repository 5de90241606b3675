/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

SCENARIO("What do recvfrom() and sendto() say to bad addresses and lengths?") {
  int s, c;
  char b[100];
  struct sockaddr_storage a = {0};
  socklen_t len = sizeof a;
  pair(&s, &c);
  CALL(sendto(c, b, 10, 0, nowhere(), 16));
  CALL(sendto(c, b, 10, 0, nowhere(), 0));
  CALL(sendto(c, b, 10, 0, (struct sockaddr *)&a, 1000));
  CALL(sendto(c, b, 10, 0, (struct sockaddr *)&a, (socklen_t)-1));
  CALL(sendto(c, b, 10, 0, (struct sockaddr *)&a, 2));
  CALL(sendto(c, b, 70, 0, (struct sockaddr *)&a, sizeof a));
  wait_mask(s, POLLIN, POLLIN);
  nap(50);
  CALL(recvfrom(s, b, 10, 0, nowhere(), &len));
  say("length %u", len);
  CALL(recvfrom(s, b, 10, 0, (struct sockaddr *)&a, nowhere()));
  CALL(recvfrom(s, b, 10, 0, (struct sockaddr *)&a, NULL));
  len = (socklen_t)-5;
  CALL(recvfrom(s, b, 10, 0, (struct sockaddr *)&a, &len));
  len = 0;
  CALL(recvfrom(s, b, 10, 0, (struct sockaddr *)&a, &len));
  CALL(recvfrom(s, b, 100, 0, NULL, nowhere()));
  say_alive(s, c);
}
