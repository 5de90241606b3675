/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.c - leaves the program that started us behind, gives up what is not needed, and becomes supervisor or
 * worker. Holds neither the program's descriptors nor its directory, session or process group.
 */
#include "daemon.h"
#include "probe.h"
#include "supervisor.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define READY_MS 10000
#define POLL_US  2000

static void close_inherited(int keep) {
  if (keep > 3)
    close_range(3, (unsigned)keep - 1, 0);
  close_range(keep >= 3 ? (unsigned)keep + 1 : 3, ~0U, 0);
}

/* The socket under our name that a service manager holds for us (sd_listen_fds(3)): programs that come while we
 * restart wait in it, and go to no other daemon. 0: none; -1: not one socket, or not for a worker. */
static int activated(const struct daemon_options *o) {
  const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
  int fd = 0;
  if (pid && count && strtol(pid, NULL, 10) == getpid())
    fd = o->worker && o->leash_fd == 0 && strcmp(count, "1") == 0 ? 3 : -1;
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return fd;
}

/* Keys will be in this memory: no core, no ptrace, no /proc/PID/mem for others of our uid. */
static void harden(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  umask(077);
}

static void detach(bool keep_stderr) {
  setsid();
  if (chdir("/") != 0)
    return;
  int null = open("/dev/null", O_RDWR);
  if (null < 0)
    return;
  dup2(null, 0);
  dup2(null, 1);
  if (!keep_stderr)
    dup2(null, 2);
  if (null > 2)
    close(null);
}

/* The process that was started stays until the daemon answers, so that its exit code means something. */
static int wait_ready(pid_t child, const char *name) {
  for (int64_t waited = 0; waited < READY_MS * 1000; waited += POLL_US) {
    int status;
    if (waitpid(child, &status, WNOHANG) == child)
      return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
    if (probe_daemon(name, READY_MS) == PROBE_ALIVE)
      return 0;
    usleep(POLL_US);
  }
  return EX_TEMPFAIL;
}

static int background(const struct daemon_options *options, const char *name) {
  signal(SIGCHLD, SIG_DFL);
  pid_t child = fork();
  if (child < 0)
    return EX_OSERR;
  if (child > 0) {
    int rc = wait_ready(child, name);
    if (rc != 0)
      fprintf(stderr, "svidwrap: the daemon did not start (exit %d); `svidwrap daemon --foreground` says why\n", rc);
    return rc;
  }
  detach(options->container);
  return supervisor_main(options);
}

int daemon_main(const struct daemon_options *options) {
  struct daemon_options o = *options;
  char name[PROBE_NAME_MAX], *config = NULL;
  if (probe_name(name) != 0) {
    fprintf(stderr, "svidwrap: SVIDWRAP_INSTANCE: 1 to 32 of A-Z a-z 0-9 . _ -\n");
    return EX_USAGE;
  }
  if (o.config && o.config[0] != '/') {
    config = realpath(o.config, NULL);
    if (!config) {
      fprintf(stderr, "svidwrap: %s: %s\n", o.config, strerror(errno));
      return EX_NOINPUT;
    }
    o.config = config;
  }
  o.listen_fd = activated(&o);
  if (o.listen_fd < 0) {
    fprintf(stderr, "svidwrap: socket activation: one socket, and --worker: the service manager starts it again\n");
    free(config);
    return EX_USAGE;
  }
  close_inherited(o.listen_fd ? o.listen_fd : o.leash_fd);
  harden();
  int rc;
  if (o.worker) {
    prctl(PR_SET_NAME, "svidwrap-worker");
    signal(SIGCHLD, SIG_IGN);
    rc = worker_main(&o, name);
  } else if (o.supervise) {
    prctl(PR_SET_NAME, "svidwrap-super");
    rc = supervisor_main(&o);
  } else if (probe_daemon(name, READY_MS) == PROBE_ALIVE) {
    rc = 0; /* another one serves */
  } else {
    prctl(PR_SET_NAME, "svidwrap-super");
    rc = o.foreground ? supervisor_main(&o) : background(&o, name);
  }
  free(config);
  return rc;
}
