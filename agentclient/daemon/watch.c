/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - inotify on the directories of configuration files, and the threads that read them. An editor renames a
 * new file over the old one and Kubernetes swaps a symbolic link beside it, so directories are watched and not files.
 */
#include "watch.h"
#include "clock.h"
#include "errand.h"
#include "reload.h"
#include "worker.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SETTLE_MS    20   /* several events are one change */
#define LAZY_MS      1000 /* of another file in the directory: it may be a link on the way, and mostly is not */
#define READINGS_MAX 16   /* threads at a time; a file system that hangs keeps some of them */
#define FOREIGN_MAX  4    /* of one other user: his file systems hold nobody else up */
#define WRITERS_MS   2000 /* how long who writes the file is waited for */
#define STEP_US      20000
#define EVENTS       (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB)

/* One look at a file. All but link, watch and config is the thread's until it is posted. */
struct reading {
  struct errand errand;
  LIST_ENTRY(reading) link;
  struct watch *watch;
  struct config *config; /* referenced */
  char *path;
  uid_t uid;
  gid_t gid;
  int inotify;
  int dirs[2]; /* inotify's numbers; -1: none */
  int rc;      /* 0: text is what the file holds; else why */
  char *text;
  size_t len;
  struct stat st;
  char why[WIRE_TEXT_MAX];
};
LIST_HEAD(readings, reading);

struct watch {
  struct worker *worker;
  int inotify;
  struct event readable, settle, lazy;
  struct readings readings;
  unsigned count;
};

static void reading_free(struct errand *e) {
  struct reading *r = POST_OWNER(e, struct reading, errand);
  free(r->path);
  free(r->text);
  free(r);
}

/* -- on the thread ------------------------------------------------------------------------------------------------
 */

/* This thread's rights on files become those of the user whose program brought the configuration. Raw calls: the
 * library's would change all threads. */
static int become(const struct reading *r) {
  if (r->uid == geteuid())
    return 0;
  if (syscall(SYS_setgroups, 0, NULL) != 0)
    return -1;
  setfsgid(r->gid);
  setfsuid(r->uid);
  return (uid_t)setfsuid((uid_t)-1) == r->uid && (gid_t)setfsgid((gid_t)-1) == r->gid ? 0 : -1;
}

/* Nobody writes the file while we hold a lease on it. 0: held; 1: somebody does write; -1: cannot be told here. */
static int lease(int fd) {
  if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
    return 0;
  return errno == EAGAIN || errno == EWOULDBLOCK ? 1 : -1;
}

static bool same_state(const struct stat *a, const struct stat *b) {
  return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
         a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Half a file can be a valid one. */
static int read_whole(struct reading *r, int fd) {
  struct config_source src = {.path = r->path, .fd = fd, .uid = r->uid};
  for (int waited = 0;; waited += STEP_US / 1000) {
    int held = lease(fd);
    int rc = held == 1 ? -1 : config_read(&src, &r->text, &r->len, &r->st, r->why, sizeof r->why);
    if (held == 0)
      fcntl(fd, F_SETLEASE, F_UNLCK);
    if (held == 0 || (held < 0 && rc != 0))
      return rc;
    usleep(STEP_US);
    struct stat now;
    if (rc == 0 && fstat(fd, &now) == 0 && same_state(&now, &r->st))
      return 0;
    free(r->text);
    r->text = NULL;
    if (waited >= WRITERS_MS) {
      snprintf(r->why, sizeof r->why, "%s: somebody has it open for writing; write a new file and rename it",
               r->path);
      return -1;
    }
  }
}

static int watch_directory(const struct reading *r, const char *path) {
  char copy[PATH_MAX];
  snprintf(copy, sizeof copy, "%s", path);
  return inotify_add_watch(r->inotify, dirname(copy), EVENTS | IN_ONLYDIR);
}

static int look(struct reading *r) {
  char real[PATH_MAX];
  if (become(r) != 0) {
    snprintf(r->why, sizeof r->why, "%s: cannot take the rights of user %u", r->path, (unsigned)r->uid);
    return -1;
  }
  if (r->inotify >= 0)
    r->dirs[0] = watch_directory(r, r->path);
  if (r->inotify >= 0 && realpath(r->path, real))
    r->dirs[1] = watch_directory(r, real);
  int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    snprintf(r->why, sizeof r->why, "%s: %s", r->path, strerror(errno));
    return -1;
  }
  int rc = read_whole(r, fd);
  close(fd);
  return rc;
}

static void reading_run(struct errand *e) {
  struct reading *r = POST_OWNER(e, struct reading, errand);
  r->rc = look(r);
}

/* -- on the control thread ----------------------------------------------------------------------------------------
 */

static void unwatched(struct config *c, const char *why) {
  c->watched = CONFIG_UNWATCHED;
  log_info(c->log, "%s: changes of this file are not followed: %s; they hold for programs that start after them",
           c->path, why);
}

static bool same_link(pid_t pid, const char *what) {
  char path[64], mine[64], a[PATH_MAX], b[PATH_MAX];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
  snprintf(mine, sizeof mine, "/proc/self/%s", what);
  ssize_t n = readlink(path, a, sizeof a), m = readlink(mine, b, sizeof b);
  return n > 0 && n == m && memcmp(a, b, (size_t)n) == 0;
}

/* Is what the path leads us to the file that the program brought? It may live in another mount namespace. Where it
 * does not, the file was replaced since. */
static void first_look(struct reading *r) {
  struct config *c = r->config;
  bool same = r->st.st_dev == c->dev && r->st.st_ino == c->ino;
  if (r->rc != 0)
    unwatched(c, r->why);
  else if (!same && !(same_link(c->pid, "ns/mnt") && same_link(c->pid, "root")))
    unwatched(c, "its path means another file to the program than to the daemon");
  else
    c->watched = CONFIG_WATCHED;
}

static bool blank(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (!strchr(" \t\r\n", text[i]))
      return false;
  return true;
}

static void look_again(struct watch *watch, struct reading *r) {
  struct config *c = r->config;
  if (r->rc == 0 && c->uid != geteuid() && r->st.st_uid != c->owner) {
    r->rc = -1;
    snprintf(r->why, sizeof r->why, "%.400s: belongs to another user than before", c->path);
  } else if (r->rc == 0 && blank(r->text, r->len)) {
    r->rc = -1;
    snprintf(r->why, sizeof r->why, "%.400s: is empty; a policy without rules is written as `listen: []`", c->path);
  }
  if (r->rc == 0)
    config_reload(watch->worker, c, r->text, r->len, &r->st);
  else
    config_reload_failed(c, r->why);
}

static void reading_begin(struct watch *watch, struct config *c);

static void reading_done(struct errand *e) {
  struct reading *r = POST_OWNER(e, struct reading, errand);
  struct watch *watch = r->watch;
  struct config *c = r->config;
  LIST_REMOVE(r, link);
  watch->count--;
  c->reading = false;
  c->dirs[0] = r->dirs[0];
  c->dirs[1] = r->dirs[1];
  if (c->watched == CONFIG_NEW)
    first_look(r);
  if (c->watched == CONFIG_WATCHED)
    look_again(watch, r);
  reading_free(e);
  if (c->read_again)
    reading_begin(watch, c);
  config_unref(c);
}

static bool may_begin(const struct watch *watch, const struct config *c) {
  unsigned same = 0, foreign = 0;
  const struct reading *r;
  LIST_FOREACH(r, &watch->readings, link) {
    foreign += r->uid != geteuid();
    same += r->uid == c->uid;
  }
  return watch->count < READINGS_MAX &&
         (c->uid == geteuid() || (same < FOREIGN_MAX && foreign < READINGS_MAX - FOREIGN_MAX));
}

static void reading_begin(struct watch *watch, struct config *c) {
  c->read_again = c->reading;
  if (c->reading || c->watched == CONFIG_UNWATCHED)
    return;
  if (!may_begin(watch, c)) { /* when others are through; where all file systems hang, never */
    struct timeval tv = clock_timeval(SETTLE_MS);
    c->changed = true;
    if (!evtimer_pending(&watch->settle, NULL))
      evtimer_add(&watch->settle, &tv);
    return;
  }
  struct reading *r = calloc(1, sizeof *r);
  char *path = strdup(c->path);
  if (!r || !path) {
    free(r);
    free(path);
    return;
  }
  *r = (struct reading){.errand = {.run = reading_run, .done = reading_done, .release = reading_free},
                        .watch = watch,
                        .config = c,
                        .path = path,
                        .uid = c->uid,
                        .gid = c->gid,
                        .inotify = watch->inotify,
                        .dirs = {-1, -1}};
  if (errand_begin(&r->errand, watch->worker->post) != 0) {
    reading_free(&r->errand);
    return;
  }
  c->reading = true;
  config_ref(c);
  watch->count++;
  LIST_INSERT_HEAD(&watch->readings, r, link);
}

void watch_config(struct watch *watch, struct config *c) {
  if (watch && c->watched == CONFIG_NEW && !c->reading)
    reading_begin(watch, c);
}

void watch_reread(struct watch *watch) {
  struct config *c;
  if (!watch)
    return;
  LIST_FOREACH(c, &watch->worker->configs, link) {
    c->failure[0] = '\0'; /* who asks wants to hear it again */
    reading_begin(watch, c);
  }
}

static void settled(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct watch *watch = arg;
  struct config *c;
  LIST_FOREACH(c, &watch->worker->configs, link)
  if (c->changed) {
    c->changed = c->perhaps = false;
    reading_begin(watch, c);
  }
}

static void lazy(evutil_socket_t fd, short what, void *arg) {
  struct watch *watch = arg;
  struct config *c;
  LIST_FOREACH(c, &watch->worker->configs, link)
  c->changed = c->changed || c->perhaps;
  settled(fd, what, arg);
}

/* The file itself, Kubernetes' link beside it, the directory, or something where its link leads. */
static bool means(const struct inotify_event *e, const char *name, const struct config *c) {
  const char *slash = strrchr(c->path, '/');
  return e->len == 0 || strncmp(name, "..", 2) == 0 || strcmp(name, slash ? slash + 1 : c->path) == 0 ||
         (e->wd == c->dirs[1] && c->dirs[0] != c->dirs[1]);
}

/* An event of a directory that nobody watches for any more ends the watching. */
static void directory_changed(struct watch *watch, const struct inotify_event *e, const char *name) {
  struct config *c;
  bool known = false;
  LIST_FOREACH(c, &watch->worker->configs, link) {
    bool mine = (e->mask & IN_Q_OVERFLOW) || c->reading || e->wd == c->dirs[0] || e->wd == c->dirs[1];
    c->perhaps = c->perhaps || mine;
    c->changed = c->changed || (mine && means(e, name, c));
    known = known || mine;
  }
  if (!known && !(e->mask & (IN_IGNORED | IN_Q_OVERFLOW)))
    inotify_rm_watch(watch->inotify, e->wd);
}

static void inotify_event(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  struct watch *watch = arg;
  _Alignas(struct inotify_event) char buf[16384];
  ssize_t n = read(fd, buf, sizeof buf);
  for (ssize_t at = 0; n > 0 && at + (ssize_t)sizeof(struct inotify_event) <= n;) {
    struct inotify_event e;
    memcpy(&e, buf + at, sizeof e);
    directory_changed(watch, &e, buf + at + sizeof e);
    at += (ssize_t)(sizeof e + e.len);
  }
  struct timeval soon = clock_timeval(SETTLE_MS), later = clock_timeval(LAZY_MS);
  if (n > 0 && !evtimer_pending(&watch->settle, NULL))
    evtimer_add(&watch->settle, &soon);
  if (n > 0 && !evtimer_pending(&watch->lazy, NULL))
    evtimer_add(&watch->lazy, &later);
}

struct watch *watch_new(struct worker *w) {
  struct watch *watch = calloc(1, sizeof *watch);
  if (!watch)
    return NULL;
  watch->worker = w;
  signal(SIGIO, SIG_IGN); /* somebody opens a file for writing while we hold a lease */
  LIST_INIT(&watch->readings);
  evtimer_assign(&watch->settle, w->base, settled, watch);
  evtimer_assign(&watch->lazy, w->base, lazy, watch);
  watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (watch->inotify < 0) {
    log_warning(w->log, "no inotify (%s): changed configurations are read on SIGHUP only", strerror(errno));
    return watch;
  }
  event_assign(&watch->readable, w->base, watch->inotify, EV_READ | EV_PERSIST, inotify_event, watch);
  event_add(&watch->readable, NULL);
  return watch;
}

void watch_free(struct watch *watch) {
  if (!watch)
    return;
  evtimer_del(&watch->settle);
  evtimer_del(&watch->lazy);
  if (watch->inotify >= 0)
    event_del(&watch->readable);
  struct reading *r;
  while ((r = LIST_FIRST(&watch->readings))) {
    LIST_REMOVE(r, link);
    config_unref(r->config);
    errand_abandon(&r->errand);
  }
  if (watch->inotify >= 0)
    close(watch->inotify);
  free(watch);
}
