/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

/* A child of its own prints on it first: by then it is no longer the program's to protect. */
static void printed_by_a_child(int fd) {
  pid_t kid = fork();
  if (kid == 0) {
    dup2(fd, 1);
    printf("printed");
    fflush(stdout);
    _exit(0);
  }
  child_status(kid);
}

SCENARIO("Somebody else had the connection on its standard streams, before exec or after: has the image got it?") {
  for (int later = 0; later < 2; later++) {
    int s, c;
    char b[10] = "";
    struct step go, runs;
    step_init(&go);
    step_init(&runs);
    pair(&s, &c);
    write_all(c, 5000, 0, 5000);
    pid_t kid = fork();
    if (kid == 0) {
      role("child");
      close(c);
      dup2(go.fd[0], 50);
      dup2(runs.fd[1], 51);
      ready_for_image(s, false);
      if (!later)
        printed_by_a_child(5);
      start_image("image_waits", EXECVE);
    }
    step_wait(&runs);
    if (later)
      printed_by_a_child(s);
    close(s);
    CALL(recv(c, b, 7, MSG_WAITALL));
    say("%s", b);
    step_go(&go);
    talk_to_image(c, false, kid);
    close(c);
  }
}
