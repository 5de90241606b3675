/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

/* One thread writes while another closes: whatever the write answers, nothing leaves in clear. */
static _Atomic int race_fd = -1;

static _Atomic bool race_over, race_idle;

static void *race_writer(void *arg) {
  char b[64];
  (void)arg;
  role("writer");
  fill(b, sizeof b, 0);
  while (!race_over) {
    int fd = race_fd;
    race_idle = fd < 0;
    if (fd >= 0)
      (void)!send(fd, b, sizeof b, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  return NULL;
}

SCENARIO("A number is closed past the hooks and given out again: is nobody taken for somebody else?") {
  int l = listen_on(0, 64);
  pthread_t t = thread(race_writer, NULL);
  for (int i = 0; i < 300; i++) {
    int c = client_socket(0);
    if (connect_to(c, port) != 0)
      give_up("connect");
    int s = accept(l, NULL, NULL);
    race_fd = c;
    usleep(200);
    char b[4096];
    (void)!recv(s, b, sizeof b, MSG_DONTWAIT);
    if (i % 2)
      close(c);
    else
      dup2(l, c), close(c);
    race_fd = -1;
    race_idle = false;
    while (!race_idle) /* the number is somebody else's from here */
      sched_yield();
    close(s);
  }
  race_over = true;
  pthread_join(t, NULL);
  say("over");
}
