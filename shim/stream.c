/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - streams whose reads, writes and close are the hooks' own. Answers as a stream of the C library on a
 * socket would: the same buffer size, ESPIPE for a seek, a partial write goes on.
 */
#include "stream.h"

#include "fdtab.h"
#include "lock.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER 4096 /* st_blksize of a socket: what fdopen() takes */

struct stream {
  struct stream *next;
  FILE *file;
  int fd;
  char buffer[BUFFER];
};

static struct lock streams_lock;
static struct stream *streams;

static ssize_t stream_read(void *cookie, char *buf, size_t n) {
  const struct stream *s = cookie;
  return read(s->fd, buf, n);
}

/* 0 and a short count mean an error to the C library; -1 would be taken for a length. */
static ssize_t stream_write(void *cookie, const char *buf, size_t n) {
  const struct stream *s = cookie;
  size_t done = 0;
  while (done < n) {
    ssize_t w = write(s->fd, buf + done, n - done);
    if (w < 0)
      break;
    done += (size_t)w;
  }
  return (ssize_t)done;
}

static int stream_seek(void *cookie, off64_t *at, int whence) {
  (void)cookie;
  (void)at;
  (void)whence;
  errno = ESPIPE;
  return -1;
}

static int stream_close(void *cookie) {
  struct stream *s = cookie;
  lock_signals saved;
  lock_take(&streams_lock, &saved);
  for (struct stream **at = &streams; *at; at = &(*at)->next) {
    if (*at == s) {
      *at = s->next;
      break;
    }
  }
  lock_drop(&streams_lock, &saved);
  int rc = close(s->fd), failed = errno;
  free(s);
  errno = failed;
  return rc;
}

FILE *stream_open(int fd, const char *mode) {
  static const cookie_io_functions_t calls = {stream_read, stream_write, stream_seek, stream_close};
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0)
    return NULL;
  struct stream *s = malloc(sizeof *s);
  if (!s)
    return NULL;
  s->fd = fd;
  s->file = fopencookie(s, mode, calls); /* looks at the mode */
  if (!s->file) {
    free(s);
    return NULL;
  }
  if (mode[0] == 'a' && !(flags & O_APPEND))
    fcntl(fd, F_SETFL, flags | O_APPEND);
  setvbuf(s->file, s->buffer, _IOFBF, sizeof s->buffer);
  lock_signals saved;
  lock_take(&streams_lock, &saved);
  s->next = streams;
  streams = s;
  lock_drop(&streams_lock, &saved);
  return s->file;
}

bool stream_number(FILE *file, int *fd) {
  lock_signals saved;
  const struct stream *s;
  lock_take(&streams_lock, &saved);
  for (s = streams; s && s->file != file; s = s->next)
    ;
  if (s)
    *fd = s->fd;
  lock_drop(&streams_lock, &saved);
  return s != NULL;
}

/* The C library's list of open streams and its lock, exported for the C++ library's sake. */
typedef void *iterator;
static struct {
  void (*lock)(void), (*unlock)(void);
  iterator (*begin)(void), (*end)(void), (*next)(iterator);
  FILE *(*file)(iterator);
} list;

static bool list_known(void) {
  static _Atomic int known;
  if (!atomic_load(&known)) {
    *(void **)&list.lock = dlsym(RTLD_NEXT, "_IO_list_lock");
    *(void **)&list.unlock = dlsym(RTLD_NEXT, "_IO_list_unlock");
    *(void **)&list.begin = dlsym(RTLD_NEXT, "_IO_iter_begin");
    *(void **)&list.end = dlsym(RTLD_NEXT, "_IO_iter_end");
    *(void **)&list.next = dlsym(RTLD_NEXT, "_IO_iter_next");
    *(void **)&list.file = dlsym(RTLD_NEXT, "_IO_iter_file");
    atomic_store(&known, 1);
  }
  return list.lock && list.unlock && list.begin && list.end && list.next && list.file;
}

bool stream_is_on(int fd) {
  bool found = fd <= STDERR_FILENO;
  if (found)
    return true;
  if (!list_known())
    return true; /* nobody can tell */
  list.lock();
  for (iterator at = list.begin(); at != list.end() && !found; at = list.next(at))
    found = list.file(at)->_fileno == fd;
  list.unlock();
  return found;
}

static _Atomic uint32_t noted[FDTAB_MAX / 32];

void stream_note(int fd, bool open) {
  uint32_t bit = (uint32_t)1 << (fd % 32);
  if ((unsigned)fd >= FDTAB_MAX)
    return;
  if (open)
    atomic_fetch_or_explicit(&noted[fd / 32], bit, memory_order_relaxed);
  else
    atomic_fetch_and_explicit(&noted[fd / 32], ~bit, memory_order_relaxed);
}

bool stream_has(int fd) {
  if (fd <= STDERR_FILENO)
    return true;
  return (unsigned)fd < FDTAB_MAX &&
         (atomic_load_explicit(&noted[fd / 32], memory_order_relaxed) & ((uint32_t)1 << (fd % 32))) &&
         stream_is_on(fd);
}

/* Without the streams' own locks, as the C library does at the end: a thread may sit in a read with one. */
void stream_flush_all(void) {
  for (const struct stream *s = streams; s; s = s->next)
    fflush_unlocked(s->file);
}

void stream_after_fork(void) { lock_reset(&streams_lock); }
