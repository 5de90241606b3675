/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include "../bypass/bypass.h"
#include "../passing.h"

/* A server passes its connections to workers of its own (Node's cluster, Apache's event thread): wrapped, of the same
 * session, running already when the connection comes. */
static int receive(int u) {
  int d;
  CALL(receive_fd(u, &d, 0));
  return d;
}

SCENARIO("Connections, of either side, are passed to a child that runs already: does it serve them, and end them?") {
  int u[2], l, s, c;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, u) != 0)
    give_up("socketpair");
  pid_t kid = fork();
  if (kid == 0) {
    role("worker");
    for (int i = 0; i < 3; i++) {
      int d = receive(u[1]);
      size_t n = read_all(d, 5000, 0, 700);
      say("read %zu", n);
      say("wrote %zu", write_all(d, n, 0, 900));
      CALL(close(d));
    }
    _exit(0);
  }
  for (int i = 0; i < 3; i++) {
    char b;
    pair_keep(&l, &s, &c);
    int passed_on = i & 1 ? c : s, kept = i & 1 ? s : c;
    CALL(send_fd(u[0], passed_on));
    close(passed_on);
    say("wrote %zu", write_all(kept, 5000, 0, 1000));
    say("read %zu", read_all(kept, 5000, 0, 5000));
    CALL(read(kept, &b, 1));
    close(kept);
    close(l);
  }
  child_status(kid);
}
