/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include "../passing.h"

SCENARIO("A stranger gets the descriptor: do the sender's own numbers go on working?") {
  int s, c, u[2];
  pair(&s, &c);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, u) != 0)
    give_up("socketpair");
  pid_t kid = fork();
  if (kid == 0) {
    role("receiver");
    char b, control[CMSG_SPACE(sizeof(int))];
    close(s);
    close(c);
    struct iovec v = {&b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CALL(recvmsg(u[1], &m, 0));
    int d;
    memcpy(&d, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof d);
    say("read %zu", read_all(d, 1000, 0, 1000));
    say("wrote %zu", write_all(d, 1000, 0, 1000));
    _exit(0);
  }
  char b;
  CALL(send_fd(u[0], s));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(c, 1000, 0, 1000));
  child_status(kid);
  say("wrote %zu", write_all(s, 100, 0, 100));
  say("read %zu", read_all(c, 100, 0, 100));
  close(s);
  CALL(read(c, &b, 1));
}
