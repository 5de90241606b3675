/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - monotonic time and libevent's timevals. Wall-clock time is for log lines and certificates.
 */
#ifndef DAEMON_CLOCK_H
#define DAEMON_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

static inline int64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t clock_ms(void) { return clock_ns() / 1000000; }

static inline struct timeval clock_timeval(int64_t ms) {
  if (ms < 0)
    ms = 0;
  return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

#endif
