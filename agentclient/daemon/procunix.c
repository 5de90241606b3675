/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procunix.c - reads /proc/net/unix and /proc/PID/fd, tries names. Writes nothing, keeps nothing open.
 */
#include "procunix.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS 0x10000u /* __SO_ACCEPTCON in the flags column */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* "ffff...: 00000002 00000000 00010000 0001 01 12345 @name": the name of a listening abstract socket of
 * ours, or NULL. */
static const char *listening_name(char *line, unsigned long *inode) {
  unsigned flags;
  int at = 0;
  if (sscanf(line, "%*[^:]: %*x %*x %x %*x %*x %lu %n", &flags, inode, &at) != 2 || at == 0 || !(flags & ACCEPTS))
    return NULL;
  char *name = line + at;
  name[strcspn(name, "\n")] = '\0';
  if (name[0] != '@' || strncmp(name + 1, WIRE_STANDIN_PREFIX, sizeof WIRE_STANDIN_PREFIX - 1) != 0)
    return NULL;
  return name + 1;
}

struct search {
  const char *name; /* NULL: all */
  void (*fn)(const char *name, void *arg);
  void *arg;
  unsigned long inode;
};

/* 1: found, 0: not there, -1: cannot tell. */
static int each_line(struct search *search) {
  FILE *f = fopen("/proc/self/net/unix", "re");
  if (!f)
    return -1;
  char *line = NULL;
  size_t room = 0;
  int found = 0;
  while (!found && getline(&line, &room, f) > 0) {
    unsigned long inode;
    const char *name = listening_name(line, &inode);
    if (name && !search->name) {
      search->fn(name, search->arg);
    } else if (name && strcmp(name, search->name) == 0) {
      search->inode = inode;
      found = 1;
    }
  }
  if (!found && ferror(f))
    found = -1;
  free(line);
  fclose(f);
  return found;
}

bool procunix_held(const char *name) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  size_t n = strlen(name);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || n > sizeof un.sun_path - 1) {
    if (fd >= 0)
      close(fd);
    return true;
  }
  memcpy(un.sun_path + 1, name, n);
  bool free_name = bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) == 0;
  close(fd);
  return !free_name;
}

void procunix_each(void (*fn)(const char *name, void *arg), void *arg) {
  struct search s = {.fn = fn, .arg = arg};
  each_line(&s);
}

/* Which network namespace the socket is of; false where the kernel does not tell (before 5.14). */
static bool netns(int fd, uint64_t *cookie) {
  socklen_t len = sizeof *cookie;
  return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &len) == 0;
}

static bool bears_name(const char *name, int fd) {
  struct sockaddr_un un;
  socklen_t len = sizeof un, value_len = sizeof(int);
  int listening = 0;
  size_t n = strlen(name);
  return getsockname(fd, (struct sockaddr *)&un, &len) == 0 && un.sun_family == AF_UNIX &&
         len == offsetof(struct sockaddr_un, sun_path) + 1 + n && un.sun_path[0] == '\0' &&
         memcmp(un.sun_path + 1, name, n) == 0 &&
         getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &value_len) == 0 && listening;
}

bool procunix_is(const char *name, int fd) {
  if (!bears_name(name, fd))
    return false;
  /* In one namespace there is one socket of that name; somebody could bind it in another one. */
  uint64_t theirs, ours;
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool known = probe >= 0 && netns(fd, &theirs) && netns(probe, &ours);
  if (probe >= 0)
    close(probe);
  if (known)
    return theirs == ours;
  struct search s = {.name = name};
  struct stat st;
  for (int tries = 0; each_line(&s) != 1;)
    if (++tries == 3)
      return false;
  return fstat(fd, &st) == 0 && st.st_ino == s.inode;
}

bool procunix_held_by(const char *name, pid_t pid) {
  struct search s = {.name = name};
  /* A reading of /proc misses entries while sockets come and go. */
  for (int tries = 0; each_line(&s) != 1;)
    if (++tries == 3)
      return false;
  char path[64], want[64], have[64];
  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  snprintf(want, sizeof want, "socket:[%lu]", s.inode);
  DIR *dir = opendir(path);
  if (!dir)
    return false;
  bool found = false;
  /* cppcheck-suppress readdirCalled ; glibc's is safe on a stream of one thread */
  for (struct dirent *e; !found && (e = readdir(dir));) {
    ssize_t n = readlinkat(dirfd(dir), e->d_name, have, sizeof have - 1);
    if (n > 0) {
      have[n] = '\0';
      found = strcmp(have, want) == 0;
    }
  }
  closedir(dir);
  return found;
}
