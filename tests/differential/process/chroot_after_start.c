/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

static void become_confined(void) {
  char empty[] = "/tmp/scenario-root-XXXXXX";
  if (!mkdtemp(empty))
    give_up("mkdtemp");
  CALL(chroot(empty));
  rmdir("/");
  CALL(chdir("/"));
}

SCENARIO("A server changes its root to an empty directory once it listens: does it serve, and connect as well?") {
  pid_t kid = served_by(become_confined, 2);
  use_server();
  use_server();
  child_status(kid);
  int l = listen_on(0, 8), first = client_socket(0);
  kid = fork();
  if (kid == 0) {
    role("client");
    close(l);
    if (connect_to(first, port) != 0)
      give_up("connect");
    write_all(first, 1000, 0, 1000);
    read_all(first, 1000, 0, 1000);
    become_confined();
    use_server();
    _exit(0);
  }
  serve(l, 2);
  child_status(kid);
}
