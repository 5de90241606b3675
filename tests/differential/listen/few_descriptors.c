/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

SCENARIO("At the descriptor limit: does accept() say EMFILE, and is no client lost?") {
  enum { CLIENTS = 30 };
  struct rlimit lim = {40, 40};
  int l = listen_on(SOCK_NONBLOCK, 64), held[64];
  pid_t kid = fork();
  if (kid == 0) {
    int c[CLIENTS];
    role("clients");
    close(l);
    size_t good = 0;
    for (int i = 0; i < CLIENTS; i++) {
      c[i] = client_socket(0);
      if (connect_to(c[i], port) != 0)
        say("connect: %s", errno_name(errno));
      write_all(c[i], 10, 0, 10);
    }
    for (int i = 0; i < CLIENTS; i++)
      good += read_all(c[i], 100, 0, 100) == 100;
    say("served %zu", good);
    _exit(0);
  }
  CALL(setrlimit(RLIMIT_NOFILE, &lim));
  for (int i = 0; i < 16; i++) /* leaves room for some clients, not for all */
    held[i] = open("/dev/null", O_RDONLY);
  int open_now = 0, done = 0, refused = 0, fd[64];
  while (done < CLIENTS) {
    if (poll_for(l, POLLIN, 30000) == 0)
      break;
    int s = accept(l, NULL, NULL);
    if (s >= 0) {
      fd[open_now++] = s;
      continue;
    }
    if (errno == EAGAIN) {
      if (open_now + done < CLIENTS)
        continue;
    } else {
      refused |= errno == EMFILE ? 1 : 2;
    }
    while (open_now > 0) {
      done += read_all(fd[--open_now], 10, 0, 10) == 10 && write_all(fd[open_now], 100, 0, 100) == 100;
      close(fd[open_now]);
    }
    if (errno == EAGAIN && open_now == 0)
      nap(1);
  }
  while (open_now > 0) {
    done += read_all(fd[--open_now], 10, 0, 10) == 10 && write_all(fd[open_now], 100, 0, 100) == 100;
    close(fd[open_now]);
  }
  say("served %d, was at the limit: %d", done, refused);
  child_status(kid);
  close(held[0]);
}
