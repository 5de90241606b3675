/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* Asks by connect() alone whether it is over: nobody has polled the socket before. */
static void connect_until_told(int c) {
  int rc;
  for (int ms = 0; (rc = connect_to(c, port)) != 0 && errno == EALREADY && ms < 10000; ms++)
    nap(1);
  said_call("connect_to(c, port), until told", rc, errno);
}

static void so_error(int c) {
  int e = -1;
  socklen_t len = sizeof e;
  CALL(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &len));
  say("SO_ERROR %s", errno_name(e));
}

static void refused(bool child, bool then_block) {
  int c = client_socket(SOCK_NONBLOCK);
  struct step end;
  step_init(&end);
  pid_t kid = fork();
  if ((kid == 0) != child) { /* who only holds it */
    step_wait(&end);
    if (kid == 0)
      _exit(0);
  } else {
    role(child ? "child" : "parent");
    CALL(connect_to(c, port));
    if (then_block)
      set_nonblock(c, false);
    connect_until_told(c);
    so_error(c);
    set_nonblock(c, true);
    CALL(connect_to(c, port));
    wait_mask(c, POLLIN | POLLOUT, POLLERR);
    so_error(c);
    step_go(&end);
    if (kid == 0)
      _exit(0);
  }
  child_status(kid);
  close(c);
}

SCENARIO("A socket from before fork() is refused without blocking: does the second connect() hear why?") {
  refused(false, false);
  refused(true, false);
  refused(false, true);
  refused(true, true);
}
