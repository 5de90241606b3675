/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_EXEC_H
#define DIFFERENTIAL_EXEC_H

#include "scenario.h"

#include <spawn.h>

extern char **environ;

enum how { EXECVE, EXECVE_EMPTY, EXECL, EXECLP, EXECLE, EXECVP, SPAWN, VFORK, SYSTEM };

static inline void start_image(const char *what, enum how how) {
  char p[8], marker[128];
  snprintf(p, sizeof p, "%u", port);
  snprintf(marker, sizeof marker, "SCENARIO_MARKER=%s", getenv("SCENARIO_MARKER") ? getenv("SCENARIO_MARKER") : "");
  char *argv[] = {(char *)(uintptr_t) "scenario", (char *)(uintptr_t)what, p, NULL};
  char *empty[] = {marker, NULL};
  switch (how) {
  case EXECVE:
    execve(self, argv, environ);
    break;
  case VFORK:
  case EXECVE_EMPTY:
    execve(self, argv, empty);
    break;
  case EXECL:
    execl(self, "scenario", what, p, (char *)NULL);
    break;
  case EXECLP:
    execlp(self, "scenario", what, p, (char *)NULL);
    break;
  case EXECLE:
    execle(self, "scenario", what, p, (char *)NULL, empty);
    break;
  case EXECVP:
    execvp(self, argv);
    break;
  case SPAWN:
  case SYSTEM:
    break;
  }
  _exit(127);
}

static inline void serve_image(enum how how) {
  int l = listen_on(0, 8);
  dup2(l, 3);
  if (l != 3)
    close(l);
  fcntl(3, F_SETFD, 0);
  pid_t kid;
  if (how == VFORK)
    kid = vfork();
  else
    kid = fork();
  if (kid == 0)
    start_image("image_accept", how);
  close(3);
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 300));
  say("read %zu", read_all(c, 1000, 0, 1000));
  CALL(close(c));
  child_status(kid);
}

static inline void client_image(enum how how) {
  int l = listen_on(SOCK_CLOEXEC, 8);
  pid_t kid = fork();
  if (kid == 0)
    start_image("image_connect", how);
  int s = accept(l, NULL, NULL);
  say("read %zu", read_all(s, 1000, 0, 1000));
  say("wrote %zu", write_all(s, 1000, 0, 1000));
  child_status(kid);
  char b;
  CALL(read(s, &b, 1));
}

#endif
