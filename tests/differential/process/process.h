/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - a server in another process, of whatever kind, and what its clients see of it.
 */
#ifndef DIFFERENTIAL_PROCESS_H
#define DIFFERENTIAL_PROCESS_H

#include "scenario.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Serves count connections: what comes goes back. */
static inline void serve(int l, int count) {
  for (int i = 0; i < count; i++) {
    int s = accept(l, NULL, NULL);
    if (s < 0) {
      say("accept: %s", errno_name(errno));
      return;
    }
    size_t n = read_all(s, 1000, 0, 300);
    write_all(s, n, 0, 1000);
    close(s);
  }
}

/* One connection to such a server. */
static inline void use_server(void) {
  char b;
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("back %zu", read_all(c, 1000, 0, 1000));
  CALL(read(c, &b, 1));
  close(c);
}

/* One of several listeners on the port. */
static inline int listen_in_group(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | flags, 0), one = 1;
  struct sockaddr_in a = at_port(port);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 64) != 0)
    give_up("listen");
  return fd;
}

/* A listener, and a child that serves count connections on it once it has become what it is to be. */
static inline pid_t served_by(void (*become)(void), int count) {
  int l = listen_on(0, 8);
  struct step ready;
  step_init(&ready);
  pid_t kid = fork();
  if (kid == 0) {
    role("server");
    become();
    step_go(&ready);
    serve(l, count);
    _exit(0);
  }
  close(l);
  step_wait(&ready);
  return kid;
}

static inline void become_nobody(void) {
  CALL(setgroups(0, NULL));
  CALL(setresgid(65534, 65534, 65534));
  CALL(setresuid(65534, 65534, 65534));
}

#endif
