/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

static void become_small(void) {
  struct rlimit few = {16, 16}, none = {0, 0};
  CALL(setrlimit(RLIMIT_NOFILE, &few));
  CALL(setrlimit(RLIMIT_CORE, &none));
}

SCENARIO("A server lowers its limits of descriptors and of core files once it listens: does it go on serving?") {
  pid_t kid = served_by(become_small, 4);
  for (int i = 0; i < 4; i++)
    use_server();
  child_status(kid);
  int l = listen_on(0, 8), s[8], c[8];
  become_small();
  int n = 0;
  while (n < 8 && (c[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && connect_to(c[n], port) == 0 &&
         (s[n] = accept(l, NULL, NULL)) >= 0)
    n++;
  say("pairs %d", n > 1);
  for (int i = 0; i < 2; i++) {
    say("wrote %zu", write_all(s[i], 1000, 0, 1000));
    say("read %zu", read_all(c[i], 1000, 0, 1000));
  }
}
