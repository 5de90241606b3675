/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset.c - a connection that broke must not look like one that ended. A unix socket tells its peer ECONNRESET only
 * when it is closed with something unread in it; so a byte is put there, through a copy of the program's end
 * (pidfd_getfd, which asks for what ptrace asks for). Where that is denied the program sees an end of stream.
 *
 * Only the process that asked for the relay is looked at, in the image it has by now: that is who has the descriptor,
 * but where it was passed on.
 */
#include "internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* Is this copy the program's end? Then a byte goes in. */
static bool mark(int copy, uint64_t cookie) {
  uint64_t own = 0;
  socklen_t len = sizeof own;
  return getsockopt(copy, SOL_SOCKET, SO_COOKIE, &own, &len) == 0 && own == cookie &&
         send(copy, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

bool reset_mark(pid_t pid, uint64_t cookie) {
  char path[32], link[64];
  bool done = false;
  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  DIR *dir = pidfd >= 0 ? opendir(path) : NULL;
  /* cppcheck-suppress readdirCalled ; glibc's is safe on a stream of one thread */
  for (struct dirent *e; dir && !done && (e = readdir(dir));) {
    ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);
    if (n < 7 || strncmp(link, "socket:", 7) != 0)
      continue;
    int copy = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(e->d_name), 0);
    done = copy >= 0 && mark(copy, cookie);
    if (copy >= 0)
      close(copy);
  }
  if (dir)
    closedir(dir);
  if (pidfd >= 0)
    close(pidfd);
  return done;
}
