/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

static void *accept_loop(void *arg) {
  int l = *(int *)arg;
  size_t *served = calloc(1, sizeof *served);
  for (;;) {
    int s = accept(l, NULL, NULL);
    char q = 0;
    if (s < 0 || read(s, &q, 1) != 1 || q == 'q') {
      close(s);
      return served;
    }
    write_all(s, 100, 0, 100);
    close(s);
    ++*served;
  }
}

SCENARIO("Do many threads share one blocking listener?") {
  int l = listen_on(0, 32);
  pthread_t t[4];
  size_t good = 0, total = 0;
  for (int i = 0; i < 4; i++)
    t[i] = thread(accept_loop, &l);
  for (int i = 0; i < 24; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      give_up("connect");
    if (write(c, i < 20 ? "x" : "q", 1) == 1 && i < 20)
      good += read_all(c, 100, 0, 100) == 100;
    close(c);
  }
  for (int i = 0; i < 4; i++) {
    void *n = NULL;
    pthread_join(t[i], &n);
    total += *(size_t *)n;
  }
  say("good %zu, served %zu", good, total);
}
