/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

static int c = -1;

static void last_words(void) { (void)!write(c, "last words", 10); }
__attribute__((destructor)) static void later_words(void) {
  if (c >= 0)
    (void)!write(c, " and later ones", 15);
}

SCENARIO("Can atexit() functions and destructors still write to a connection?") {
  int s, l;
  char b[100];
  pair_keep(&l, &s, &c);
  pid_t pid = fork();
  if (pid == 0) {
    close(s);
    close(l);
    atexit(last_words);
    exit(0);
  }
  close(c);
  c = -1;
  child_status(pid);
  ssize_t n = recv(s, b, 25, MSG_WAITALL);
  say("%.*s", (int)(n > 0 ? n : 0), b);
  CALL(read(s, b, 1));
}
