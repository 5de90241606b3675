/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - the daemon's entry point for the command line.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct resolver_answer;

struct daemon_options {
  const char *config; /* --config: for the daemon's own log settings; NULL: $SVIDWRAP_CONFIG or the default path, if
                         readable */
  bool foreground;    /* stay in the foreground, log to stderr */
  bool worker;        /* internal: be the worker, started by the supervisor (or by systemd, which supervises) */
  bool all_users; /* --all-users: root's daemon takes every user's programs, also those that could have their own */
  int listen_fd;  /* internal: the listening socket that a service manager holds for us; 0: none */
  bool container; /* --container: helper of pid 1: `auto` logs to stderr although not in the foreground */
  int64_t
      linger_ms; /* --linger: leave after this long without sessions; -1: the configuration's; foreground: never */
  bool again;    /* internal: the successor of a worker that died */
  int leash_fd;  /* internal: the socketpair between supervisor and worker; 0: none */
  void (*lookup)(const char *name, struct resolver_answer *out); /* tests: in place of the C library's resolver */
  pid_t supervise; /* internal: be the supervisor of this worker, which lost its own; 0: no */
};

/* Supervisor (or worker); returns a sysexits code. Exits 0 at once when another daemon of this uid and
 * network namespace already serves. */
int daemon_main(const struct daemon_options *options);

#endif
