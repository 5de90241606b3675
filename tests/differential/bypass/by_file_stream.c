/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* Where freopen() is not to be had, old programs move a file's descriptor from under its stream. */
SCENARIO("dup2(), dup3() and F_DUPFD put a connection under a stream that fopen() made: is what it writes sealed?") {
  char b[100];
  fill(b, 100, 0);
  for (int way = 0; way < 3; way++) {
    int s, c;
    pair(&s, &c);
    FILE *f = fopen("/dev/null", "w");
    int n = fileno(f);
    if (way == 0)
      CALL(dup2(c, n));
    else if (way == 1)
      CALL(dup3(c, n, O_CLOEXEC));
    else {
      close(n);
      say("there %d", fcntl(c, F_DUPFD, n) == n);
    }
    fwrite(b, 1, 100, f);
    CALL(fflush(f));
    say("read %zu", read_all(s, 100, 0, 100));
    CALL(fclose(f));
    say("wrote %zu", write_all(c, 100, 0, 100));
    say("read %zu", read_all(s, 100, 0, 100));
    close(c);
    CALL(read(s, b, 1));
    close(s);
  }
}
