/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sever.c - SOCK_DESTROY, else one walk through /proc for all that is left. A descriptor is shut only when its cookie
 * is the one that was asked for; no copy is kept.
 */
#include "sever.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

struct hunt {
  struct sever_target **by_inode; /* sorted, those that are left */
  size_t count, left;
};

static int compare(const void *a, const void *b) {
  unsigned long x = (*(struct sever_target *const *)a)->inode, y = (*(struct sever_target *const *)b)->inode;
  return x < y ? -1 : x > y;
}

static struct sever_target *find(const struct hunt *h, unsigned long inode) {
  struct sever_target key = {.inode = inode}, *want = &key;
  struct sever_target **at = bsearch(&want, h->by_inode, h->count, sizeof *at, compare);
  return at ? *at : NULL;
}

/* Descriptor fd of a process leads to the target's socket: shuts that down. */
static void shut(int pidfd, int fd, struct sever_target *t) {
  uint64_t cookie = 0;
  socklen_t len = sizeof cookie;
  int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
  if (copy < 0)
    return;
  if (getsockopt(copy, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 && cookie == t->id.cookie) {
    /* ENOTCONN: a reset was quicker. */
    t->done = shutdown(copy, SHUT_RDWR) == 0 || errno == ENOTCONN;
  }
  close(copy);
}

static void search_process(struct hunt *h, int proc, const char *pid) {
  char path[32], link[64];
  struct stat st;
  snprintf(path, sizeof path, "%.16s/fd", pid);
  int dirfd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = dirfd >= 0 ? fdopendir(dirfd) : NULL;
  if (!dir || fstat(dirfd, &st) != 0) {
    if (dir)
      closedir(dir);
    else if (dirfd >= 0)
      close(dirfd);
    return;
  }
  int pidfd = -1;
  /* cppcheck-suppress readdirCalled ; glibc's is safe on a stream of one thread */
  for (struct dirent *e; h->left && (e = readdir(dir));) {
    unsigned long inode;
    ssize_t n = readlinkat(dirfd, e->d_name, link, sizeof link - 1);
    if (n <= 0)
      continue;
    link[n] = '\0';
    struct sever_target *t = sscanf(link, "socket:[%lu]", &inode) == 1 ? find(h, inode) : NULL;
    if (!t || t->done || (geteuid() != 0 && t->uid != st.st_uid))
      continue;
    if (pidfd < 0)
      pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    if (pidfd >= 0)
      shut(pidfd, atoi(e->d_name), t);
    if (t->done)
      h->left--;
  }
  if (pidfd >= 0)
    close(pidfd);
  closedir(dir);
}

static void search_all(struct hunt *h) {
  DIR *dir = opendir("/proc");
  if (!dir)
    return;
  /* cppcheck-suppress readdirCalled ; glibc's is safe on a stream of one thread */
  for (struct dirent *e; h->left && (e = readdir(dir));)
    if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
      search_process(h, dirfd(dir), e->d_name);
  closedir(dir);
}

void sever(struct sever_target *targets, size_t count) {
  int fd = diag_open();
  struct hunt h = {.by_inode = calloc(count + 1, sizeof *h.by_inode)};
  for (size_t i = 0; i < count; i++) {
    struct sever_target *t = &targets[i];
    struct diag_socket s;
    t->done = fd >= 0 && diag_destroy(fd, &t->id) == 0;
    /* Not in our network namespace, or over: whoever still holds it says which. */
    if (!t->done && h.by_inode)
      h.by_inode[h.count++] = t;
    else if (!t->done)
      t->done = fd >= 0 && diag_look(fd, &t->id, &s) == -ENOENT;
  }
  if (h.count) {
    qsort(h.by_inode, h.count, sizeof *h.by_inode, compare);
    h.left = h.count;
    search_all(&h);
  }
  free(h.by_inode);
  if (fd >= 0)
    close(fd);
}
