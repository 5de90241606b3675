/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - the relay's lanes: a few threads, each with an epoll set over its connections. epoll and not libevent,
 * because a hangup has to be heard of on a descriptor that nothing else is wanted of. A connection stays on its lane;
 * more than one lane, because both ends of a connection may be relayed here, and sealing and opening are work.
 */
#include "internal.h"

#include "agentclient/daemon/clock.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 32

TAILQ_HEAD(passages, passage);

struct lane {
  pthread_mutex_t lock; /* over fresh and totals, and changes of all */
  struct passages fresh;
  struct relay_totals totals;
  bool started, leaving;
  pthread_t thread;
  int epoll, wake;
  struct passages all; /* the thread's own */
  struct lingering lingering;
};

#define LANES 4

struct relay {
  struct lane lane[LANES];
  unsigned next; /* lane of the next connection */
};

/* Shared, as the arena is: the record engine gives the pages of its buffers back by MADV_REMOVE, which private memory
 * does not know. It would be tried again at every call. */
struct arena_slot *relay_slot_new(void) {
  void *p = mmap(NULL, ARENA_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return NULL;
  madvise(p, ARENA_STRIDE, MADV_DONTDUMP);
  return p;
}

void relay_slot_free(struct arena_slot *slot) {
  if (!slot)
    return;
  OPENSSL_cleanse(slot, ARENA_PAGE);
  if (slot->r_dirty || slot->w_dirty)
    OPENSSL_cleanse(slot, ARENA_STRIDE);
  munmap(slot, ARENA_STRIDE);
}

/* A hangup is told again and again: who has hung up leaves the set, and what is still to be done hangs on the other
 * leg. */
static void watch(struct lane *r, struct leg *leg, uint32_t events, bool hung_up) {
  struct epoll_event e = {.events = events, .data.ptr = leg};
  if (leg->out || (leg->watched == events && !hung_up))
    return;
  leg->watched = events;
  leg->out = hung_up;
  epoll_ctl(r->epoll, hung_up ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, leg->fd, &e);
}

/* Closing is not enough to leave the set: programs hold the same sockets, and their events would come for memory that
 * is gone. */
static void leave(struct lane *r, const struct leg *leg) {
  if (leg->fd >= 0)
    epoll_ctl(r->epoll, EPOLL_CTL_DEL, leg->fd, NULL);
}

static void end(struct lane *r, struct passage *p) {
  leave(r, &p->tcp);
  leave(r, &p->pair);
  linger_end(&r->lingering, p);
  pthread_mutex_lock(&r->lock);
  TAILQ_REMOVE(&r->all, p, link);
  r->totals.live--;
  r->totals.bytes_in += p->slot->bytes_in;
  r->totals.bytes_out += p->slot->bytes_out;
  r->totals.lingering = r->lingering.count;
  pthread_mutex_unlock(&r->lock);
  passage_free(p);
}

/* All that the program had to say is the kernel's now. Nobody is told when the peer has taken it: that is looked at
 * every now and then (tick()). What the peer says is heard of at once, and once: it stays where it is. */
static void linger(struct lane *r, struct passage *p) {
  bool lingers = linger_begin(&r->lingering, p);
  pthread_mutex_lock(&r->lock);
  r->totals.lingering = r->lingering.count;
  r->totals.linger_refused = r->lingering.refused;
  pthread_mutex_unlock(&r->lock);
  if (!lingers)
    return;
  leave(r, &p->pair);
  close(p->pair.fd);
  p->pair.fd = -1;
  struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = &p->tcp};
  epoll_ctl(r->epoll, p->tcp.out ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, p->tcp.fd, &e);
  p->tcp.out = p->dead = false;
}

static void pump(struct lane *r, struct passage *p, uint8_t *scratch, uint32_t tcp_events, uint32_t pair_events) {
  if (p->lingers) {
    p->dead = linger_over(p);
    return;
  }
  passage_pump(p, scratch, pair_events);
  if (p->dead) {
    linger(r, p);
    return;
  }
  watch(r, &p->tcp, passage_tcp_events(p), (tcp_events & (EPOLLHUP | EPOLLERR)) != 0);
  watch(r, &p->pair, passage_pair_events(p), p->gone);
}

static void begin(struct lane *r, struct passage *p, uint8_t *scratch) {
  struct epoll_event t = {.data.ptr = &p->tcp}, q = {.data.ptr = &p->pair};
  pthread_mutex_lock(&r->lock);
  TAILQ_INSERT_TAIL(&r->all, p, link);
  pthread_mutex_unlock(&r->lock);
  p->conn.sealed = scratch + PIPE_BYTES;
  p->conn.size_sealed = PIPE_SEALED;
  if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, p->tcp.fd, &t) != 0 ||
      epoll_ctl(r->epoll, EPOLL_CTL_ADD, p->pair.fd, &q) != 0)
    p->dead = true;
  else
    pump(r, p, scratch, 0, 0);
}

static void take_fresh(struct lane *r, uint8_t *scratch) {
  struct passages fresh = TAILQ_HEAD_INITIALIZER(fresh);
  struct passage *p;
  uint64_t count;
  if (read(r->wake, &count, sizeof count) != (ssize_t)sizeof count)
    return;
  pthread_mutex_lock(&r->lock);
  TAILQ_CONCAT(&fresh, &r->fresh, link);
  pthread_mutex_unlock(&r->lock);
  while ((p = TAILQ_FIRST(&fresh))) {
    TAILQ_REMOVE(&fresh, p, link);
    begin(r, p, scratch);
    if (p->dead)
      end(r, p);
  }
}

static bool leaving(struct lane *r) {
  pthread_mutex_lock(&r->lock);
  bool yes = r->leaving;
  pthread_mutex_unlock(&r->lock);
  return yes;
}

static void tick(struct lane *r) {
  struct passage *p = TAILQ_FIRST(&r->lingering.all);
  while (p) {
    struct passage *next = TAILQ_NEXT(p, linger_link);
    if (linger_over(p))
      end(r, p);
    p = next;
  }
}

static void *lane_thread(void *arg) {
  struct lane *r = arg;
  int64_t next_tick_ms = 0;
  struct epoll_event event[BATCH];
  uint8_t *scratch = malloc(PIPE_BYTES + PIPE_SEALED);
  while (scratch && !leaving(r)) {
    int n = epoll_wait(r->epoll, event, BATCH, r->lingering.count ? LINGER_TICK_MS : -1);
    struct passage *over[BATCH];
    int overs = 0;
    for (int i = 0; i < n; i++) {
      struct leg *leg = event[i].data.ptr;
      if (!leg) {
        take_fresh(r, scratch);
        continue;
      }
      struct passage *p = leg->passage;
      if (p->dead) /* its other leg, in the same batch */
        continue;
      bool tcp = leg == &p->tcp;
      pump(r, p, scratch, tcp ? event[i].events : 0, tcp ? 0 : event[i].events);
      if (p->dead)
        over[overs++] = p;
    }
    while (overs > 0) /* after the batch: its events point into them */
      end(r, over[--overs]);
    if (r->lingering.count && clock_ms() >= next_tick_ms) {
      tick(r);
      next_tick_ms = clock_ms() + LINGER_TICK_MS;
    }
  }
  while (!TAILQ_EMPTY(&r->all))
    end(r, TAILQ_FIRST(&r->all));
  if (scratch)
    OPENSSL_cleanse(scratch, PIPE_BYTES + PIPE_SEALED);
  free(scratch);
  return NULL;
}

struct relay *relay_new(void) {
  struct relay *relay = calloc(1, sizeof *relay);
  for (size_t i = 0; relay && i < LANES; i++) {
    struct lane *r = &relay->lane[i];
    pthread_mutex_init(&r->lock, NULL);
    TAILQ_INIT(&r->fresh);
    TAILQ_INIT(&r->all);
    TAILQ_INIT(&r->lingering.all);
    r->epoll = r->wake = -1;
  }
  return relay;
}

static void ring(struct lane *r) {
  const uint64_t one = 1;
  (void)!write(r->wake, &one, sizeof one);
}

/* With every signal blocked: they are the control thread's. */
static int start(struct lane *r) {
  struct epoll_event e = {.events = EPOLLIN};
  sigset_t all, before;
  r->epoll = epoll_create1(EPOLL_CLOEXEC);
  r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (r->epoll < 0 || r->wake < 0 || epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->wake, &e) != 0)
    return -errno;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int rc = pthread_create(&r->thread, NULL, lane_thread, r);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  r->started = rc == 0;
  return -rc;
}

int relay_take(struct relay *relay, struct arena_slot *slot, int tcp, int pair, int theirs, pid_t pid) {
  struct lane *r = &relay->lane[relay->next++ % LANES];
  socklen_t len = sizeof(uint64_t);
  struct passage *p = calloc(1, sizeof *p);
  bool closed = atomic_load(&slot->holders) == 0 && slot->w_shut;
  int rc = p ? conn_adopt(&p->conn, slot) : -ENOMEM;
  if (rc == 0 && !r->started)
    rc = start(r);
  if (rc != 0) {
    free(p);
    relay_slot_free(slot);
    close(tcp);
    close(pair);
    return rc;
  }
  setsockopt(pair, SOL_SOCKET, SO_SNDBUF, &(int){PIPE_SNDBUF}, sizeof(int));
  p->slot = slot;
  p->pid = pid;
  p->fin_last = slot->r_shut;
  p->gone = p->outward_ended = closed; /* nobody is going to use the pair */
  getsockopt(theirs, SOL_SOCKET, SO_COOKIE, &p->cookie, &len);
  p->tcp = (struct leg){.passage = p, .fd = tcp};
  p->pair = (struct leg){.passage = p, .fd = pair};
  pthread_mutex_lock(&r->lock);
  TAILQ_INSERT_TAIL(&r->fresh, p, link);
  r->totals.live++;
  pthread_mutex_unlock(&r->lock);
  ring(r);
  return 0;
}

void relay_each(struct relay *relay, void (*fn)(void *arg, const struct arena_slot *slot), void *arg) {
  for (size_t i = 0; i < LANES; i++) {
    struct lane *r = &relay->lane[i];
    const struct passage *p;
    pthread_mutex_lock(&r->lock);
    TAILQ_FOREACH(p, &r->all, link)
    fn(arg, p->slot);
    TAILQ_FOREACH(p, &r->fresh, link)
    fn(arg, p->slot);
    pthread_mutex_unlock(&r->lock);
  }
}

static void add_live(void *arg, const struct arena_slot *slot) {
  struct relay_totals *t = arg;
  t->bytes_in += atomic_load_explicit(&slot->bytes_in, memory_order_relaxed);
  t->bytes_out += atomic_load_explicit(&slot->bytes_out, memory_order_relaxed);
}

void relay_totals(struct relay *relay, struct relay_totals *t) {
  memset(t, 0, sizeof *t);
  for (size_t i = 0; i < LANES; i++) {
    struct lane *r = &relay->lane[i];
    pthread_mutex_lock(&r->lock);
    t->live += r->totals.live;
    t->bytes_in += r->totals.bytes_in;
    t->bytes_out += r->totals.bytes_out;
    t->lingering += r->totals.lingering;
    t->linger_refused += r->totals.linger_refused;
    pthread_mutex_unlock(&r->lock);
  }
  relay_each(relay, add_live, t);
}

uint64_t relay_linger_refused(struct relay *relay) {
  uint64_t sum = 0;
  for (size_t i = 0; i < LANES; i++) {
    struct lane *r = &relay->lane[i];
    pthread_mutex_lock(&r->lock);
    sum += r->totals.linger_refused;
    pthread_mutex_unlock(&r->lock);
  }
  return sum;
}

static void lane_end(struct lane *r) {
  if (r->started) {
    pthread_mutex_lock(&r->lock);
    r->leaving = true;
    pthread_mutex_unlock(&r->lock);
    ring(r);
    pthread_join(r->thread, NULL);
  }
  struct passage *p;
  while ((p = TAILQ_FIRST(&r->fresh))) {
    TAILQ_REMOVE(&r->fresh, p, link);
    passage_free(p);
  }
  if (r->epoll >= 0)
    close(r->epoll);
  if (r->wake >= 0)
    close(r->wake);
  pthread_mutex_destroy(&r->lock);
}

void relay_free(struct relay *relay) {
  if (!relay)
    return;
  for (size_t i = 0; i < LANES; i++)
    lane_end(&relay->lane[i]);
  free(relay);
}
