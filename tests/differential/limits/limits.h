/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - a process that runs out of descriptors or of memory. How many it can have until then is nobody's
 * business (svidwrap has some); what each call answers then is.
 */
#ifndef DIFFERENTIAL_LIMITS_H
#define DIFFERENTIAL_LIMITS_H

#include "scenario.h"

#define HELD 256

struct held {
  int fd[HELD], count;
};

/* The soft limit of descriptors, or with `hard` both. */
static inline void limit_descriptors(rlim_t most, bool hard) {
  struct rlimit lim;
  getrlimit(RLIMIT_NOFILE, &lim);
  lim.rlim_cur = most;
  if (hard)
    lim.rlim_max = most;
  if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
    give_up("setrlimit");
}

/* Takes every number that is left. */
static inline void hold_all(struct held *h) {
  h->count = 0;
  while (h->count < HELD && (h->fd[h->count] = open("/dev/null", O_RDONLY)) >= 0)
    h->count++;
  say("then open() says %s", errno_name(errno));
}

static inline void let_go(struct held *h, int count) {
  while (count-- > 0 && h->count > 0)
    close(h->fd[--h->count]);
}

/* A child that serves count connections: what comes goes back, and then the connection ends. */
static inline pid_t echo_server(int count) {
  int l = listen_on(0, 64);
  pid_t kid = fork();
  if (kid == 0) {
    role("server");
    for (int i = 0; i < count; i++) {
      int s = accept(l, NULL, NULL);
      size_t n = read_all(s, 1000, 0, 1000);
      write_all(s, n, 0, 1000);
      close(s);
    }
    _exit(0);
  }
  close(l);
  return kid;
}

static inline void exchange(int c) {
  char b;
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("back %zu", read_all(c, 1000, 0, 1000));
  CALL(read(c, &b, 1));
}

/* No more address space than there is now: every mapping fails, and malloc() once it has used what it has. */
static inline void limit_memory(void) {
  unsigned long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f || fscanf(f, "%lu", &pages) != 1)
    give_up("statm");
  fclose(f);
  struct rlimit lim;
  getrlimit(RLIMIT_AS, &lim);
  lim.rlim_cur = pages * 4096;
  if (setrlimit(RLIMIT_AS, &lim) != 0)
    give_up("setrlimit");
}

static inline void unlimit_memory(void) {
  struct rlimit lim;
  getrlimit(RLIMIT_AS, &lim);
  lim.rlim_cur = lim.rlim_max;
  setrlimit(RLIMIT_AS, &lim);
}

#endif
