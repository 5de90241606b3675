/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.c - starts workers by executing our own binary again. One thread, a poll loop, and nothing that
 * could crash.
 */
#include "supervisor.h"
#include "clock.h"
#include "../observe/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#define HEALTHY_MS     10000
#define BACKOFF_MS     100
#define BACKOFF_MAX_MS 5000
#define LEAVE_MS       10000 /* for a worker that was told to leave */

struct supervised {
  int leash;
  int pidfd; /* -1: the kernel has none; then nobody can be told to leave */
  int64_t started_ms;
};

/* Executes ourselves with the options passed on. Does not return on success. */
static void become(const struct daemon_options *o, int leash, pid_t supervise) {
  char fd[16], linger[32], pid[16];
  const char *argv[16] = {"svidwrap", "daemon"};
  int n = 2;
  snprintf(fd, sizeof fd, "%d", leash);
  snprintf(linger, sizeof linger, "%lldms", (long long)o->linger_ms);
  snprintf(pid, sizeof pid, "%d", (int)supervise);
  if (supervise) {
    argv[n++] = "--supervise";
    argv[n++] = pid;
  } else {
    argv[n++] = "--worker";
  }
  argv[n++] = "--leash";
  argv[n++] = fd;
  if (o->config) {
    argv[n++] = "--config";
    argv[n++] = o->config;
  }
  if (o->again)
    argv[n++] = "--again";
  if (o->foreground)
    argv[n++] = "--foreground";
  if (o->all_users)
    argv[n++] = "--all-users";
  if (o->container)
    argv[n++] = "--container";
  if (o->linger_ms >= 0) {
    argv[n++] = "--linger";
    argv[n++] = linger;
  }
  fcntl(leash, F_SETFD, 0);
  execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
  _exit(EX_OSERR);
}

/* Forks a counterpart that holds the other end of a fresh leash. Our end, or -1 and errno. */
static int spawn(const struct daemon_options *o, pid_t supervise, pid_t *child) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return -1;
  pid_t pid = fork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    become(o, pair[1], supervise);
  }
  int err = errno;
  close(pair[1]);
  if (pid < 0) {
    close(pair[0]);
    errno = err;
    return -1;
  }
  *child = pid;
  return pair[0];
}

int supervisor_respawn(const struct daemon_options *options) {
  pid_t child;
  return spawn(options, getpid(), &child);
}

void supervisor_goodbye(int leash, int code) {
  unsigned char byte = (unsigned char)code;
  if (leash >= 0 && send(leash, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    /* It is gone, and so are we. */
  }
}

static int start_worker(const struct daemon_options *o, struct supervised *w) {
  pid_t child;
  w->leash = spawn(o, 0, &child);
  if (w->leash < 0)
    return -1;
  w->pidfd = (int)syscall(SYS_pidfd_open, child, 0);
  w->started_ms = clock_ms();
  return 0;
}

static int blocked_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN); /* reaped by the kernel: the leash says all we need */
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void tell(const struct supervised *w, int sig) {
  if (w->pidfd >= 0)
    syscall(SYS_pidfd_send_signal, w->pidfd, sig, NULL, 0);
}

/* Waits for the worker to end, passing signals on. Its exit code, or -1: it crashed. */
static int watch(const struct supervised *w, int signals, bool *leaving) {
  int64_t deadline = -1;
  for (;;) {
    struct pollfd p[2] = {{.fd = w->leash, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    int64_t left = deadline < 0 ? -1 : deadline - clock_ms();
    if (deadline >= 0 && left <= 0) {
      tell(w, SIGKILL);
      return 0;
    }
    if (poll(p, 2, (int)left) < 0 && errno != EINTR)
      return EX_OSERR;
    if (p[0].revents) {
      unsigned char code;
      return recv(w->leash, &code, 1, MSG_DONTWAIT) == 1 ? code : -1;
    }
    struct signalfd_siginfo si;
    if (!p[1].revents || read(signals, &si, sizeof si) != (ssize_t)sizeof si)
      continue;
    tell(w, (int)si.ssi_signo == SIGINT ? SIGTERM : (int)si.ssi_signo);
    if (si.ssi_signo != SIGHUP && !*leaving) {
      *leaving = true;
      deadline = clock_ms() + LEAVE_MS;
    }
  }
}

/* Sleeps unless told to leave. */
static bool told_to_leave(int signals, int64_t ms) {
  for (int64_t until = clock_ms() + ms; ms > 0; ms = until - clock_ms()) {
    struct pollfd p = {.fd = signals, .events = POLLIN};
    struct signalfd_siginfo si;
    if (poll(&p, 1, (int)ms) > 0 && read(signals, &si, sizeof si) == (ssize_t)sizeof si && si.ssi_signo != SIGHUP)
      return true;
  }
  return false;
}

int supervisor_main(const struct daemon_options *options) {
  int signals = blocked_signals();
  struct supervised w = {.leash = -1, .pidfd = -1};
  struct daemon_options successor = *options;
  int64_t backoff = 0;
  bool leaving = false;
  if (signals < 0)
    return EX_OSERR;
  if (options->supervise) {
    w.leash = options->leash_fd;
    w.pidfd = (int)syscall(SYS_pidfd_open, options->supervise, 0);
    w.started_ms = clock_ms();
  } else if (start_worker(options, &w) != 0) {
    return EX_OSERR;
  }
  for (;;) {
    int code = watch(&w, signals, &leaving);
    close(w.leash);
    if (w.pidfd >= 0)
      close(w.pidfd);
    if (code >= 0 || leaving)
      return code >= 0 ? code : 0;
    /* At once the first time: programs wait. A worker that dies again and again must not eat the machine. */
    backoff = clock_ms() - w.started_ms > HEALTHY_MS ? 0 : backoff ? backoff * 2 : BACKOFF_MS;
    if (backoff > BACKOFF_MAX_MS)
      backoff = BACKOFF_MAX_MS;
    successor.again = true;
    log_error(NULL, "the daemon's worker died; starting another one%s", backoff ? " after a pause" : "");
    if (told_to_leave(signals, backoff == BACKOFF_MS ? 0 : backoff))
      return 0;
    while (start_worker(&successor, &w) != 0)
      if (told_to_leave(signals, BACKOFF_MAX_MS))
        return 0;
  }
}
