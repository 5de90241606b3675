/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* As a daemon's loop that closes everything does to its log. */
SCENARIO("A descriptor is closed under its stream, and the number is a connection's then: is what the stream writes "
         "sealed?") {
  int l = listen_on(0, 8);
  char b[100];
  fill(b, 100, 0);
  for (int way = 0; way < 4; way++) {
    FILE *f = way == 1 ? tmpfile() : way == 2 ? fdopen(open("/dev/null", O_WRONLY), "w") : fopen("/dev/null", "w");
    int n = fileno(f), c, s;
    char keep[4096];
    setvbuf(f, keep, _IOFBF, sizeof keep);
    fwrite(b, 1, 100, f);
    if (way < 3) {
      c = client_socket(0);
      connect_to(c, port);
      close(n);
      s = accept(l, NULL, NULL);
      say("the stream's number %d", s == n);
    } else {
      close(n);
      s = client_socket(0);
      say("the stream's number %d", s == n);
      CALL(connect_to(s, port));
      c = accept(l, NULL, NULL);
    }
    CALL(fflush(f));
    say("read %zu", read_all(c, 100, 0, 100));
    say("wrote %zu", write_all(c, 100, 0, 100));
    say("read %zu", read_all(s, 100, 0, 100));
    CALL(fclose(f));
    CALL(close(s));
    CALL(read(c, b, 1));
    close(c);
  }
}
