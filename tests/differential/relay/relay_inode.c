/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include "../passing.h"

#include <sys/stat.h>

static bool same_inode(int fd, ino_t inode) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == inode;
}

SCENARIO("Does a descriptor that is passed on keep its inode, for who passes it and for who gets it?") {
  int s, c, u[2];
  struct stat st;
  pair(&s, &c);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, u) != 0 || fstat(s, &st) != 0)
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
    say("the same: %d", same_inode(d, st.st_ino));
    _exit(0);
  }
  CALL(send_fd(u[0], s));
  child_status(kid);
  say("the same: %d", same_inode(s, st.st_ino));
  say("another one: %d", same_inode(c, st.st_ino));
}
