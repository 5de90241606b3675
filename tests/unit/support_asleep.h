/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_asleep.h - a signal for a thread that waits: sent once it sleeps, and goes on sleeping. One that is sent
 * after some time may come before the call it is meant for, which then waits for ever.
 */
#ifndef TESTS_UNIT_SUPPORT_ASLEEP_H
#define TESTS_UNIT_SUPPORT_ASLEEP_H

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void until_asleep(pid_t tid) {
  char path[64], state = 0;
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
  for (int asleep = 0; asleep < 20; usleep(1000)) {
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
      abort();
    fclose(f);
    asleep = state == 'S' ? asleep + 1 : 0;
  }
}

struct alarm_clock {
  pthread_t thread, sleeper;
  pid_t tid;
  int signal;
};

static inline void *alarm_clock_run(void *arg) {
  struct alarm_clock *a = arg;
  until_asleep(a->tid);
  pthread_kill(a->sleeper, a->signal);
  return NULL;
}

/* The caller gets the signal when it sleeps; then alarm_clock_end(). */
static inline void alarm_clock_set(struct alarm_clock *a, int sig) {
  *a = (struct alarm_clock){.sleeper = pthread_self(), .tid = gettid(), .signal = sig};
  if (pthread_create(&a->thread, NULL, alarm_clock_run, a) != 0)
    abort();
}

static inline void alarm_clock_end(struct alarm_clock *a) { pthread_join(a->thread, NULL); }

#endif
