/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("Does a listener take options of TCP from a new image that has not touched it before?") {
  int l = listen_on(0, 8);
  dup2(l, 3);
  if (l != 3)
    close(l);
  fcntl(3, F_SETFD, 0);
  pid_t kid = fork();
  if (kid == 0)
    start_image("image_options", EXECVE);
  close(3);
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 300));
  CALL(close(c));
  child_status(kid);
}
