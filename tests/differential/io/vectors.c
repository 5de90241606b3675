/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("Do readv() and writev() cut the stream right, empty pieces included?") {
  int s, c;
  static char out[9000], in[9000];
  pair(&s, &c);
  fill(out, sizeof out, 0);
  struct iovec w[5] = {{out, 1}, {out + 1, 0}, {out + 1, 999}, {NULL, 0}, {out + 1000, 8000}};
  CALL(writev(c, w, 5));
  struct iovec r[3] = {{in, 10}, {in + 10, 2990}, {in + 3000, 6000}};
  struct msghdr m = {.msg_iov = r, .msg_iovlen = 3};
  CALL(recvmsg(s, &m, MSG_WAITALL));
  say("same %d, flags %d", same(in, sizeof in, 0), m.msg_flags);
  CALL(writev(c, w, 0));
  volatile int negative = -1, too_many = 1025;
  CALL(writev(c, w, negative));
  CALL(readv(s, r, negative));
  CALL(readv(s, r, 0));
  struct iovec many[1025];
  for (unsigned i = 0; i < 1024; i++)
    many[i] = (struct iovec){out + i, 1};
  CALL(writev(c, many, 1024));
  CALL(writev(c, many, too_many));
  memset(in, 0, sizeof in);
  for (unsigned i = 0; i < 1024; i++)
    many[i] = (struct iovec){in + i, 1};
  wait_mask(s, POLLIN, POLLIN);
  size_t got = 0;
  while (got < 1024) {
    ssize_t n = readv(s, many + got, (int)(1024 - got));
    if (n <= 0)
      break;
    got += (size_t)n;
  }
  say("readv %zu, same %d", got, same(in, 1024, 0));
  struct msghdr h = {.msg_iov = w, .msg_iovlen = 5};
  CALL(sendmsg(c, &h, MSG_NOSIGNAL));
  memset(in, 0, sizeof in);
  CALL(recv(s, in, sizeof in, MSG_WAITALL));
  say("same %d", same(in, sizeof in, 0));
}
