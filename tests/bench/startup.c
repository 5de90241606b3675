/* SPDX-License-Identifier: Apache-2.0 */
/*
 * startup.c - microseconds from the start of a program to its end, with its environment and with LD_PRELOAD on top,
 * in turns.
 *
 * usage: startup TIMES LIBRARY PROGRAM [ARGS]    prints {"plain": {"least", "median"}, "preloaded": {...}}
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double once(char **argv, char **envp) {
  pid_t pid;
  int status = -1;
  double start = now_us();
  if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, envp) != 0 || waitpid(pid, &status, 0) != pid || status != 0) {
    fprintf(stderr, "%s does not run\n", argv[0]);
    exit(1);
  }
  return now_us() - start;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  static char preload[4200], *with[1000];
  size_t count = 0;
  if (argc < 4)
    return 64;
  size_t times = (size_t)atoi(argv[1]);
  double *took[2] = {calloc(times + 1, sizeof(double)), calloc(times + 1, sizeof(double))};
  snprintf(preload, sizeof preload, "LD_PRELOAD=%s", argv[2]);
  for (char **e = environ; *e && count < 998; e++)
    with[count++] = *e;
  with[count] = preload;
  for (size_t i = 0; i < times; i++) {
    took[0][i] = once(argv + 3, environ);
    took[1][i] = once(argv + 3, with);
  }
  for (int way = 0; way < 2; way++) {
    qsort(took[way], times, sizeof(double), by_value);
    printf("%s\"%s\": {\"least\": %.1f, \"median\": %.1f}", way ? ", " : "{", way ? "preloaded" : "plain",
           took[way][0], took[way][times / 2]);
  }
  puts("}");
  return 0;
}
