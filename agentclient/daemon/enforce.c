/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enforce.c - makes the one configuration of all sessions out of the daemon's own file and environment. Fails closed:
 * a daemon that cannot enforce what it was told to does not serve.
 */
#include "enforce.h"
#include "watch.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

extern char **environ;

bool enforce_may(const char *path, const struct stat *st, char *why, size_t why_len) {
  if ((st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH)))
    return true;
  snprintf(
      why, why_len,
      "%.400s: enforce_config: the file has to belong to root or to the daemon's user, and group and others must "
      "not be able to write it: chown root, chmod go-w",
      path);
  return false;
}

/* "NAME=value\0..." of our whole environment. NULL: out of memory. */
static char *variables(size_t *len) {
  size_t n = 0;
  for (char **e = environ; *e; e++)
    n += strlen(*e) + 1;
  char *vars = malloc(n + 1);
  *len = n;
  n = 0;
  for (char **e = environ; vars && *e; e++) {
    size_t one = strlen(*e) + 1;
    memcpy(vars + n, *e, one);
    n += one;
  }
  return vars;
}

int enforce_open(struct worker *w, char *why, size_t why_len) {
  const struct daemon_options *o = w->options;
  struct stat st;
  size_t vars_len;
  if (!w->own || !policy_settings(w->own)->enforce_config)
    return 0;
  if (!o->config) {
    log_warning(w->log,
                "enforce_config: holds for a daemon that was started with --config only: programs bring their "
                "own configuration");
    return 0;
  }
  struct config_source src = {.path = o->config,
                              .fd = open(o->config, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
                              .uid = geteuid(),
                              .pid = getpid(),
                              .gid = getegid(),
                              .stderr_log = o->foreground || o->container};
  if (src.fd < 0 || fstat(src.fd, &st) != 0) {
    snprintf(why, why_len, "%s: %s", o->config, strerror(errno));
    return EX_CONFIG;
  }
  char *vars = variables(&vars_len);
  src.vars = vars;
  src.vars_len = vars_len;
  if (!vars)
    snprintf(why, why_len, "%s: out of memory", o->config);
  else if (enforce_may(o->config, &st, why, why_len))
    w->enforced = config_shared(&w->configs, &src, why, why_len);
  close(src.fd);
  free(vars);
  if (!w->enforced)
    return EX_CONFIG;
  w->enforced->enforced = true;
  watch_config(w->watch, w->enforced);
  log_info(w->log, "every program gets the configuration %s, whatever it brings along (enforce_config)", o->config);
  return 0;
}
