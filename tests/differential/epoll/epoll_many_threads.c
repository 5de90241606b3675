/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

#define WORKERS 4
#define ROUNDS  200
static int ep, fds[WORKERS][2];
static _Atomic int served, wrong;

static void *worker(void *arg) {
  struct epoll_event ev = {0}; /* a wait may end with nothing */
  while (served < WORKERS * ROUNDS && epoll_wait(ep, &ev, 1, 200) >= 0) {
    if (ev.events == 0)
      continue;
    int fd = ev.data.fd;
    char b[100];
    ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN)
      wrong++;
    served += n > 0 ? (int)n : 0;
    ev = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.fd = fd};
    wrong += epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) != 0;
    ev.events = 0;
  }
  return arg;
}

SCENARIO("Do several threads that share a set with EPOLLONESHOT serve each byte once?") {
  int l;
  pthread_t t[WORKERS];
  ep = epoll_create1(0);
  pair_keep(&l, &fds[0][0], &fds[0][1]);
  for (int i = 0; i < WORKERS; i++) {
    if (i > 0) {
      fds[i][1] = client_socket(0);
      connect_to(fds[i][1], port);
      fds[i][0] = accept(l, NULL, NULL);
    }
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = fds[i][0]};
    epoll_ctl(ep, EPOLL_CTL_ADD, fds[i][0], &ev);
  }
  for (int i = 0; i < WORKERS; i++)
    t[i] = thread(worker, NULL);
  for (int r = 0; r < ROUNDS; r++) {
    for (int i = 0; i < WORKERS; i++)
      wrong += write(fds[i][1], "x", 1) != 1;
  }
  for (int i = 0; i < WORKERS; i++)
    pthread_join(t[i], NULL);
  say("served %d, wrong %d", (int)served, (int)wrong);
}
