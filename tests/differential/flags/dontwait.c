/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does MSG_DONTWAIT answer EAGAIN on a blocking socket?") {
  int s, c;
  char b[100];
  struct iovec v = {b, sizeof b};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  pair(&s, &c);
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT));
  CALL(recvmsg(s, &m, MSG_DONTWAIT));
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT | MSG_WAITALL));
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  write_all(c, 10, 0, 10);
  say_wait("data", s, POLLIN);
  CALL(recv(s, b, sizeof b, MSG_DONTWAIT | MSG_WAITALL));
}
