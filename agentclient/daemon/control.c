/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - accepts programs, reads their one message, sends the one answer. What a message means is decided
 * in requests.c; nothing here blocks, and no descriptor is left behind on any path.
 */
#include "control.h"
#include "clock.h"
#include "message.h"
#include "requests.h"
#include "wirecheck.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SILENT_MS  5000 /* for the first message */
#define SILENT_MAX 512  /* connections of one user that have said nothing yet */
#define ANSWER_MS  5000 /* for an answer to go out */
#define RETRY_MS   5
#define PAUSE_MS   50
#define BATCH      64

struct ctl_out {
  void *msg;
  size_t len;
  int fds[WIRE_FDS_MAX];
  int nfds;
  int64_t until;
};

static void out_free(struct ctl *c) {
  if (!c->out)
    return;
  message_close(c->out->fds);
  free(c->out->msg);
  free(c->out);
  c->out = NULL;
}

void ctl_close(struct ctl *c) {
  struct control *ctl = &c->worker->control;
  event_del(&c->event);
  close(c->fd);
  out_free(c);
  if (!c->asked)
    ctl->silent--;
  ctl->count--;
  TAILQ_REMOVE(&ctl->all, c, link);
  worker_look_idle(c->worker);
  free(c);
}

static void ctl_hung_up(struct ctl *c) {
  if (c->hangup)
    c->hangup(c, c->arg);
  ctl_close(c);
}

/* Keeps an answer for another try. Descriptors are duplicated: the caller's may be gone by then. */
static int out_keep(struct ctl *c, const void *msg, size_t len, const int *fds, int nfds) {
  struct ctl_out *o = calloc(1, sizeof *o);
  if (!o)
    return -1;
  o->fds[0] = o->fds[1] = -1;
  c->out = o;
  o->msg = malloc(len);
  if (!o->msg)
    return -1;
  memcpy(o->msg, msg, len);
  o->len = len;
  o->nfds = nfds;
  o->until = clock_ms() + ANSWER_MS;
  for (int i = 0; i < nfds; i++)
    if ((o->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3)) < 0)
      return -1;
  return 0;
}

void ctl_answer(struct ctl *c, const void *msg, size_t len, const int *fds, int nfds, bool keep) {
  int sent = message_send(c->fd, msg, len, fds, nfds);
  bool again = sent != 0 && message_passes(errno) && out_keep(c, msg, len, fds, nfds) == 0;
  if (again) {
    struct timeval tv = clock_timeval(RETRY_MS);
    c->ending = !keep;
    event_add(&c->event, &tv);
  } else if (sent != 0 || !keep) {
    if (keep) { /* the client is gone, or never will know: as if it had hung up, but from the loop */
      shutdown(c->fd, SHUT_RDWR);
      return;
    }
    ctl_close(c);
  }
}

void ctl_hold(struct ctl *c, void (*hangup)(struct ctl *c, void *arg), void *arg) {
  c->hangup = hangup;
  c->arg = arg;
}

void ctl_reply(struct ctl *c, enum wire_status status, int err, const char *fmt, ...) {
  struct wire_reply r = {.status = (int32_t)status, .err = err};
  message_header(&r.hdr, WIRE_REPLY, sizeof r);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(r.text, sizeof r.text, fmt, ap);
  va_end(ap);
  c->hangup = NULL;
  ctl_answer(c, &r, sizeof r, NULL, 0, false);
}

static void ctl_retry(struct ctl *c) {
  struct ctl_out *o = c->out;
  int sent = message_send(c->fd, o->msg, o->len, o->fds, o->nfds);
  if (sent != 0 && message_passes(errno) && clock_ms() < o->until) {
    struct timeval tv = clock_timeval(RETRY_MS);
    event_add(&c->event, &tv);
    return;
  }
  out_free(c);
  event_remove_timer(&c->event);
  if (sent != 0 || c->ending)
    ctl_hung_up(c);
}

/* The one message. Whatever is not well-formed ends the connection; a well-formed one of another version is
 * told so. */
static void ctl_first(struct ctl *c) {
  static _Alignas(16) char buf[WIRE_MAX];
  int fds[WIRE_FDS_MAX], nfds;
  ssize_t n = message_recv(c->fd, buf, sizeof buf, fds, &nfds);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  enum wire_status s = n > 0 ? wire_check(buf, (size_t)n, nfds) : WIRE_BAD_REQUEST;
  if (s == WIRE_OK) {
    c->asked = true;
    c->worker->control.silent--;
    event_remove_timer(&c->event);
    struct control *all = &c->worker->control;
    all->dispatching = true;
    requests_dispatch(c, buf, (size_t)n, fds);
    all->dispatching = false;
  } else if (n > 0 && s == WIRE_VERSION_MISMATCH) {
    ctl_reply(c, s, EPROTO, "this daemon speaks version %d", WIRE_VERSION);
  } else {
    if (n != 0)
      c->worker->control.malformed++;
    ctl_close(c);
  }
  message_close(fds);
}

static void ctl_event(evutil_socket_t fd, short what, void *arg) {
  struct ctl *c = arg;
  if (!c->asked) {
    if (what & EV_READ)
      ctl_first(c);
    else
      ctl_close(c);
    return;
  }
  if (what & EV_READ) {
    /* A client has nothing more to say: end of stream and a second message are the same to us. */
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
      ctl_hung_up(c);
      return;
    }
  }
  if (c->out)
    ctl_retry(c);
}

/* How many connections one process and one user may hold: a part of what we have. What one user does must leave room
 * for the others: of another user's connections each may be a session, with half a dozen descriptors behind it. */
static bool within_bounds(struct worker *w, const struct ucred *cred) {
  unsigned limit = (unsigned)w->fd_limit;
  unsigned per_uid = cred->uid == w->uid ? limit - limit / 8 : limit / 16, per_pid = limit / 2;
  unsigned silent_max = SILENT_MAX < limit / 2 ? SILENT_MAX : limit / 2;
  if (w->control.silent >= limit / 2 || w->control.count >= limit)
    return false;
  if (w->control.silent < silent_max && w->control.count < per_pid && w->control.count < per_uid)
    return true;
  unsigned same_uid = 0, same_pid = 0, silent = 0;
  struct ctl *c;
  TAILQ_FOREACH(c, &w->control.all, link) {
    same_uid += c->cred.uid == cred->uid;
    same_pid += c->cred.pid == cred->pid;
    silent += c->cred.uid == cred->uid && !c->asked;
  }
  return same_uid < per_uid && same_pid < per_pid && silent < silent_max;
}

static void control_admit(struct worker *w, int fd) {
  struct ucred cred = {0};
  socklen_t len = sizeof cred;
  bool may = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && (cred.uid == w->uid || w->uid == 0) &&
             within_bounds(w, &cred);
  struct ctl *c = may ? calloc(1, sizeof *c) : NULL;
  if (!c) {
    /* Every time would let a stranger fill the log: the first, the second, the fourth, ... */
    w->control.rejected++;
    if ((w->control.rejected & (w->control.rejected - 1)) == 0 && !within_bounds(w, &cred))
      log_warning(w->log, "refused a connection of pid %d, uid %u: too many are open (%u; %d descriptors allowed)",
                  (int)cred.pid, (unsigned)cred.uid, w->control.count, w->fd_limit);
    close(fd);
    return;
  }
  c->worker = w;
  c->fd = fd;
  c->cred = cred;
  TAILQ_INSERT_TAIL(&w->control.all, c, link);
  w->control.count++;
  w->control.silent++;
  worker_look_idle(w);
  struct timeval tv = clock_timeval(SILENT_MS);
  event_assign(&c->event, w->base, fd, EV_READ | EV_PERSIST, ctl_event, c);
  event_add(&c->event, &tv);
}

/* true: there may be more. */
static bool accept_batch(struct worker *w) {
  for (int i = 0; i < BATCH; i++) {
    int peer = accept4(w->control.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer >= 0) {
      control_admit(w, peer);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      event_del(&w->control.event); /* EMFILE: they wait; a busy loop would help nobody */
      struct timeval tv = clock_timeval(PAUSE_MS);
      evtimer_add(&w->control.timer, &tv);
    }
    return false;
  }
  return true;
}

static void control_event(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  (void)accept_batch(arg);
}

static struct ctl *not_heard(const struct control *all) {
  struct ctl *c;
  TAILQ_FOREACH(c, &all->all, link)
  if (!c->asked && c->heard != all->rounds)
    return c;
  return NULL;
}

void control_hear(struct worker *w) {
  struct control *all = &w->control;
  if (all->dispatching || all->fd < 0) /* the message that is being looked at is in the buffer */
    return;
  for (int i = 0; i < BATCH && accept_batch(w); i++)
    ;
  all->rounds++;
  for (struct ctl *c; (c = not_heard(all));) {
    c->heard = all->rounds;
    ctl_first(c);
  }
}

static void control_resume(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct worker *w = arg;
  event_add(&w->control.event, NULL);
}

int control_open(struct worker *w, const char *name) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  size_t n = strlen(name);
  TAILQ_INIT(&w->control.all);
  w->control.fd = -1;
  if (n > sizeof un.sun_path - 1) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(un.sun_path + 1, name, n);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  if (bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) != 0 ||
      listen(fd, 4096) != 0) {
    int err = errno;
    close(fd);
    errno = err;
    return -1;
  }
  w->control.fd = fd;
  return 0;
}

int control_adopt(struct worker *w, const char *name, int fd) {
  struct sockaddr_un un;
  socklen_t len = sizeof un, value_len = sizeof(int);
  size_t n = strlen(name);
  int type = 0, listening = 0;
  TAILQ_INIT(&w->control.all);
  w->control.fd = -1;
  if (getsockname(fd, (struct sockaddr *)&un, &len) != 0 || un.sun_family != AF_UNIX ||
      len != offsetof(struct sockaddr_un, sun_path) + 1 + n || un.sun_path[0] != '\0' ||
      memcmp(un.sun_path + 1, name, n) != 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &value_len) != 0 ||
      type != SOCK_SEQPACKET || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &value_len) != 0 ||
      !listening) {
    errno = EINVAL;
    return -1;
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  w->control.fd = fd;
  return 0;
}

int control_start(struct worker *w) {
  event_assign(&w->control.event, w->base, w->control.fd, EV_READ | EV_PERSIST, control_event, w);
  evtimer_assign(&w->control.timer, w->base, control_resume, w);
  return event_add(&w->control.event, NULL);
}

void control_close(struct worker *w) {
  while (!TAILQ_EMPTY(&w->control.all)) {
    struct ctl *c = TAILQ_FIRST(&w->control.all);
    c->hangup = NULL;
    ctl_close(c);
  }
  if (w->control.fd < 0)
    return;
  if (event_initialized(&w->control.event)) { /* it was started */
    event_del(&w->control.event);
    evtimer_del(&w->control.timer);
  }
  close(w->control.fd);
  w->control.fd = -1;
}
