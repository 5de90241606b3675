/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

static int fd;

static void *in_connect(void *arg) {
  connect_to(fd, dead_port);
  return arg;
}
static void *in_close(void *arg) {
  wait_for_cancel();
  close(fd);
  return arg;
}

SCENARIO("Can a thread that blocks in connect() be cancelled, and is the socket as usable as natively?") {
  int s, c;
  fd = client_socket(0);
  cancel_in("connect", in_connect, NULL);
  say_poll("after it", fd, POLLIN | POLLOUT, 0);
  int e = -1;
  socklen_t len = sizeof e;
  CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len));
  say("SO_ERROR %d", e);
  CALL(close(fd));
  pair(&s, &c);
  fd = c;
  cancel_in("close", in_close, NULL);
  close(c);
  char b;
  CALL(recv(s, &b, 1, 0));
  close(s);
  pair(&s, &c);
  say("wrote %zu", write_all(c, 1000, 0, 100));
  say("read %zu", read_all(s, 1000, 0, 1000));
}
