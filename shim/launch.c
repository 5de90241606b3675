/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.c - starting the daemon from inside the program.
 *
 * Two clone()s without an exit signal, so that wait() never sees the first child, and an orphan is what
 * remains (a child that execs gets SIGCHLD as its exit signal back from the kernel, so a direct child would
 * show up in the program's wait() after all). Between clone and exec only raw system calls are made: the
 * program may have threads, and its atfork handlers are none of our business.
 */
#include "launch.h"

#include "environ.h"
#include "libc.h"
#include "lock.h"
#include "session.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RAW(...)       libc_real()->syscall(__VA_ARGS__)
#define LAUNCH_ENV_MAX (SESSION_ENV_MAX + 4)

/* $SVIDWRAP_BIN, beside the shim (a build tree), ../../bin of it (an installation), or the prefix. */
static bool find_binary(char *path, size_t size) {
  const char *bin = environ_get("SVIDWRAP_BIN");
  Dl_info info;
  if (bin && bin[0] == '/' && strlen(bin) < size && access(bin, X_OK) == 0) {
    memcpy(path, bin, strlen(bin) + 1);
    return true;
  }
  if (dladdr((const void *)&libc_table, &info) && info.dli_fname && strchr(info.dli_fname, '/')) {
    int dir = (int)(strrchr(info.dli_fname, '/') - info.dli_fname);
    const char *tails[] = {"/svidwrap", "/../../bin/svidwrap"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
      if ((size_t)snprintf(path, size, "%.*s%s", dir, info.dli_fname, tails[i]) < size && access(path, X_OK) == 0)
        return true;
    }
  }
  return (size_t)snprintf(path, size, "%s", SVIDWRAP_PREFIX "/bin/svidwrap") < size && access(path, X_OK) == 0;
}

struct env {
  char *list[LAUNCH_ENV_MAX];
  size_t count;
};

static bool add_entry(const char *entry, void *arg) {
  struct env *env = arg;
  if (strncmp(entry, "LD_PRELOAD=", 11) != 0 && env->count + 2 < LAUNCH_ENV_MAX)
    env->list[env->count++] = (char *)(uintptr_t)entry;
  return true;
}

/* In the grandchild: holds nothing of the program's. Does not return. */
static void become_daemon(const char *path, char *const argv[], char *const envp[], bool keep_stderr) {
  int null = (int)RAW(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; fd++) {
    if (fd == 2 && keep_stderr)
      continue;
    if (null >= 0 && null != fd)
      RAW(SYS_dup3, null, fd, 0);
  }
  RAW(SYS_close_range, 3u, ~0u, 0u);
  RAW(SYS_chdir, "/");
  RAW(SYS_setsid);
  lock_signals none = 0;
  lock_signals_restore(&none);
  RAW(SYS_execve, path, argv, envp);
  RAW(SYS_exit_group, 127);
  __builtin_unreachable();
}

int launch_daemon(void) {
  char path[PATH_MAX];
  if (!find_binary(path, sizeof path)) {
    session_complain(
        "no daemon answers, and the svidwrap binary that would start one was not found; install it, or set "
        "SVIDWRAP_BIN to its path; for programs in a chroot have root's daemon running: svidwrap daemon "
        "--all-users");
    errno = ECONNREFUSED;
    return -1;
  }
  static char name[] = "svidwrap", verb[] = "daemon", option[] = "--container";
  bool container = getpid() == 1;
  char *argv[] = {name, verb, container ? option : NULL, NULL};
  struct env env = {.count = 0};
  environ_each(add_entry, &env);
  env.list[env.count++] = (char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  env.list[env.count] = NULL;

  lock_signals saved;
  lock_signals_block(&saved);
  long child = RAW(SYS_clone, 0L, 0L, 0L, 0L, 0L);
  if (child == 0) {
    if (RAW(SYS_clone, 0L, 0L, 0L, 0L, 0L) == 0)
      become_daemon(path, argv, env.list, container);
    RAW(SYS_exit_group, 0);
    __builtin_unreachable();
  }
  int failed = child < 0 ? errno : 0;
  if (child > 0) {
    while (RAW(SYS_wait4, child, NULL, __WCLONE, NULL) < 0 && errno == EINTR) {
    }
  }
  lock_signals_restore(&saved);
  if (failed) {
    session_complain("the daemon could not be started: %s", strerror(failed));
    errno = failed;
    return -1;
  }
  return 0;
}
