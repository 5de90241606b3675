/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_life.c - how sockets come and go: socket, bind, listen, connect in its many ways, accept, shutdown, close.
 */
#include "random.h"

static bool room(void) { return me->count < NUMBERS - 6 && W->objects < OBJECTS - 4 && W->conns < CONNS - 2; }

static void op_socket(void) {
  static const int kinds[] = {SOCK_STREAM, SOCK_STREAM | SOCK_NONBLOCK, SOCK_STREAM | SOCK_CLOEXEC};
  if (!room())
    return;
  int type = kinds[draw(3)], fd = socket(AF_INET, type, chance(50) ? 0 : IPPROTO_TCP);
  int object = object_new(K_FRESH);
  W->object[object].nonblock = type & SOCK_NONBLOCK;
  number_add(fd, object);
  say(" socket(%s) = %d", type & SOCK_NONBLOCK ? "nonblock" : type & SOCK_CLOEXEC ? "cloexec" : "", fd);
}

static uint16_t new_port(void) { return W->port[(W->seed * 5 + (uint64_t)W->taken++) % ((uint64_t)W->ports - 1)]; }
static uint16_t dead_port(void) { return W->port[W->ports - 1]; }

/* What a seed before this one left on the port is on its way out. */
static int bind_patiently(int fd, uint16_t port) {
  struct sockaddr_in a = at_port(port);
  int rc;
  for (int i = 0; (rc = bind(fd, (struct sockaddr *)&a, sizeof a)) != 0 && errno == EADDRINUSE && i < 1000; i++)
    usleep(2000);
  return rc;
}

void op_listen(void) {
  int one = 1, listeners = 0;
  for (int i = 0; i < W->objects; i++)
    listeners += W->object[i].kind == K_LISTENER;
  if (!room() || listeners >= 3 || W->taken >= 5)
    return;
  uint16_t port = new_port();
  int type = SOCK_STREAM | (chance(40) ? SOCK_NONBLOCK : 0), fd = socket(AF_INET, type, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  long rc = bind_patiently(fd, port);
  say(" bind = %s", answer(rc, errno));
  if (rc == 0) {
    rc = listen(fd, 4 + (int)draw(100));
    say("  listen(%d%s) = %s", fd, type & SOCK_NONBLOCK ? " nonblock" : "", answer(rc, errno));
  }
  int object = object_new(rc == 0 ? K_LISTENER : K_DEAD);
  W->object[object].port = port;
  W->object[object].bound = true;
  W->object[object].nonblock = type & SOCK_NONBLOCK;
  number_add(fd, object);
}

/* Calls that do not fit what the socket is. */
static void op_misfit(void) {
  int i = pick_quiet(K_SOCKET);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  int fd = me->table[i].fd;
  struct sockaddr_in a = at_port(dead_port());
  long rc;
  settle(i);
  switch (draw(4)) {
  case 0:
    if (o->kind == K_FRESH)
      return;
    rc = bind(fd, (struct sockaddr *)&a, sizeof a);
    say(" bind(%d) again = %s", fd, answer(rc, errno));
    return;
  case 1:
    if (o->kind == K_FRESH || o->kind == K_DEAD)
      return;
    rc = listen(fd, 7);
    say(" listen(%d) again = %s", fd, answer(rc, errno));
    return;
  case 2:
    if (o->kind == K_LISTENER)
      return;
    rc = accept4(fd, NULL, NULL, chance(50) ? SOCK_CLOEXEC : 0);
    say(" accept(%d) on no listener = %s", fd, answer(rc, errno));
    return;
  default:
    /* On one that was reset a second connect() disconnects, or not: it depends on whether the first was ever asked.
     */
    if (o->kind == K_FRESH || o->kind == K_DEAD || (o->kind == K_CONN && conn_of(o)->reset[o->side]))
      return;
    rc = connect(fd, (struct sockaddr *)&a, sizeof a);
    say(" connect(%d) again = %s", fd, answer(rc, errno));
  }
}

/* ---- connect ---- */
/* Until a non-blocking connect is over: by one of the ways that programs have. */
static void wait_connected(int fd, struct sockaddr_in *a) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  fd_set w;
  switch (draw(4)) {
  case 0: {
    long n = AGAIN(poll(&p, 1, 10000));
    say("  poll = %ld %s", n, mask_name((unsigned)p.revents));
    return;
  }
  case 1: {
    long n;
    do {
      FD_ZERO(&w);
      FD_SET(fd, &w);
      struct timeval t = {.tv_sec = 10};
      n = select(fd + 1, NULL, &w, NULL, &t);
    } while (n < 0 && errno == EINTR);
    say("  select = %ld", n);
    return;
  }
  case 2: {
    int e = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLOUT | (chance(50) ? EPOLLET : 0) | (chance(30) ? EPOLLRDHUP : 0)};
    epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev);
    long n = AGAIN(epoll_wait(e, &ev, 1, 10000));
    say("  epoll = %ld %s", n, mask_name(ev.events));
    close(e);
    return;
  }
  default: {
    long rc;
    int tries = 0;
    do
      rc = connect(fd, (struct sockaddr *)a, sizeof *a);
    while (rc != 0 && (errno == EALREADY || errno == EINTR) && (usleep(500), ++tries < 20000));
    say("  connect again = %s", answer(rc, errno));
  }
  }
}

/* A signal came while a blocking connect() waited: it goes on, and ends as if it had not been interrupted. */
static long connect_interrupted(int fd, const struct sockaddr_in *a) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  int e = 0;
  socklen_t len = sizeof e;
  if (AGAIN(poll(&p, 1, 10000)) != 1)
    return -1;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
  /* Answers 0 or ECONNABORTED, and the one after it EISCONN, or it begins anew. */
  connect(fd, (const struct sockaddr *)a, sizeof *a);
  errno = e;
  return e ? -1 : 0;
}

static long connect_with(int fd, struct object *o, uint16_t port) {
  struct sockaddr_in a = at_port(port);
  long rc = connect(fd, (struct sockaddr *)&a, sizeof a);
  if (rc != 0 && errno == EINTR && !o->nonblock)
    rc = connect_interrupted(fd, &a);
  say(" connect(%d%s) = %s", fd, o->nonblock ? " nonblock" : "", answer(rc, errno));
  if (rc == 0 || (errno != EINPROGRESS && errno != EINTR))
    return rc;
  wait_connected(fd, &a);
  if (chance(60)) {
    int e = -1;
    socklen_t len = sizeof e;
    rc = getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
    say("  SO_ERROR = %s %s", answer(rc, errno), e ? strerrorname_np(e) : "0");
  }
  if (chance(40)) {
    rc = connect(fd, (struct sockaddr *)&a, sizeof a);
    say("  connect again = %s", answer(rc, errno));
    if (rc == -1 && errno == EINPROGRESS) /* the one before was refused; how soon this one is, is open */
      wait_connected(fd, &a);
  }
  struct sockaddr_in peer;
  socklen_t len = sizeof peer;
  return getpeername(fd, (struct sockaddr *)&peer, &len);
}

static int a_listener(void) {
  int found[OBJECTS], n = 0;
  for (int i = 0; i < W->objects; i++) {
    const struct object *o = &W->object[i];
    if (o->kind == K_LISTENER && o->queued < 1 && !o->shut)
      found[n++] = i;
  }
  return n ? found[draw((uint32_t)n)] : -1;
}

void op_connect(void) {
  int one = 1, i = chance(40) ? pick(K_FRESH) : -1, listener = a_listener();
  /* The keys are in the process that connects: one that has had the socket since before cannot use it. */
  if (i >= 0 && object_of(i)->shared)
    i = -1;
  if (!room() || listener < 0)
    return;
  if (i < 0) {
    bool nonblock = chance(40);
    int fd = socket(AF_INET, SOCK_STREAM | (nonblock ? SOCK_NONBLOCK : 0), 0);
    int object = object_new(K_FRESH);
    W->object[object].nonblock = nonblock;
    number_add(fd, object);
    i = number_find(fd);
  }
  struct object *o = object_of(i), *l = &W->object[listener];
  int fd = me->table[i].fd, c = conn_new();
  W->conn[c].listener = listener;
  l->queue[l->queued++] = c;
  if (connect_with(fd, o, l->port) != 0) {
    say("  not connected");
    l->queued--;
    o->kind = K_DEAD;
    return;
  }
  struct sockaddr_in a = {0};
  socklen_t len = sizeof a;
  getsockname(fd, (struct sockaddr *)&a, &len);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  o->kind = K_CONN;
  o->conn = c;
  o->side = 0;
  W->conn[c].client_port = ntohs(a.sin_port);
  W->settle = listener;
}

/* A port where nobody listens, and the same socket once more. */
static void op_refused(void) {
  int i = pick(K_FRESH);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  int fd = me->table[i].fd;
  if (connect_with(fd, o, dead_port()) == 0)
    say("  connected?");
  if (chance(30)) {
    struct sockaddr_in a = at_port(dead_port());
    long rc = connect(fd, (struct sockaddr *)&a, sizeof a);
    for (int tries = 0; rc != 0 && errno == EALREADY && tries < 20000; tries++) {
      usleep(500); /* the refusal of the connect before it is on its way */
      rc = connect(fd, (struct sockaddr *)&a, sizeof a);
    }
    if (rc != 0 && errno == EINTR && !o->nonblock)
      rc = connect_interrupted(fd, &a);
    say("  connect once more = %s", answer(rc, errno));
    if (rc == -1 && errno == EINPROGRESS)
      wait_connected(fd, &a);
  }
}

static void op_unspec(void) {
  int i = pick(K_FRESH);
  if (i < 0)
    return;
  struct sockaddr a = {.sa_family = AF_UNSPEC};
  long rc = connect(me->table[i].fd, &a, sizeof a);
  say(" connect(%d, AF_UNSPEC) = %s", me->table[i].fd, answer(rc, errno));
}

/* ---- accept ---- */
void accepted(struct object *l, int fd, bool nonblock) {
  int c = l->queue[0];
  memmove(l->queue, l->queue + 1, sizeof l->queue - sizeof l->queue[0]);
  l->queued--;
  int object = object_new(K_CONN);
  W->object[object].conn = c;
  W->object[object].side = 1;
  W->object[object].nonblock = nonblock;
  W->conn[c].listener = -1;
  number_add(fd, object);
}

void op_accept(void) {
  int i = pick_quiet(K_LISTENER);
  if (i < 0 || !room())
    return;
  struct object *l = object_of(i);
  settle(i);
  if (l->queued == 0 && !l->nonblock && !l->shut)
    return;
  struct sockaddr_in a = {0};
  socklen_t len = sizeof a;
  int flags = chance(30) ? SOCK_NONBLOCK : 0, how = (int)draw(3), listener = me->table[i].fd;
  flags |= chance(20) ? SOCK_CLOEXEC : 0;
  long fd = AGAIN(how == 0   ? accept(listener, NULL, NULL)
                  : how == 1 ? accept(listener, (struct sockaddr *)&a, &len)
                             : accept4(listener, (struct sockaddr *)&a, &len, flags));
  say(" accept(%d) = %s", listener, answer(fd, errno));
  if (fd < 0)
    return;
  if (how != 0)
    say("  from family %d, %u bytes", a.sin_family, len);
  if (l->queued == 0) {
    say("  and nobody connected");
    close((int)fd);
    return;
  }
  int one = 1, c = l->queue[0];
  len = sizeof a;
  setsockopt((int)fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (getpeername((int)fd, (struct sockaddr *)&a, &len) == 0 && ntohs(a.sin_port) != W->conn[c].client_port)
    say("  another peer than expected");
  accepted(l, (int)fd, how == 2 && (flags & SOCK_NONBLOCK));
}

/* ---- the end ---- */
static void op_shutdown(void) {
  int i = pick_quiet(chance(92) ? K_CONN : K_DEAD);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  int how = (int)draw(3);
  if (o->kind == K_CONN && (outstanding(o) > EXACT || unread(o) > EXACT))
    return;
  /* Then the peer has been told already that it may still send, and its close_notify would be answered by a reset. */
  if (o->kind == K_CONN && conn_of(o)->from[o->side].fin)
    how = SHUT_WR;
  settle(i);
  long rc = shutdown(me->table[i].fd, how);
  say(" shutdown(%d, %s) = %s", me->table[i].fd,
      how == SHUT_RD   ? "RD"
      : how == SHUT_WR ? "WR"
                       : "RDWR",
      answer(rc, errno));
  if (rc != 0 || o->kind != K_CONN)
    return;
  if (how != SHUT_RD)
    conn_shut_wr(o);
  if (how != SHUT_WR)
    conn_of(o)->shut_rd[o->side] = true;
}

static void op_close(void) {
  int i = pick(chance(80) ? K_CONN | K_FRESH | K_DEAD | K_EPOLL : ~0u);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  if (o->reader)
    return;
  settle(i);
  long rc = close(me->table[i].fd);
  say(" close(%d) = %s", me->table[i].fd, answer(rc, errno));
  number_drop(i);
}

/* SO_LINGER of no time: the last close resets. */
static void op_linger(void) {
  int i = pick(K_CONN);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  struct linger l = {.l_onoff = (int)draw(2), .l_linger = (int)draw(2)};
  long rc = setsockopt(me->table[i].fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
  conn_of(o)->linger0[o->side] = l.l_onoff && l.l_linger == 0;
  say(" SO_LINGER(%d) {%d, %d} = %s", me->table[i].fd, l.l_onoff, l.l_linger, answer(rc, errno));
}

const struct op ops_life[] = {{"socket", op_socket, 30, F_BASE, false},
                              {"listen", op_listen, 20, F_BASE, false},
                              {"misfit", op_misfit, 20, F_BASE, false},
                              {"connect", op_connect, 60, F_BASE, false},
                              {"refused", op_refused, 20, F_BASE, false},
                              {"unspec", op_unspec, 10, F_BASE, false},
                              {"accept", op_accept, 60, F_BASE, false},
                              {"shutdown", op_shutdown, 40, F_BASE, false},
                              {"close", op_close, 70, F_BASE, false},
                              {"linger", op_linger, 20, F_OPTION, false},
                              {0}};
