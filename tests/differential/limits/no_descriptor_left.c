/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

SCENARIO(
    "With every descriptor in use: what do the calls that need one say, and does all go on once some are free?") {
  struct held held;
  int l, s, c, pipes[2];
  pair_keep(&l, &s, &c);
  int c2 = client_socket(0), c3 = client_socket(0);
  CALL(connect_to(c2, port));
  CALL(connect_to(c3, port));
  limit_descriptors(64, false);
  hold_all(&held);
  CALL(socket(AF_INET, SOCK_STREAM, 0));
  CALL(dup(c));
  CALL(fcntl(s, F_DUPFD, 0));
  CALL(fcntl(s, F_DUPFD_CLOEXEC, 10));
  CALL(pipe(pipes));
  CALL(epoll_create1(0));
  CALL(accept(l, NULL, NULL));
  CALL(accept4(l, NULL, NULL, SOCK_NONBLOCK));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(s, 1000, 0, 300));
  let_go(&held, 1);
  int s2 = accept(l, NULL, NULL);
  say("accepted: %d", s2 >= 0);
  CALL(accept(l, NULL, NULL));
  let_go(&held, 1);
  int s3 = accept(l, NULL, NULL);
  say("accepted: %d", s3 >= 0);
  say("wrote %zu", write_all(c2, 1000, 0, 1000));
  say("read %zu", read_all(s2, 1000, 0, 1000));
  say("wrote %zu", write_all(s3, 1000, 0, 1000));
  say("read %zu", read_all(c3, 1000, 0, 1000));
  let_go(&held, 1);
  int d = dup(c2);
  say("dup: %d", d >= 0);
  close(c2);
  say("wrote %zu", write_all(d, 1000, 0, 1000));
  say("read %zu", read_all(s2, 1000, 0, 1000));
}
