/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.c - `svidwrap daemon`: reads the options. The daemon itself never runs under the shim.
 */
#include "cli.h"
#include "../daemon/daemon.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage[] =
    "usage: svidwrap daemon [--config FILE] [--foreground] [--all-users] [--container] [--linger DURATION]\n"
    "                       [--worker]\n"
    "  Serves the programs of this user in this network namespace. Programs start it by themselves when it does\n"
    "  not run. --worker leaves out the supervisor, for systemd and its like.\n"
    "  DURATION: 500ms, 30s, 5m, 1h\n";

/* Milliseconds, -1: not a duration. */
static int64_t duration(const char *text) {
  static const struct {
    const char *suffix;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};
  char *end;
  if (*text < '0' || *text > '9')
    return -1;
  long long n = strtoll(text, &end, 10);
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strcmp(end, units[i].suffix) == 0)
      return n < 1000000000 ? n * units[i].ms : -1;
  return -1;
}

/* A program that was preloaded hands its environment on. Hooks would be the end of us. */
static void leave_preload(int argc, char **argv) {
  if (!getenv("LD_PRELOAD"))
    return;
  unsetenv("LD_PRELOAD");
  char **again = calloc((size_t)argc + 2, sizeof *again);
  if (!again)
    return;
  again[0] = (char[]){"svidwrap"};
  memcpy(again + 1, argv, (size_t)argc * sizeof *argv);
  execv("/proc/self/exe", again);
  free(again);
}

/* -1: go on; else an exit code. */
static int parse(int argc, char **argv, struct daemon_options *o) {
  enum { CONFIG = 1, AGAIN, FOREGROUND, CONTAINER, ALL_USERS, LINGER, WORKER, LEASH, SUPERVISE };
  static const struct option options[] = {{"config", required_argument, NULL, CONFIG},
                                          {"foreground", no_argument, NULL, FOREGROUND},
                                          {"again", no_argument, NULL, AGAIN},
                                          {"container", no_argument, NULL, CONTAINER},
                                          {"all-users", no_argument, NULL, ALL_USERS},
                                          {"linger", required_argument, NULL, LINGER},
                                          {"worker", no_argument, NULL, WORKER},
                                          {"leash", required_argument, NULL, LEASH},
                                          {"supervise", required_argument, NULL, SUPERVISE},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  optind = 1;
  for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
    switch (c) {
    case CONFIG:
      o->config = optarg;
      break;
    case AGAIN:
      o->again = true;
      break;
    case FOREGROUND:
      o->foreground = true;
      break;
    case CONTAINER:
      o->container = true;
      break;
    case ALL_USERS:
      o->all_users = true;
      break;
    case WORKER:
      o->worker = true;
      break;
    case LINGER:
      o->linger_ms = duration(optarg);
      if (o->linger_ms < 0) {
        fprintf(stderr, "svidwrap daemon: --linger %s: not a duration\n", optarg);
        return EX_USAGE;
      }
      break;
    case LEASH:
      o->leash_fd = atoi(optarg);
      break;
    case SUPERVISE:
      o->supervise = atoi(optarg);
      break;
    case 'h':
      fputs(usage, stdout);
      return 0;
    default:
      fputs(usage, stderr);
      return EX_USAGE;
    }
  }
  if (optind < argc || o->leash_fd < 0 || o->supervise < 0) {
    fputs(usage, stderr);
    return EX_USAGE;
  }
  return -1;
}

int cli_daemon(int argc, char **argv) {
  struct daemon_options o = {.linger_ms = -1};
  leave_preload(argc, argv);
  int rc = parse(argc, argv, &o);
  if (rc >= 0)
    return rc;
  if (o.all_users && geteuid() != 0) {
    fprintf(stderr, "svidwrap daemon: --all-users: only root's daemon can serve other users\n");
    return EX_NOPERM;
  }
  return daemon_main(&o);
}
