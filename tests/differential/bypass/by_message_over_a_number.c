/* SPDX-License-Identifier: Apache-2.0 */
#include "bypass.h"

/* Descriptors arrive by message while connections come and go: each number is what arrived there last. */
SCENARIO("Numbers that were connections are given to what arrives by SCM_RIGHTS, and back: is each what it is?") {
  int l, s, c;
  char b[10];
  for (int i = 0; i < 4; i++) {
    pair_keep(&l, &s, &c);
    int null = open("/dev/null", O_RDWR), high = fcntl(null, F_DUPFD, 50);
    close(null);
    say("read %d", write(c, "hello", 5) == 5 && recv(s, b, 5, MSG_WAITALL) == 5);
    close(s);
    close(c);
    int d = passed(high);
    say("number of a connection %d", d == s || d == c);
    CALL(write(d, "to nowhere", 10));
    CALL(read(d, b, 1));
    close(d);
    close(high);
    close(l);
  }
}
