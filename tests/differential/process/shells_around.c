/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

SCENARIO("system() and popen() run beside a listener and a connection: do they answer as ever, and harm neither?") {
  int l, s, c;
  char b[100] = "";
  pair_keep(&l, &s, &c);
  CALL(system("exit 3"));
  CALL(system(NULL));
  FILE *f = popen("echo from the shell", "r");
  say("%s", fgets(b, sizeof b, f));
  CALL(pclose(f));
  f = popen("read x; test \"$x\" = word", "w");
  fputs("word\n", f);
  CALL(pclose(f));
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  say("read %zu", read_all(c, 1000, 0, 1000));
  int d = client_socket(0);
  CALL(connect_to(d, port));
  int e = accept(l, NULL, NULL);
  say("wrote %zu", write_all(e, 1000, 0, 1000));
  say("read %zu", read_all(d, 1000, 0, 1000));
  close(s);
  CALL(read(c, b, 1));
}
