/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

static void *waits(void *arg) {
  int ep = *(int *)arg;
  role("waiter");
  ep_say("woken", ep, 30000);
  return NULL;
}

SCENARIO("Does a thread that is in epoll_wait() already see a connection that is added?") {
  int l = listen_on(0, 8), ep = ep_new(), c = client_socket(SOCK_NONBLOCK);
  pthread_t t = thread(waits, &ep);
  until_asleep(newest_thread);
  CALL(connect_to(c, port));
  ep_ctl(ep, EPOLL_CTL_ADD, c, EPOLLOUT, 9);
  pthread_join(t, NULL);
  CALL(write(c, "x", 1));
  close(l);
}
