/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <netdb.h>

static void *resolve_much(void *arg) {
  struct addrinfo *ai;
  int bad = 0;
  for (int i = 0; i < 200; i++) {
    struct hostent e, *found;
    char buf[1024];
    int herr;
    bad += getaddrinfo("localhost", NULL, NULL, &ai) != 0;
    freeaddrinfo(ai);
    bad += gethostbyname_r("localhost", &e, buf, sizeof buf, &found, &herr) != 0;
  }
  *(int *)arg = bad;
  return NULL;
}

/* In threads, with handlers running and children being forked. */
static void nobody(int sig) { (void)sig; }

SCENARIO("May several threads resolve at once?") {
  pthread_t t[3];
  int bad[3];
  struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  struct sigaction act = {.sa_handler = nobody, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &act, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  for (int i = 0; i < 3; i++)
    t[i] = thread(resolve_much, &bad[i]);
  sigset_t often_sent, before;
  sigemptyset(&often_sent);
  sigaddset(&often_sent, SIGALRM);
  for (int i = 0; i < 20; i++) {
    pthread_sigmask(SIG_BLOCK, &often_sent, &before); /* the kernel begins a fork() again for each */
    pid_t pid = fork();
    if (pid == 0) { /* connects, and resolves nothing: libc's own locks do not survive such a fork() */
      struct sockaddr_in nobody_there = {.sin_family = AF_INET, .sin_port = htons(1)};
      nobody_there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      int s = socket(AF_INET, SOCK_STREAM, 0);
      _exit(connect(s, (struct sockaddr *)&nobody_there, sizeof nobody_there) == 0 ? 1 : errno != ECONNREFUSED);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
      ;
    if (status != 0)
      say("child %d", status);
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(t[i], NULL);
    say("failed %d", bad[i]);
  }
  setitimer(ITIMER_REAL, &never, NULL);
}
