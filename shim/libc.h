/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libc.h - the C library's own entry points, looked up once behind our hooks.
 *
 * Nothing in the shim calls read(), close() and so on by name: that would be our own hook. It calls
 * libc_real()->close(fd). A pointer is NULL where this glibc lacks the function.
 */
#ifndef SHIM_LIBC_H
#define SHIM_LIBC_H

#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* X(result, name, (parameters)) */
/* clang-format off */
#define LIBC_CALLS(X)                                                                              \
  X(int, socket, (int, int, int))                                                                  \
  X(int, socketpair, (int, int, int, int[2]))                                                      \
  X(int, bind, (int, const struct sockaddr *, socklen_t))                                          \
  X(int, listen, (int, int))                                                                       \
  X(int, accept, (int, struct sockaddr *, socklen_t *))                                            \
  X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                      \
  X(int, connect, (int, const struct sockaddr *, socklen_t))                                       \
  X(int, shutdown, (int, int))                                                                     \
  X(int, getsockname, (int, struct sockaddr *, socklen_t *))                                       \
  X(int, getpeername, (int, struct sockaddr *, socklen_t *))                                       \
  X(int, getsockopt, (int, int, int, void *, socklen_t *))                                         \
  X(int, setsockopt, (int, int, int, const void *, socklen_t))                                     \
  X(int, ioctl, (int, unsigned long, ...))                                                         \
  X(int, fcntl, (int, int, ...))                                                                   \
  X(int, fcntl64, (int, int, ...))                                                                 \
  X(ssize_t, read, (int, void *, size_t))                                                          \
  X(ssize_t, readv, (int, const struct iovec *, int))                                              \
  X(ssize_t, recv, (int, void *, size_t, int))                                                     \
  X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))                 \
  X(ssize_t, recvmsg, (int, struct msghdr *, int))                                                 \
  X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                      \
  X(ssize_t, write, (int, const void *, size_t))                                                   \
  X(ssize_t, writev, (int, const struct iovec *, int))                                             \
  X(ssize_t, send, (int, const void *, size_t, int))                                               \
  X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))         \
  X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                           \
  X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                         \
  X(ssize_t, sendfile, (int, int, off_t *, size_t))                                                \
  X(ssize_t, sendfile64, (int, int, off64_t *, size_t))                                            \
  X(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t, unsigned))                           \
  X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                            \
  X(int, pselect, (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))  \
  X(int, poll, (struct pollfd *, nfds_t, int))                                                     \
  X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))              \
  X(int, epoll_create, (int))                                                                      \
  X(int, epoll_create1, (int))                                                                     \
  X(int, epoll_ctl, (int, int, int, struct epoll_event *))                                         \
  X(int, epoll_wait, (int, struct epoll_event *, int, int))                                        \
  X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))                     \
  X(int, epoll_pwait2, (int, struct epoll_event *, int, const struct timespec *, const sigset_t *)) \
  X(int, close, (int))                                                                             \
  X(int, close_range, (unsigned, unsigned, int))                                                   \
  X(void, closefrom, (int))                                                                        \
  X(int, dup, (int))                                                                               \
  X(int, dup2, (int, int))                                                                         \
  X(int, dup3, (int, int, int))                                                                    \
  X(int, open, (const char *, int, ...))                                                           \
  X(int, open64, (const char *, int, ...))                                                         \
  X(int, openat, (int, const char *, int, ...))                                                    \
  X(int, openat64, (int, const char *, int, ...))                                                  \
  X(int, __open_2, (const char *, int))                                                            \
  X(int, __open64_2, (const char *, int))                                                          \
  X(int, __openat_2, (int, const char *, int))                                                     \
  X(int, __openat64_2, (int, const char *, int))                                                   \
  X(int, creat, (const char *, mode_t))                                                            \
  X(int, creat64, (const char *, mode_t))                                                          \
  X(int, pipe2, (int[2], int))                                                                     \
  X(int, eventfd, (unsigned, int))                                                                 \
  X(int, timerfd_create, (clockid_t, int))                                                         \
  X(int, signalfd, (int, const sigset_t *, int))                                                   \
  X(int, memfd_create, (const char *, unsigned))                                                   \
  X(int, inotify_init, (void))                                                                     \
  X(int, inotify_init1, (int))                                                                     \
  X(pid_t, fork, (void))                                                                           \
  X(int, clone, (int (*)(void *), void *, int, void *, ...))                                       \
  X(pid_t, _Fork, (void))                                                                          \
  X(pid_t, vfork, (void))                                                                          \
  X(int, execve, (const char *, char *const[], char *const[]))                                     \
  X(int, execvpe, (const char *, char *const[], char *const[]))                                    \
  X(int, fexecve, (int, char *const[], char *const[]))                                             \
  X(int, execveat, (int, const char *, char *const[], char *const[], int))                         \
  X(int, posix_spawn, (pid_t *, const char *, const posix_spawn_file_actions_t *,                  \
                       const posix_spawnattr_t *, char *const[], char *const[]))                   \
  X(int, posix_spawnp, (pid_t *, const char *, const posix_spawn_file_actions_t *,                 \
                        const posix_spawnattr_t *, char *const[], char *const[]))                  \
  X(int, getaddrinfo, (const char *, const char *, const struct addrinfo *, struct addrinfo **))   \
  X(int, gai_error, (struct gaicb *))                                                              \
  X(int, getaddrinfo_a, (int, struct gaicb **, int, struct sigevent *))                            \
  X(struct hostent *, gethostbyname, (const char *))                                               \
  X(struct hostent *, gethostbyname2, (const char *, int))                                         \
  X(int, gethostbyname_r, (const char *, struct hostent *, char *, size_t, struct hostent **,      \
                           int *))                                                                 \
  X(int, gethostbyname2_r, (const char *, int, struct hostent *, char *, size_t, struct hostent **, \
                            int *))                                                                \
  X(int, setuid, (uid_t))                                                                          \
  X(int, setgid, (gid_t))                                                                          \
  X(int, setreuid, (uid_t, uid_t))                                                                 \
  X(int, setregid, (gid_t, gid_t))                                                                 \
  X(int, setresuid, (uid_t, uid_t, uid_t))                                                         \
  X(int, setresgid, (gid_t, gid_t, gid_t))                                                         \
  X(int, chroot, (const char *))                                                                   \
  X(int, unshare, (int))                                                                           \
  X(int, fstat, (int, struct stat *))                                                              \
  X(void, _exit, (int))                                                                            \
  X(void, _Exit, (int))                                                                            \
  X(void *, dlopen, (const char *, int))                                                           \
  X(void *, dlmopen, (Lmid_t, const char *, int))                                                  \
  X(long, syscall, (long, ...))
/* clang-format on */

struct libc_table {
#define X(result, name, params) result(*name) params;
  LIBC_CALLS(X)
#undef X
};

extern struct libc_table libc_table;
extern int libc_loaded;

/* Fills the table; safe to call again, and from a hook that runs before our constructor. */
void libc_load(void);

static inline const struct libc_table *libc_real(void) {
  if (__builtin_expect(!__atomic_load_n(&libc_loaded, __ATOMIC_ACQUIRE), 0))
    libc_load();
  return &libc_table;
}

/* Marks a hook as visible outside; all else in the shim is hidden (-fvisibility=hidden). */
#define HOOK __attribute__((visibility("default")))

#endif
