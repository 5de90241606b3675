/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_proc.c - processes and threads: forks that go on with what they inherited and end in every way, timers whose
 * signals come at any moment, a second thread that is blocked in a call until another process makes it return.
 */
#include "random.h"

#include <stdio_ext.h>
#include <sys/syscall.h>

/* ---- fork ---- */
static void op_fork(void) {
  int index = -1;
  for (int w = 2; w < WORKERS && index < 0; w++) {
    if (W->worker[w].pid == 0)
      index = w;
  }
  if (index < 0)
    return;
  struct worker *w = &W->worker[index];
  w->count = me->count;
  memcpy(w->table, me->table, sizeof w->table);
  for (int i = 0; i < w->count; i++) {
    struct object *o = &W->object[w->table[i].object];
    o->refs++;
    o->shared |= o->kind == K_FRESH || o->kind == K_DEAD;
  }
  pid_t pid = chance(80) ? fork() : _Fork();
  if (pid == 0)
    worker_loop(index);
  say(" %s %c", pid > 0 ? "makes" : "does not make", 'A' + index);
  w->pid = pid;
  w->alive = pid > 0;
}

/* Nobody reads the close_notify that waits for a killed process; where TCP would have had a FIN, which is no data,
 * the kernel resets its peer. */
static void killed(void) {
  for (int i = 0; i < me->count; i++) {
    const struct object *o = object_of(i);
    if (o->kind == K_CONN)
      conn_of(o)->killed[o->side] = true;
    if (o->kind == K_CONN && conn_of(o)->from[!o->side].fin)
      conn_of(o)->vague[!o->side] = true;
  }
}

/* A child ends. What it alone held is closed, and everybody hears of it. */
static void op_end(void) {
  if (me - W->worker < 2 || flying_listener())
    return;
  int how = (int)draw(3);
  if (how == 2)
    killed();
  say(" %s", how == 0 ? "_exit" : how == 1 ? "exit" : "killed");
  W->dying = (int)(me - W->worker);
  sem_post(&W->done);
  if (how == 0)
    _exit(0);
  if (how == 1) {
    __fpurge(stdin); /* exit() would seek back by what it has buffered, and that is the coordinator's */
    exit(0);
  }
  kill(getpid(), SIGKILL);
}

/* ---- signals at any moment ---- */
static void on_timer(int sig) { (void)sig; }

static void op_noise(void) {
  struct sigaction sa = {.sa_handler = on_timer, .sa_flags = chance(50) ? SA_RESTART : 0};
  bool on = !me->noise;
  /* Not faster than any wait's timeout: what is interrupted begins again. */
  struct itimerval t = {.it_value.tv_usec = on ? 100 + draw(4000) : 0,
                        .it_interval.tv_usec = on ? 5000 + draw(5000) : 0};
  sigaction(SIGALRM, &sa, NULL);
  setitimer(ITIMER_REAL, &t, NULL);
  me->noise = on;
  say(" %s%s", on ? "on" : "off", sa.sa_flags ? " SA_RESTART" : "");
}

/* ---- a second thread ---- */
enum { J_READ, J_RECV, J_POLL, J_EPOLL, J_SELECT, J_ACCEPT, J_HOWS };
static const char *const job_name[] = {"read", "recv", "poll", "epoll", "select", "accept"};

static void job_wait(struct job *j) {
  struct pollfd p = {.fd = j->fd, .events = POLLIN};
  struct epoll_event ev = {.events = EPOLLIN};
  fd_set r;
  int e = -1;
  if (j->what == J_EPOLL) {
    e = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(e, EPOLL_CTL_ADD, j->fd, &ev);
  }
  do {
    FD_ZERO(&r);
    FD_SET(j->fd, &r);
    j->result = j->what == J_POLL    ? poll(&p, 1, -1)
                : j->what == J_EPOLL ? epoll_wait(e, &ev, 1, -1)
                                     : select(j->fd + 1, &r, NULL, NULL, NULL);
  } while (j->result == -1 && errno == EINTR);
  j->error = errno;
  j->mask = (short)(j->what == J_POLL ? p.revents : j->what == J_EPOLL ? (short)ev.events : 0);
  if (e >= 0)
    close(e);
}

static void *job_thread(void *arg) {
  struct job *j = arg;
  struct object *o = &W->object[j->object];
  uint8_t *buf = malloc(j->len);
  int one = 1;
  j->tid = (int)raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
  if (j->what >= J_POLL && j->what <= J_SELECT) {
    job_wait(j);
  } else {
    do
      j->result = j->what == J_ACCEPT ? accept(j->fd, NULL, NULL)
                  : j->what == J_READ ? read(j->fd, buf, j->len)
                                      : recv(j->fd, buf, j->len, j->flags);
    while (j->result == -1 && errno == EINTR);
    j->error = errno;
    if (j->what == J_ACCEPT && j->result >= 0)
      setsockopt((int)j->result, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    else if (j->result > 0)
      j->wrong = !same(buf, (size_t)j->result, o, conn_of(o)->from[!o->side].got);
  }
  free(buf);
  sem_post(&j->end);
  return NULL;
}

static void op_job(void) {
  struct job *j = &me->job;
  uint8_t what = (uint8_t)draw(J_HOWS);
  int i = pick_quiet(what == J_ACCEPT ? K_LISTENER : K_CONN);
  if (i < 0 || j->active || (what == J_ACCEPT && me->count > NUMBERS - 8))
    return;
  struct object *o = object_of(i);
  settle(i);
  if (what == J_ACCEPT ? o->nonblock || o->shut || o->queued > 0 : !would_block(o) || (what <= J_RECV && o->nonblock))
    return;
  j->what = what;
  j->fd = me->table[i].fd;
  j->object = me->table[i].object;
  j->len = 1 + draw(20000);
  j->flags = chance(20) ? MSG_NOSIGNAL : 0;
  j->wrong = false;
  j->tid = 0;
  j->active = j->begins = o->reader = true;
  say(" %s(%d, %u) waits", job_name[what], j->fd, j->len);
  pthread_t t;
  if (pthread_create(&t, NULL, job_thread, j) != 0)
    give_up("pthread_create");
  pthread_detach(t);
  while (j->tid == 0)
    usleep(100);
}

bool job_must_end(const struct job *j) {
  const struct object *o = &W->object[j->object];
  return j->what == J_ACCEPT ? o->queued > 0 : !would_block(o);
}

/* By the coordinator, once the thread is done. */
void job_said(struct worker *w) {
  struct job *j = &w->job;
  struct object *o = &W->object[j->object];
  say("  %c's thread: %s = %s %s%s", 'A' + (int)(w - W->worker), job_name[j->what], answer(j->result, j->error),
      j->mask ? mask_name((unsigned)j->mask) : "", j->wrong ? " WRONG BYTES" : "");
  j->mask = 0;
  if (j->what <= J_RECV && j->result > 0)
    conn_got(o, (uint64_t)j->result);
  if (j->what == J_ACCEPT && j->result >= 0) {
    me = w;
    accepted(o, (int)j->result, false);
    me = NULL;
  }
  j->active = o->reader = false;
}

const struct op ops_proc[] = {{"fork", op_fork, 25, F_PROC, false},
                              {"end", op_end, 25, F_PROC, false},
                              {"noise", op_noise, 25, F_SIGNAL, false},
                              {"thread", op_job, 50, F_THREAD, false},
                              {0}};
