/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stress.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_STRESS_H
#define DIFFERENTIAL_STRESS_H

#include "scenario.h"

#include <spawn.h>

__attribute__((unused)) static volatile sig_atomic_t over;

/* Echoes until 'over'; a connection at a time, several threads. */
static inline void *echo_thread(void *arg) {
  int l = *(int *)arg;
  char b[4096];
  while (!over) {
    int s = accept(l, NULL, NULL);
    if (s < 0)
      continue;
    ssize_t n;
    while ((n = read(s, b, sizeof b)) > 0) {
      if (write(s, b, (size_t)n) != n)
        break;
    }
    close(s);
  }
  return NULL;
}

static inline bool failed(const char *step, int fd) {
  say("failed: %s: %s", step, errno_name(errno));
  close(fd);
  return false;
}

static inline bool one_exchange(uint64_t at) {
  int c = client_socket(0);
  char b;
  errno = 0;
  if (connect_to(c, port) != 0)
    return failed("connect", c);
  if (write_all(c, 3000, at, 1000) != 3000)
    return failed("write", c);
  if (shutdown(c, SHUT_WR) != 0)
    return failed("shutdown", c);
  if (read_all(c, 3000, at, 777) != 3000)
    return failed("read", c);
  if (read(c, &b, 1) != 0)
    return failed("end", c);
  close(c);
  return true;
}

static inline void *client_thread(void *arg) {
  uint64_t base = (uint64_t)(uintptr_t)arg;
  size_t good = 0;
  role("client");
  for (unsigned i = 0; i < 30; i++)
    good += one_exchange(base * 100000 + i);
  return (void *)(uintptr_t)good;
}

static inline size_t with_threads(void (*meanwhile)(void)) {
  static int l;
  enum { THREADS = 6 };
  pthread_t t[THREADS];
  size_t good = 0;
  l = listen_on(SOCK_CLOEXEC, 64);
  for (int i = 0; i < 4; i++)
    thread(echo_thread, &l);
  for (unsigned i = 0; i < THREADS; i++)
    t[i] = thread(client_thread, (void *)(uintptr_t)i);
  if (meanwhile)
    meanwhile();
  for (int i = 0; i < THREADS; i++) {
    void *n;
    pthread_join(t[i], &n);
    good += (size_t)(uintptr_t)n;
  }
  over = 1;
  return good;
}

#endif
