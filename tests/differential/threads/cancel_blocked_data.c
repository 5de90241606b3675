/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

static int s, c;
static char b[4 << 20];

static void *in_read(void *arg) {
  read(s, b, 10);
  return arg;
}
static void *in_recv(void *arg) {
  recv(s, b, 10, 0);
  return arg;
}
static void *in_waitall(void *arg) {
  recv(s, b, 1000, MSG_WAITALL | MSG_PEEK);
  return arg;
}
static void *in_recvmsg(void *arg) {
  struct iovec v = {b, 10};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  recvmsg(s, &m, 0);
  return arg;
}
static void *in_readv(void *arg) {
  readv(s, &(struct iovec){b, 10}, 1);
  return arg;
}
static void *in_write(void *arg) {
  for (;;)
    write(c, b, sizeof b);
  return arg;
}
static void *disabled(void *arg) {
  wait_for_cancel();
  recv(s, b, 10, MSG_DONTWAIT);
  return arg;
}
static void *at_once(void *arg) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  recv(s, b, 10, 0);
  return arg;
}
static void *asynchronous_write(void *arg) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  for (;;)
    write(c, b, sizeof b);
  return arg;
}

SCENARIO("Can threads that block in reads and writes be cancelled, and does the connection go on?") {
  pair(&s, &c);
  cancel_in("read", in_read, NULL);
  cancel_in("recv", in_recv, NULL);
  cancel_in("recv all", in_waitall, NULL);
  cancel_in("recvmsg", in_recvmsg, NULL);
  cancel_in("readv", in_readv, NULL);
  cancel_in("disabled for a while", disabled, NULL);
  cancel_in("asynchronously", at_once, NULL);
  say("wrote %zu", write_all(c, 1000, 0, 100));
  say("read %zu", read_all(s, 1000, 0, 1000));
  cancel_in("write", in_write, NULL);
  for (set_nonblock(s, true); poll_for(s, POLLIN, 200);)
    while (read(s, b, sizeof b) > 0)
      ;
  set_nonblock(s, false);
  say("wrote %zu", write_all(c, 1000, 0, 100));
  say("read %zu", read_all(s, 1000, 0, 1000));
  cancel_in("write asynchronously", asynchronous_write, NULL);
  CALL(close(c));
  CALL(close(s));
}
