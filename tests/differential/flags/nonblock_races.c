/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

/* Libraries that share a descriptor with others switch O_NONBLOCK to and fro while calls are under way (OpenSSH,
 * ncurses): a call may answer EAGAIN or wait, but no byte is lost, doubled or changed. */
static int fds[2];
static _Atomic bool over;

static void *switches(void *arg) {
  for (unsigned i = 0; !over; i++) {
    set_nonblock(fds[0], i & 1);
    set_nonblock(fds[1], !(i & 1));
    if (i % 64 == 0)
      usleep(100);
  }
  return arg;
}

static void *writer(void *arg) {
  static char b[7000];
  role("writer");
  for (size_t at = 0; at < 3000000;) {
    size_t n = 1 + at % sizeof b;
    fill(b, n, at);
    ssize_t w = write(fds[1], b, n);
    if (w < 0 && errno != EAGAIN)
      give_up(errno_name(errno));
    at += w > 0 ? (size_t)w : 0;
  }
  shutdown(fds[1], SHUT_WR);
  return arg;
}

SCENARIO("O_NONBLOCK comes and goes while two threads read and write: is every byte there once, and the end too?") {
  static char b[9000];
  size_t at = 0;
  ssize_t n;
  pair(&fds[0], &fds[1]);
  pthread_t s = thread(switches, NULL), w = thread(writer, NULL);
  while ((n = read(fds[0], b, 1 + at % sizeof b)) != 0) {
    if (n < 0 && errno != EAGAIN)
      give_up(errno_name(errno));
    if (n > 0 && !same(b, (size_t)n, at)) {
      say("wrong bytes at %zu", at);
      break;
    }
    at += n > 0 ? (size_t)n : 0;
  }
  say("read %d", at >= 3000000);
  over = true;
  pthread_join(s, NULL);
  pthread_join(w, NULL);
}
