/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_wait.c - what is ready? poll, ppoll, select, pselect and epoll in all its modes.
 *
 * No wait lasts: what has been sent has arrived before the question is asked, so the answer is known at once.
 */
#include "random.h"

static const unsigned masks[] = {EPOLLIN,
                                 EPOLLOUT,
                                 EPOLLIN | EPOLLOUT,
                                 EPOLLRDHUP,
                                 EPOLLIN | EPOLLRDHUP,
                                 EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI,
                                 EPOLLPRI,
                                 0};

static unsigned a_mask(void) { return masks[draw(sizeof masks / sizeof *masks)]; }

/* Near a full buffer it is open whether there is room, behind many bytes whether the end has come, and of an image's
 * listener whether the daemon's ring is there (a wake-up for nothing): such an answer is not told. */
static unsigned told(const struct object *o, unsigned mask) {
  if (o->kind == K_NONE) /* closed; the daemon may hold its copy of an accepted one for a moment longer */
    return 0;
  if (o->kind == K_CONN && conn_of(o)->relayed)
    return 0;
  if (o->kind == K_LISTENER && o->inherited && o->queued == 0)
    mask &= ~(unsigned)(EPOLLIN | EPOLLRDNORM);
  if (o->kind == K_CONN && unread(o) > EXACT)
    mask &= ~(unsigned)(EPOLLRDHUP | EPOLLHUP | EPOLLERR);
  if (o->kind == K_CONN && outstanding(o) > (200u << 10))
    mask &= ~(unsigned)(EPOLLOUT | EPOLLWRNORM);
  return mask;
}

static void op_poll(void) {
  struct pollfd p[6];
  const struct object *of[6];
  int n = 1 + (int)draw(5), ready = 0;
  settle_all();
  for (int k = 0; k < n; k++) {
    int i = chance(90) ? pick_quiet(K_SOCKET) : -1;
    of[k] = i < 0 ? NULL : object_of(i);
    p[k] = (struct pollfd){.fd = i >= 0 ? me->table[i].fd : chance(50) ? -1 : 777, .events = (short)a_mask()};
    if (chance(10))
      p[k].events |= POLLRDNORM | POLLWRNORM;
  }
  bool pp = chance(40);
  struct timespec t = {.tv_nsec = chance(10) ? 1000000 : 0};
  sigset_t none;
  sigemptyset(&none);
  long rc = AGAIN(pp ? ppoll(p, (nfds_t)n, &t, chance(50) ? &none : NULL) : poll(p, (nfds_t)n, chance(90) ? 0 : 1));
  for (int k = 0; k < n; k++) {
    unsigned mask = of[k] ? told(of[k], (unsigned)p[k].revents) : (unsigned)p[k].revents;
    ready += mask != 0;
    say(" %d for %s: %s\n", p[k].fd, mask_name((unsigned)p[k].events), mask_name(mask));
  }
  if (rc < 0 || rc < ready)
    say("  = %s", answer(rc, errno));
}

static void op_select(void) {
  fd_set set[3], *use[3];
  int fds[5], n = 1 + (int)draw(4), top = 0;
  const struct object *of[5];
  settle_all();
  for (int s = 0; s < 3; s++) {
    FD_ZERO(&set[s]);
    use[s] = chance(75) ? &set[s] : NULL;
  }
  for (int k = 0; k < n; k++) {
    int i = pick_quiet(K_SOCKET);
    if (i < 0)
      return;
    of[k] = object_of(i);
    fds[k] = me->table[i].fd;
    top = fds[k] > top ? fds[k] : top;
    for (int s = 0; s < 3; s++) {
      if (chance(60))
        FD_SET(fds[k], &set[s]);
    }
  }
  struct timeval tv = {.tv_usec = chance(10) ? 1000 : 0};
  struct timespec ts = {.tv_nsec = chance(10) ? 1000000 : 0};
  fd_set before[3] = {set[0], set[1], set[2]};
  long rc;
  bool ps = chance(40);
  do {
    for (int s = 0; s < 3; s++)
      set[s] = before[s];
    rc = ps ? pselect(top + 1, use[0], use[1], use[2], &ts, NULL) : select(top + 1, use[0], use[1], use[2], &tv);
  } while (rc < 0 && errno == EINTR);
  say(" %s", rc < 0 ? answer(rc, errno) : "");
  for (int k = 0; k < n; k++)
    say("  %d%s%s%s", fds[k], use[0] && FD_ISSET(fds[k], &set[0]) && told(of[k], EPOLLIN) ? " r" : "",
        use[1] && FD_ISSET(fds[k], &set[1]) && told(of[k], EPOLLOUT) ? " w" : "",
        use[2] && FD_ISSET(fds[k], &set[2]) ? " e" : "");
}

/* ---- epoll ---- */
static void op_epoll_create(void) {
  if (me->count >= NUMBERS - 6 || W->objects >= OBJECTS - 4)
    return;
  int fd = chance(50) ? epoll_create1(chance(50) ? EPOLL_CLOEXEC : 0) : epoll_create(5);
  number_add(fd, object_new(K_EPOLL));
  say(" = %d", fd);
}

static const char *mode_name(unsigned events) {
  static char buf[64];
  buf[0] = 0;
  strcat(buf, events & EPOLLET ? " ET" : "");
  strcat(buf, events & EPOLLONESHOT ? " ONESHOT" : "");
  strcat(buf, events & EPOLLEXCLUSIVE ? " EXCLUSIVE" : "");
  return buf;
}

static void op_epoll_ctl(void) {
  static const char *const names[] = {"", "ADD", "DEL", "MOD"};
  int e = pick(K_EPOLL), i = chance(95) ? pick(chance(90) ? K_SOCKET : K_EPOLL) : -1, how = 1 + (int)draw(3);
  if (e < 0 || (i >= 0 && object_of(i)->kind == K_CONN && conn_of(object_of(i))->relayed))
    return;
  if (chance(50))
    how = EPOLL_CTL_ADD;
  int fd = i < 0 ? 778 : me->table[i].fd;
  struct epoll_event ev = {.events = a_mask(),
                           .data.u64 = (uint64_t)(i < 0 ? 0 : me->table[i].object) << 32 | (unsigned)fd};
  ev.events |= (chance(30) ? EPOLLET : 0) | (chance(20) ? EPOLLONESHOT : 0);
  if (chance(5))
    ev.events |= EPOLLEXCLUSIVE;
  settle_all();
  long rc = epoll_ctl(me->table[e].fd, how, fd, &ev);
  say(" %s(%d, %d) %s%s = %s", names[how], me->table[e].fd, fd, mask_name(ev.events), mode_name(ev.events),
      answer(rc, errno));
}

static int by_data(const void *a, const void *b) {
  uint64_t x = ((const struct epoll_event *)a)->data.u64, y = ((const struct epoll_event *)b)->data.u64;
  return x < y ? -1 : x > y;
}

static void op_epoll_wait(void) {
  int e = pick(K_EPOLL);
  struct epoll_event ev[64];
  struct timespec t = {0};
  if (e < 0)
    return;
  int fd = me->table[e].fd;
  uint32_t how = draw(3);
  long n = AGAIN(how == 0   ? epoll_wait(fd, ev, 64, 0)
                 : how == 1 ? epoll_pwait(fd, ev, 64, chance(20) ? 1 : 0, NULL)
                            : epoll_pwait2(fd, ev, 64, &t, NULL));
  say(" (%d)%s", fd, n < 0 ? answer(n, errno) : "");
  if (n > 0)
    qsort(ev, (size_t)n, sizeof *ev, by_data);
  for (long k = 0; k < n; k++) {
    unsigned mask = told(&W->object[ev[k].data.u64 >> 32], ev[k].events);
    if (mask)
      say("  %u: %s", (unsigned)ev[k].data.u64, mask_name(mask));
  }
}

const struct op ops_wait[] = {
    {"poll", op_poll, 70, F_BASE | F_WAIT, false},   {"select", op_select, 40, F_WAIT, false},
    {"epoll", op_epoll_create, 20, F_WAIT, false},   {"epoll_ctl", op_epoll_ctl, 80, F_WAIT, false},
    {"epoll_wait", op_epoll_wait, 80, F_WAIT, true}, {0}};
