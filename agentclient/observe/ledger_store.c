/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_store.c - the ledger's file and the thread that writes it; see ledger_store.h. The control thread turns
 * counts into bytes, the writer turns them into records and syncs them. One job at a time: what comes meanwhile stays
 * in the ledger for the next one.
 */
#include "ledger_store.h"
#include "ledger_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((off_t)512 * 1024 * 1024) /* of a file that we read: ours are far smaller */
#define RETRY_TICKS    10

size_t ledger_store_bound = 1024 * 1024;

enum job { JOB_NONE, JOB_APPEND, JOB_REPLACE, JOB_END };

struct ledger_store {
  struct ledger *ledger;
  int dir, lock;
  uint32_t ids; /* entries that the file knows */
  unsigned wait;
  time_t forgotten;
  char trouble[160];
  bool replace; /* the file is not to be appended to */
  size_t size, began;
  /* The writer's while a job is set; lock and condition for the job itself. */
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  enum job job;
  struct ledger_bodies bodies;
  int fd, err;
  size_t written;
  uint8_t digest[LEDGER_FILE_DIGEST];
};

/* -- the writer -- */

static int write_whole(int fd, const uint8_t *data, size_t len) {
  while (len) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? -errno : -EIO;
    data += n;
    len -= (size_t)n;
  }
  return 0;
}

static int append(struct ledger_store *s) {
  size_t len = 0;
  uint8_t *data = ledger_file_frame(&s->bodies, s->digest, &len);
  if (!data)
    return -ENOMEM;
  int rc = write_whole(s->fd, data, len);
  free(data);
  if (rc == 0 && fdatasync(s->fd) != 0)
    rc = -errno;
  s->written = len;
  return rc;
}

static int replace(struct ledger_store *s) {
  uint8_t head[LEDGER_FILE_HEAD];
  if (s->fd >= 0)
    close(s->fd);
  unlinkat(s->dir, "counters.new", 0);
  s->fd = openat(s->dir, "counters.new", O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (s->fd < 0)
    return -errno;
  ledger_file_head(head, s->digest);
  int rc = write_whole(s->fd, head, sizeof head);
  if (rc == 0)
    rc = append(s);
  s->written += sizeof head;
  if (rc == 0 && renameat(s->dir, "counters.new", s->dir, "counters") != 0)
    rc = -errno;
  if (rc == 0)
    fsync(s->dir);
  return rc;
}

static void *writer(void *arg) {
  struct ledger_store *s = arg;
  pthread_mutex_lock(&s->mutex);
  for (;;) {
    while (s->job == JOB_NONE)
      pthread_cond_wait(&s->wake, &s->mutex);
    enum job job = s->job;
    if (job == JOB_END)
      break;
    pthread_mutex_unlock(&s->mutex);
    int err = job == JOB_APPEND ? append(s) : replace(s);
    pthread_mutex_lock(&s->mutex);
    s->err = err;
    s->job = JOB_NONE;
    pthread_cond_broadcast(&s->wake);
  }
  pthread_mutex_unlock(&s->mutex);
  return NULL;
}

static int start_writer(struct ledger_store *s) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the control thread */
  int rc = pthread_create(&s->thread, NULL, writer, s);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return -rc;
}

/* -- jobs -- */

static bool at_rest(struct ledger_store *s) {
  pthread_mutex_lock(&s->mutex);
  bool rest = s->job == JOB_NONE;
  pthread_mutex_unlock(&s->mutex);
  return rest;
}

static void give(struct ledger_store *s, enum job job) {
  pthread_mutex_lock(&s->mutex);
  s->job = job;
  pthread_cond_broadcast(&s->wake);
  pthread_mutex_unlock(&s->mutex);
}

static void await(struct ledger_store *s) {
  pthread_mutex_lock(&s->mutex);
  while (s->job != JOB_NONE)
    pthread_cond_wait(&s->wake, &s->mutex);
  pthread_mutex_unlock(&s->mutex);
}

/* The writer has come to rest: how did it go? After a failure the file's end is not known: it is written anew. */
static void collect(struct ledger_store *s) {
  if (s->err) {
    snprintf(s->trouble, sizeof s->trouble, "cannot write the counters: %s", strerror(-s->err));
    s->replace = true;
    s->wait = RETRY_TICKS;
    s->err = 0;
  } else if (s->written) {
    s->trouble[0] = '\0';
    s->size += s->written;
    if (s->began == 0)
      s->began = s->size;
  }
  s->written = 0;
  ledger_bodies_free(&s->bodies);
}

static void submit(struct ledger_store *s, time_t now) {
  size_t bound = 4 * s->began > ledger_store_bound ? 4 * s->began : ledger_store_bound;
  bool anew = s->replace || s->size > bound;
  if (!anew && TAILQ_EMPTY(&s->ledger->dirty) && !s->ledger->gaps_dirty)
    return;
  if (anew) {
    s->ids = ledger_write_all(s->ledger, &s->bodies);
    s->size = s->began = 0;
  } else {
    s->ids = ledger_write_dirty(s->ledger, &s->bodies, s->ids, now);
  }
  s->replace = s->bodies.failed;
  if (s->bodies.failed) {
    snprintf(s->trouble, sizeof s->trouble, "cannot write the counters: out of memory");
    ledger_bodies_free(&s->bodies);
    s->wait = RETRY_TICKS;
    return;
  }
  give(s, anew ? JOB_REPLACE : JOB_APPEND);
}

void ledger_store_tick(struct ledger_store *s, time_t now) {
  if (!at_rest(s))
    return;
  collect(s);
  if (s->wait && --s->wait)
    return;
  if (now - s->forgotten >= LEDGER_HOUR || now < s->forgotten) {
    ledger_forget(s->ledger, now);
    s->forgotten = now;
  }
  submit(s, now);
}

const char *ledger_store_trouble(struct ledger_store *s) { return s->trouble; }

/* -- opening and closing -- */

static int open_dir(const char *path, char *why, size_t why_len) {
  struct stat st;
  if (mkdir(path, 0700) != 0 && errno != EEXIST) {
    snprintf(why, why_len, "state_dir %s: %s", path, strerror(errno));
    return -1;
  }
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) != 0) {
    snprintf(why, why_len, "state_dir %s: %s", path, strerror(errno));
  } else if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
    snprintf(why, why_len,
             "state_dir %s: must belong to the daemon's user (uid %u) and be writable by nobody else (chmod go-w)",
             path, (unsigned)geteuid());
  } else {
    return fd;
  }
  if (fd >= 0)
    close(fd);
  return -1;
}

static int take_lock(struct ledger_store *s, const char *path, bool *busy, char *why, size_t why_len) {
  s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB) == 0)
    return 0;
  *busy = s->lock >= 0 && errno == EWOULDBLOCK;
  if (*busy)
    snprintf(why, why_len, "state_dir %s: another daemon keeps its counters there; each needs a directory of its own",
             path);
  else
    snprintf(why, why_len, "state_dir %s/lock: %s", path, strerror(errno));
  return -1;
}

/* Our own regular file, mapped. *len 0 and NULL: none there. -1: one that we do not read. */
static int map_file(int dir, const uint8_t **data, size_t *len, char *why, size_t why_len) {
  struct stat st;
  *data = NULL;
  *len = 0;
  int fd = openat(dir, "counters", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT)
    return 0;
  if (fd < 0 || fstat(fd, &st) != 0)
    snprintf(why, why_len, "%s", strerror(errno));
  else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_size > FILE_MAX_BYTES)
    snprintf(why, why_len, "not a regular file of ours of a sensible size");
  else
    why[0] = '\0';
  if (!why[0] && st.st_size > 0) {
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
      snprintf(why, why_len, "%s", strerror(errno));
    } else {
      *data = map;
      *len = (size_t)st.st_size;
    }
  }
  if (fd >= 0)
    close(fd);
  return why[0] ? -1 : 0;
}

/* What the last one left. Damage is kept aside and remembered: what was counted until now is incomplete. */
static void load(struct ledger_store *s, const char *path, time_t now, char *why, size_t why_len) {
  const uint8_t *data;
  size_t len, at = 0;
  char cause[128] = "";
  bool bad = map_file(s->dir, &data, &len, cause, sizeof cause) != 0;
  if (data) {
    enum ledger_file_end end = ledger_file_read(s->ledger, data, len, &at);
    munmap((void *)(uintptr_t)data, len);
    bad = end == LEDGER_FILE_DAMAGED || end == LEDGER_FILE_FOREIGN;
    if (bad)
      snprintf(cause, sizeof cause, end == LEDGER_FILE_FOREIGN ? "not a file of counters" : "damaged at byte %zu",
               at);
  }
  why[0] = '\0';
  if (!bad)
    return;
  bool kept = renameat(s->dir, "counters", s->dir, "counters.damaged") == 0;
  s->ledger->gaps.damaged = now;
  snprintf(why, why_len, "%s/counters: %s: what was counted before now is incomplete%s", path, cause,
           kept ? "; the file is kept as counters.damaged" : "");
}

static void let_go(struct ledger_store *s) {
  if (s->fd >= 0)
    close(s->fd);
  if (s->lock >= 0)
    close(s->lock);
  if (s->dir >= 0)
    close(s->dir);
  ledger_bodies_free(&s->bodies);
  pthread_mutex_destroy(&s->mutex);
  pthread_cond_destroy(&s->wake);
  s->ledger->keeping = false;
  free(s);
}

struct ledger_store *ledger_store_open(struct ledger *l, const char *dir, time_t now, bool *busy, char *why,
                                       size_t why_len) {
  struct ledger_store *s = calloc(1, sizeof *s);
  *busy = false;
  if (!s) {
    snprintf(why, why_len, "state_dir %s: out of memory", dir);
    return NULL;
  }
  *s = (struct ledger_store){.ledger = l, .lock = -1, .fd = -1, .replace = true, .forgotten = now};
  pthread_mutex_init(&s->mutex, NULL);
  pthread_cond_init(&s->wake, NULL);
  s->dir = open_dir(dir, why, why_len);
  if (s->dir < 0 || take_lock(s, dir, busy, why, why_len) != 0)
    goto fail;
  load(s, dir, now, why, why_len);
  ledger_forget(l, now);
  l->keeping = true;
  if (start_writer(s) != 0) {
    snprintf(why, why_len, "state_dir %s: cannot start a thread", dir);
    goto fail;
  }
  submit(s, now);
  return s;
fail:
  let_go(s);
  return NULL;
}

void ledger_store_close(struct ledger_store *s, time_t now) {
  if (!s)
    return;
  await(s);
  collect(s);
  submit(s, now);
  await(s);
  give(s, JOB_END);
  pthread_join(s->thread, NULL);
  let_go(s);
}
