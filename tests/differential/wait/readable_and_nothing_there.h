/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readable_and_nothing_there.h - a writer that never pauses, and a reader that waits by poll() or select() before
 * each recv(): with MSG_DONTWAIT on a blocking descriptor (PHP's streams), or on one in O_NONBLOCK (sslh ends the
 * connection at EAGAIN). TCP always has something for it.
 */
#ifndef READABLE_AND_NOTHING_THERE_H
#define READABLE_AND_NOTHING_THERE_H

#include "../scenario.h"

#ifndef READABLE_TOTAL
#define READABLE_TOTAL 5000000
#endif

static void *readable_writer(void *fd) {
  role("writer");
  size_t n = write_all(*(int *)fd, READABLE_TOTAL, 0, 100000);
  say("wrote %zu", n);
  shutdown(*(int *)fd, SHUT_WR);
  return NULL;
}

static inline void readable_run(bool (*wait_readable)(int fd), size_t size, bool nonblocking) {
  int s, c, nothing = 0;
  size_t got = 0;
  static uint8_t in[65536];
  pair(&s, &c);
  setsockopt(s, SOL_SOCKET, SO_RCVBUF, &(int){100000}, sizeof(int)); /* whatever the writer sends comes in pieces */
  if (nonblocking)
    fcntl(s, F_SETFL, O_NONBLOCK);
  pthread_t t = thread(readable_writer, &c);
  for (;;) {
    if (!wait_readable(s))
      give_up("the wait");
    ssize_t n = recv(s, in, size, nonblocking ? 0 : MSG_DONTWAIT);
    if (n == 0)
      break;
    if (n < 0 && errno != EAGAIN)
      give_up("recv");
    nothing += n < 0;
    if (n > 0 && !same(in, (size_t)n, got))
      give_up("wrong bytes");
    got += n > 0 ? (size_t)n : 0;
  }
  pthread_join(t, NULL);
  say("got %zu; readable and nothing there: %d times", got, nothing);
}

#endif
