/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - LISTEN, ADOPT, UNLISTEN, SYNC. What a program says about a listener is checked against the socket
 * and against the policy; nothing is closed on its word while somebody else still holds the stand-in.
 */
#include "registry.h"
#include "message.h"
#include "procunix.h"
#include "worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct listener *find(struct worker *w, const char *name) {
  struct listener *l;
  LIST_FOREACH(l, &w->listeners, link)
  if (memcmp(l->name, name, WIRE_NAME_LEN) == 0)
    return l;
  return NULL;
}

/* May this client speak for a listener that was registered by another uid? Only if it holds the stand-in. */
static bool may_speak(const struct listener *l, const struct ctl *c) {
  return l->uid == c->cred.uid || procunix_held_by(l->name, c->cred.pid);
}

static int option(int fd, int what) {
  int value = -1;
  socklen_t len = sizeof value;
  return getsockopt(fd, SOL_SOCKET, what, &value, &len) == 0 ? value : -1;
}

static bool is_tcp_listener(int fd) {
  return option(fd, SO_PROTOCOL) == IPPROTO_TCP && option(fd, SO_TYPE) == SOCK_STREAM &&
         option(fd, SO_ACCEPTCONN) == 1;
}

uint32_t registry_rule(const struct session *s, int fd) {
  struct sockaddr_storage local;
  socklen_t len = sizeof local;
  struct rules_entry e;
  if (getsockname(fd, (struct sockaddr *)&local, &len) != 0 ||
      config_match(s->config, RULES_LISTEN, (struct sockaddr *)&local, len, &e) != 1 || !rules_entry_managed(&e))
    return ATTACH_NO_RULE;
  return e.rule;
}

static void life_hung_up(struct ctl *c, void *arg) {
  (void)c;
  struct attach *a = arg;
  struct listener *l = a->listener;
  a->life = NULL; /* it is closed by whoever called */
  listener_detach(a);
  if (!listener_has_session(l))
    listener_check(l);
}

static struct attach *attach(struct listener *l, struct session *s, struct ctl *c, uint32_t rule) {
  struct attach *a = calloc(1, sizeof *a);
  if (!a)
    return NULL;
  a->listener = l;
  a->session = s;
  a->life = c;
  a->rule = rule;
  TAILQ_INSERT_TAIL(&l->attached, a, of_listener);
  LIST_INSERT_HEAD(&s->attached, a, of_session);
  evtimer_del(&l->poll);
  evtimer_del(&l->late); /* what was said of the others does not hold for this one */
  l->waiting = l->waited = false;
  ctl_hold(c, life_hung_up, a);
  standin_allow(l->standin, s->uid);
  serve_kick(l->serve);
  return a;
}

static void welcome(struct ctl *c, struct listener *l, const int *fds, int nfds) {
  struct wire_reply r = {.status = WIRE_OK, .arena_id = slots_id(l->slots)};
  message_header(&r.hdr, WIRE_REPLY, sizeof r);
  ctl_answer(c, &r, sizeof r, fds, nfds, true);
}

/* A name that is known: listen() again, or the image after an exec or a daemon's restart says what another process
 * said before. A different TCP socket under the same name replaces the old one only for who owns it. */
static bool known_again(struct listener *l, struct session *s, int fd, int backlog) {
  uint64_t cookie = 0;
  socklen_t len = sizeof cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 && cookie == l->cookie) {
    serve_backlog(l->serve, backlog);
    return true;
  }
  struct attach *first = TAILQ_FIRST(&l->attached);
  if (!first || first->session == s)
    listener_close(l);
  return false;
}

void listeners_listen(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  struct worker *w = c->worker;
  struct wire_listen m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct session *s = session_find(w, &m.token, c->cred.uid);
  if (!s) {
    ctl_reply(c, WIRE_UNKNOWN_SESSION, EACCES, "no such session");
    return;
  }
  uint32_t rule = is_tcp_listener(fds[0]) ? registry_rule(s, fds[0]) : ATTACH_NO_RULE;
  /* The index in the message is of the rules as the program saw them: they may be others by now. */
  if (rule == ATTACH_NO_RULE) {
    ctl_reply(c, WIRE_BAD_REQUEST, EACCES, "not a TCP listener that a listen rule covers");
    return;
  }
  struct listener *l = find(w, m.name);
  if (l && !may_speak(l, c)) {
    ctl_reply(c, WIRE_BAD_REQUEST, EACCES, "this stand-in belongs to another user");
    return;
  }
  if (l && !known_again(l, s, fds[0], m.backlog)) {
    l = NULL;
    if (find(w, m.name)) {
      ctl_reply(c, WIRE_BAD_REQUEST, EADDRINUSE, "this stand-in stands for another socket");
      return;
    }
  }
  if (!l) {
    l = listener_new(w, s, m.name, fds[0], m.backlog);
    if (l)
      fds[0] = -1;
  }
  if (!l || !attach(l, s, c, rule)) {
    ctl_reply(c, WIRE_BUSY, ENOBUFS, "the daemon is out of memory");
    if (l)
      listener_check(l);
    return;
  }
  welcome(c, l, NULL, 0);
}

void listeners_adopt(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  struct worker *w = c->worker;
  struct wire_listen m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct session *s = session_find(w, &m.token, c->cred.uid);
  if (!s) {
    ctl_reply(c, WIRE_UNKNOWN_SESSION, EACCES, "no such session");
    return;
  }
  struct listener *l = find(w, m.name);
  if (!l) {
    ctl_reply(c, WIRE_NOT_FOUND, EACCES, "no listener of that name");
    return;
  }
  /* Its name is no secret: whoever gets the TCP listener has to show that the stand-in is his. */
  if (!procunix_is(l->name, fds[0])) {
    ctl_reply(c, WIRE_NOT_FOUND, EACCES, "the descriptor that came along is not that stand-in");
    return;
  }
  int fd = serve_fd(l->serve);
  if (!attach(l, s, c, registry_rule(s, fd))) {
    ctl_reply(c, WIRE_BUSY, ENOBUFS, "the daemon is out of memory");
    return;
  }
  welcome(c, l, &fd, 1);
}

void listeners_unlisten(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  (void)fds;
  struct wire_listen m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct listener *l = find(c->worker, m.name);
  /* A forked child may hold it still: then it is served on. */
  if (l)
    listener_check(l);
  ctl_reply(c, WIRE_OK, 0, "%s", "");
}

/* Could binding to `want` fail because of `have`? */
static bool conflicts(const struct sockaddr_storage *have, socklen_t have_len, const struct wire_listen *want) {
  static const uint8_t any4[16] = {[10] = 0xff, [11] = 0xff}, any6[16];
  uint8_t a[16], b[16];
  uint16_t port_a, port_b;
  if (rules_address((const struct sockaddr *)have, have_len, a, &port_a) != 0 ||
      rules_address((const struct sockaddr *)&want->local, want->local_len, b, &port_b) != 0 || port_a != port_b)
    return false;
  return memcmp(a, b, 16) == 0 || !memcmp(a, any4, 16) || !memcmp(a, any6, 16) || !memcmp(b, any4, 16) ||
         !memcmp(b, any6, 16);
}

void listeners_sync(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  (void)fds;
  struct wire_listen m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct listener *l, *next;
  for (l = LIST_FIRST(&c->worker->listeners); l; l = next) {
    next = LIST_NEXT(l, link);
    if (conflicts(&l->local, l->local_len, &m))
      listener_check(l);
  }
  ctl_reply(c, WIRE_OK, 0, "%s", "");
}

static bool speaks_for(const struct session *s, const struct listener *l) {
  const struct attach *a;
  LIST_FOREACH(a, &s->attached, of_session)
  if (a->listener == l)
    return true;
  return false;
}

struct slots *listeners_arena(struct worker *w, uint64_t arena_id, const struct session *asker) {
  struct listener *l;
  LIST_FOREACH(l, &w->listeners, link)
  if (slots_id(l->slots) == arena_id && (l->uid == asker->uid || speaks_for(asker, l)))
    return l->slots;
  struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  if (s->uid == asker->uid && slots_id(s->slots) == arena_id)
    return s->slots;
  return NULL;
}
