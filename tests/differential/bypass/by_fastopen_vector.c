/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Does sendmsg() with MSG_FASTOPEN and several pieces connect, sealed?") {
  int l = listen_on(0, 8), c = client_socket(0);
  char b[100];
  fill(b, 100, 0);
  struct sockaddr_in a = at_port(port);
  struct iovec v = {b, 100};
  struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a}};
  CALL(sendmmsg(c, &m, 1, MSG_FASTOPEN));
  say("sent %u", m.msg_len);
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 100, 0, 100));
}
