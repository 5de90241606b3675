/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.c - the ends of pairs for processes that come later (kept.h). Who holds a connection is counted in the arena,
 * by the program; a process that was killed does not count itself off, so once in a while /proc is asked who has the
 * socket.
 */
#include "kept.h"

#include "clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS   25
#define SEARCH_MS 5000 /* between two searches for holders that died */

struct kept {
  TAILQ_ENTRY(kept) link;
  struct slots *slots;
  struct slots_ticket ticket;
  ino_t inode; /* of the TCP socket */
  int end;
  int64_t search_ms;
};

static void drop(struct kept_list *k, struct kept *e) {
  TAILQ_REMOVE(&k->all, e, link);
  slots_unref(e->slots);
  close(e->end);
  free(e);
}

/* Has this process the socket? One that we may not look into counts as one that has not. */
static bool has(const char *pid, const char *wanted) {
  char path[64], target[64];
  snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
  DIR *dir = opendir(path);
  bool found = false;
  /* cppcheck-suppress readdirCalled ; glibc's is safe on a stream of one thread */
  for (struct dirent *d; dir && !found && (d = readdir(dir));) {
    ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    found = strcmp(target, wanted) == 0;
  }
  if (dir)
    closedir(dir);
  return found;
}

static bool held_by_anybody(ino_t inode) {
  char wanted[64], self[24];
  snprintf(wanted, sizeof wanted, "socket:[%llu]", (unsigned long long)inode);
  snprintf(self, sizeof self, "%d", (int)getpid());
  DIR *dir = opendir("/proc");
  bool found = !dir;
  /* cppcheck-suppress readdirCalled ; glibc's is safe on a stream of one thread */
  for (struct dirent *d; dir && !found && (d = readdir(dir));)
    found = d->d_name[0] >= '1' && d->d_name[0] <= '9' && strcmp(d->d_name, self) != 0 && has(d->d_name, wanted);
  if (dir)
    closedir(dir);
  return found;
}

static bool over(struct kept *e) {
  if (slots_moved_holders(e->slots, e->ticket) == 0)
    return true;
  if (clock_ms() < e->search_ms)
    return false;
  e->search_ms = clock_ms() + SEARCH_MS;
  return !held_by_anybody(e->inode);
}

static void again(struct kept_list *k) {
  struct timeval tv = clock_timeval(TICK_MS);
  if (!TAILQ_EMPTY(&k->all) && !evtimer_pending(k->tick, NULL))
    evtimer_add(k->tick, &tv);
}

static void look(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct kept_list *k = arg;
  struct kept *e = TAILQ_FIRST(&k->all);
  while (e) {
    struct kept *next = TAILQ_NEXT(e, link);
    if (over(e))
      drop(k, e);
    e = next;
  }
  again(k);
}

int kept_open(struct kept_list *k, struct event_base *base) {
  TAILQ_INIT(&k->all);
  k->tick = evtimer_new(base, look, k);
  return k->tick ? 0 : -1;
}

void kept_close(struct kept_list *k) {
  if (!k->tick)
    return;
  while (!TAILQ_EMPTY(&k->all))
    drop(k, TAILQ_FIRST(&k->all));
  event_free(k->tick);
  k->tick = NULL;
}

void kept_add(struct kept_list *k, struct slots *a, struct slots_ticket t, ino_t inode, int end) {
  if (slots_moved_holders(a, t) < 2)
    return;
  struct kept *e = calloc(1, sizeof *e);
  if (!e)
    return; /* the others are answered EBADF */
  e->end = fcntl(end, F_DUPFD_CLOEXEC, 0);
  if (e->end < 0) {
    free(e);
    return;
  }
  e->slots = slots_ref(a);
  e->ticket = t;
  e->inode = inode;
  e->search_ms = clock_ms() + SEARCH_MS;
  TAILQ_INSERT_TAIL(&k->all, e, link);
  again(k);
}

int kept_find(const struct kept_list *k, const struct slots *a, struct slots_ticket t, int tcp) {
  struct kept *e;
  struct stat st;
  if (fstat(tcp, &st) != 0)
    return -1;
  TAILQ_FOREACH(e, &k->all, link)
  if (e->slots == a && e->ticket.slot == t.slot && e->ticket.use == t.use && e->inode == st.st_ino)
    return e->end;
  return -1;
}
