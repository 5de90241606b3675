/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.c - fork, exec, posix_spawn and the ways out. The environment that svidwrap lives by goes into
 * every new image; protected connections do not.
 */
#include "../environ.h"
#include "../image.h"
#include "../libc.h"
#include "../session.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wordexp.h>

HOOK pid_t fork(void) {
  pid_t pid = libc_real()->fork();
  if (pid < 0) {
    int keep = errno;
    image_fork_failed();
    errno = keep;
  }
  return pid;
}

HOOK pid_t _Fork(void) {
  image_before_fork();
  pid_t pid = libc_real()->_Fork();
  if (pid == 0) {
    image_after_fork_child();
  } else {
    int keep = errno;
    image_after_fork_parent();
    if (pid < 0)
      image_fork_failed();
    errno = keep;
  }
  return pid;
}

/* -- exec: what all variants share. The environment array lives on the caller's stack. -- */

/* The loader of the new image would only warn, and start it without us. */
static bool unreachable(char *const envp[]) {
  char path[4096];
  if (!environ_unreachable(envp, path, sizeof path))
    return false;
  session_complain(
      "%s cannot be read from here (chroot, or another user?), so what is executed could not be protected: "
      "refused; put the library there, or give the right to read it",
      path);
  errno = ELIBACC;
  return true;
}

#define WITH_ENVIRONMENT(file, envp, call)                                                                           \
  do {                                                                                                               \
    char *room_[environ_count(envp) + SESSION_ENV_MAX], preload_[environ_preload_size(envp)];                        \
    char **env_ = session_environment((envp), room_, preload_);                                                      \
    if (unreachable(env_))                                                                                           \
      return -1;                                                                                                     \
    image_before_exec(true, (file));                                                                                 \
    int rc_ = (call);                                                                                                \
    image_exec_failed();                                                                                             \
    return rc_;                                                                                                      \
  } while (0)

HOOK int execve(const char *path, char *const argv[], char *const envp[]) {
  WITH_ENVIRONMENT(path, envp, libc_real()->execve(path, argv, env_));
}
HOOK int execv(const char *path, char *const argv[]) {
  WITH_ENVIRONMENT(path, environ, libc_real()->execve(path, argv, env_));
}
HOOK int execvp(const char *file, char *const argv[]) {
  WITH_ENVIRONMENT(file, environ, libc_real()->execvpe(file, argv, env_));
}
HOOK int execvpe(const char *file, char *const argv[], char *const envp[]) {
  WITH_ENVIRONMENT(file, envp, libc_real()->execvpe(file, argv, env_));
}
HOOK int fexecve(int fd, char *const argv[], char *const envp[]) {
  WITH_ENVIRONMENT(NULL, envp, libc_real()->fexecve(fd, argv, env_));
}
HOOK int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags) {
  WITH_ENVIRONMENT(NULL, envp, libc_real()->execveat(dir, path, argv, env_, flags));
}

static size_t count_arguments(va_list ap) {
  size_t n = 1;
  while (va_arg(ap, const char *))
    n++;
  return n;
}

/* argv from a variable list of n arguments; returns what is behind its NULL (execle's environment), read
 * only when wanted. */
static char *const *collect(char **argv, size_t n, const char *first, va_list ap, bool environment) {
  argv[0] = (char *)(uintptr_t)first;
  for (size_t i = 1; i <= n; i++)
    argv[i] = va_arg(ap, char *);
  return environment ? va_arg(ap, char *const *) : NULL;
}

#define COLLECT(first, argv, envp, environment)                                                                      \
  va_list ap_;                                                                                                       \
  va_start(ap_, first);                                                                                              \
  size_t n_ = count_arguments(ap_);                                                                                  \
  va_end(ap_);                                                                                                       \
  char *argv[n_ + 1];                                                                                                \
  va_start(ap_, first);                                                                                              \
  char *const *envp = collect(argv, n_, first, ap_, environment);                                                    \
  va_end(ap_)

HOOK int execl(const char *path, const char *arg, ...) {
  COLLECT(arg, argv, none, false);
  (void)none;
  WITH_ENVIRONMENT(path, environ, libc_real()->execve(path, argv, env_));
}
HOOK int execlp(const char *file, const char *arg, ...) {
  COLLECT(arg, argv, none, false);
  (void)none;
  WITH_ENVIRONMENT(file, environ, libc_real()->execvpe(file, argv, env_));
}
HOOK int execle(const char *path, const char *arg, ...) {
  COLLECT(arg, argv, envp, true);
  WITH_ENVIRONMENT(path, envp, libc_real()->execve(path, argv, env_));
}

/* -- posix_spawn: glibc forks and execs inside, past our hooks; the table of this process is untouched -- */

typedef int (*spawn_fn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                        char *const[], char *const[]);

static int spawn(spawn_fn real, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
  char *room[environ_count(envp) + SESSION_ENV_MAX], preload[environ_preload_size(envp)];
  char **env = session_environment(envp, room, preload);
  int keep = errno;
  if (unreachable(env)) {
    errno = keep;
    return ELIBACC;
  }
  if (!image_actions_relay(actions))
    return EBADF;
  image_before_exec(false, path);
  return real(pid, path, actions, attr, argv, env);
}

HOOK int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
                     const posix_spawnattr_t *restrict attr, char *const argv[restrict], char *const envp[restrict]) {
  return spawn(libc_real()->posix_spawn, pid, path, actions, attr, argv, envp);
}
HOOK int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                      const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
  return spawn(libc_real()->posix_spawnp, pid, file, actions, attr, argv, envp);
}

/* -- system(), popen(), wordexp(): the same; the shell is to have no protected connection open. They take the
 * environment from where it is: where the program scrubbed that, ours stands in for the time of the call. -- */

struct swap {
  char **theirs, **ours;
};

static void swap_back(void *arg) {
  const struct swap *s = arg;
  if (environ == s->ours)
    environ = s->theirs;
}

#define WITH_ENVIRON(type, failure, call)                                                                            \
  do {                                                                                                               \
    char *room_[environ_count(environ) + SESSION_ENV_MAX], preload_[environ_preload_size(environ)];                  \
    struct swap swap_ = {environ, session_environment(environ, room_, preload_)};                                    \
    type rc_ = (failure);                                                                                            \
    if (unreachable(swap_.ours))                                                                                     \
      return rc_;                                                                                                    \
    image_before_exec(false, NULL);                                                                                  \
    environ = swap_.ours;                                                                                            \
    pthread_cleanup_push(swap_back, &swap_);                                                                         \
    rc_ = (call);                                                                                                    \
    pthread_cleanup_pop(1);                                                                                          \
    return rc_;                                                                                                      \
  } while (0)

HOOK int system(const char *command) {
  typedef int (*fn)(const char *);
  fn real = (fn)dlsym(RTLD_NEXT, "system");
  if (!command)
    return real(command);
  WITH_ENVIRON(int, -1, real(command));
}
HOOK FILE *popen(const char *command, const char *mode) {
  typedef FILE *(*fn)(const char *, const char *);
  WITH_ENVIRON(FILE *, NULL, ((fn)dlsym(RTLD_NEXT, "popen"))(command, mode));
}
HOOK FILE *_IO_popen(const char *command, const char *mode);
HOOK FILE *_IO_popen(const char *command, const char *mode) { return popen(command, mode); }
HOOK int wordexp(const char *restrict words, wordexp_t *restrict out, int flags) {
  typedef int (*fn)(const char *, wordexp_t *, int);
  WITH_ENVIRON(int, WRDE_NOSPACE, ((fn)dlsym(RTLD_NEXT, "wordexp"))(words, out, flags));
}

/* -- the ways out; exit() ends in init.c -- */

HOOK void _exit(int status) {
  image_exit();
  libc_real()->_exit(status);
  __builtin_unreachable();
}
HOOK void _Exit(int status) {
  image_exit();
  libc_real()->_exit(status);
  __builtin_unreachable();
}

/* glibc's daemon() forks and exits inside: the parent would keep what it held. */
HOOK int daemon(int nochdir, int noclose) {
  pid_t pid = fork();
  if (pid < 0)
    return -1;
  if (pid > 0)
    _exit(0);
  if (setsid() < 0)
    return -1;
  if (!nochdir && chdir("/") != 0)
    return -1;
  if (noclose)
    return 0;
  int null = open("/dev/null", O_RDWR);
  if (null < 0)
    return -1;
  for (int fd = 0; fd <= 2; fd++)
    dup2(null, fd);
  if (null > 2)
    close(null);
  return 0;
}
