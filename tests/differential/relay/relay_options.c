/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

SCENARIO("Are there no IP options on a relayed connection, and are numbers of the size of numbers?") {
  int s, c;
  char options[200];
  socklen_t len = sizeof options;
  pair(&s, &c);
  pid_t kid = fork();
  if (kid == 0) {
    role("on descriptor 0");
    dup2(s, 0);
    CALL(getsockopt(0, IPPROTO_IP, IP_OPTIONS, options, &len));
    say("length %u", len);
    len = sizeof options;
    CALL(getsockopt(0, IPPROTO_IP, IP_TOS, options, &len));
    say("length %u", len);
    _exit(0);
  }
  close(s);
  child_status(kid);
  close(c);
}
