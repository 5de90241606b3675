/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does a stream work that was made before connect()?") {
  int l = listen_on(0, 8), c = client_socket(0);
  char line[100];
  FILE *f = fdopen(c, "r+");
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  CALL(fputs("through a stream made before connect()\n", f));
  CALL(fflush(f));
  FILE *in = fdopen(s, "r");
  say("fgets %s", fgets(line, sizeof line, in) ? line : "NULL");
  fclose(f);
  fclose(in);
  close(l);
}
