/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_pass.c - connections go where no hook follows: as 0 to 2 of a program that is executed, by SCM_RIGHTS to
 * another process of the seed, and to a stranger that no library gets into.
 *
 * Under svidwrap such a connection is relayed: when its bytes arrive at the other side is open then. So nobody looks
 * at either side any more but by the calls that wait for what has to come (op_relayed).
 */
#include "random.h"

#include "../passing.h"

#include <sys/wait.h>

#define MUCH 8000u

static bool ends(const struct connection *c) {
  return c->closed[0] || c->closed[1] || c->reset[0] || c->reset[1] || c->shut_rd[0] || c->shut_rd[1];
}

/* A connection in its prime, of which little is on its way and nobody waits for any, or -1. */
static int a_movable(void) {
  int i = pick(K_CONN);
  if (i < 0)
    return -1;
  const struct object *o = object_of(i);
  const struct connection *c = conn_of(o);
  bool fits = !o->reader && !reader_at(o) && !c->vague[0] && !c->vague[1] && !ends(c) && unread(o) <= EXACT &&
              outstanding(o) <= EXACT;
  return fits ? i : -1;
}

static void move(int i) { conn_of(object_of(i))->relayed = true; }

/* ---- a program gets it ---- */
struct errand { /* what the program is to read and write */
  char arg[8][24];
  uint32_t in, out;
};

static void errand(struct errand *e, int i, int from) {
  const struct object *o = object_of(i);
  const struct connection *c = conn_of(o);
  const struct direction *in = &c->from[!o->side], *out = &c->from[o->side];
  int how = o->nonblock || from >= 0 ? 0 : (int)draw(4);
  uint32_t most = EXACT - (uint32_t)outstanding(o);
  e->in = draw((uint32_t)unread(o) + 1);
  if (how & 1) /* stdio reads ahead, and what it has read is gone with it */
    e->in = (uint32_t)unread(o);
  e->out = out->fin ? 0 : draw(chance(70) ? 1000 : MUCH) % (most + 1);
  unsigned long long number[8] = {0,         (unsigned)how, (unsigned)(o->conn * 2 + !o->side),
                                  in->got,   e->in,         (unsigned)(o->conn * 2 + o->side),
                                  out->sent, e->out};
  for (int k = 0; k < 8; k++)
    snprintf(e->arg[k], sizeof e->arg[k], "%llu", number[k]);
  snprintf(e->arg[0], sizeof e->arg[0], "%d", from);
  say("  reads %u, writes %u, how %d", e->in, e->out, how);
}

static const char *program(const char *name) {
  static char path[512];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 40);
  path[n < 0 ? 0 : n] = 0;
  char *slash = strrchr(path, '/');
  strcpy(slash ? slash + 1 : path, name);
  return path;
}

/* For what is not connected yet this process is one of two, from now on. */
static pid_t fork_for(void) {
  for (int k = 0; k < me->count; k++)
    object_of(k)->shared |= (object_of(k)->kind & (K_FRESH | K_DEAD)) != 0;
  return fork();
}

static void execute(const char *path, const struct errand *e) {
  alarm(15);
  execl(path, "helper", e->arg[0], e->arg[1], e->arg[2], e->arg[3], e->arg[4], e->arg[5], e->arg[6], e->arg[7], NULL);
  _exit(70);
}

static void came_back(int i, const struct errand *e, pid_t pid) {
  struct object *o = object_of(i);
  int status = 0;
  long rc = AGAIN(waitpid(pid, &status, 0));
  if (rc != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    say("  ends by itself: %s %d", WIFSIGNALED(status) ? "signal" : "exit",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  conn_got(o, e->in);
  conn_sent(o, e->out);
}

/* As inetd's servers, CGI programs and rsh's have it. */
static void op_helper(void) {
  struct errand e;
  int i = a_movable();
  bool stranger = chance(30), errors = chance(30);
  if (i < 0)
    return;
  int fd = me->table[i].fd;
  say(" %d as 0 and 1%s of a %s", fd, errors ? " and 2" : "", stranger ? "stranger" : "program");
  errand(&e, i, -1);
  pid_t pid = fork_for();
  if (pid == 0) {
    for (int n = STDIN_FILENO; n <= (errors ? STDERR_FILENO : STDOUT_FILENO); n++) {
      if (dup2(fd, n) != n)
        _exit(errno);
    }
    for (int k = 0; k < me->count; k++)
      close(me->table[k].fd);
    execute(program(stranger ? "random-stranger" : "random-helper"), &e);
  }
  move(i);
  came_back(i, &e, pid);
}

/* ---- SCM_RIGHTS ---- */
static long pass(int u, int fd) { return AGAIN(send_fd(u, fd)); }

/* A process that was there before, and that svidwrap is not in. */
static void op_stranger(void) {
  struct errand e;
  int i = a_movable(), u[2];
  if (i < 0)
    return;
  int fd = me->table[i].fd;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u) != 0)
    give_up("socketpair");
  say(" gets %d", fd);
  errand(&e, i, STDIN_FILENO);
  pid_t pid = fork_for();
  if (pid == 0) {
    dup2(u[1], STDIN_FILENO);
    for (int k = 0; k < me->count; k++)
      close(me->table[k].fd);
    execute(program(chance(70) ? "random-stranger" : "random-helper"), &e);
  }
  close(u[1]);
  move(i);
  long rc = pass(u[0], fd);
  say("  sendmsg = %s", answer(rc, errno));
  close(u[0]);
  came_back(i, &e, pid);
}

/* To whoever takes it. */
static void op_pass(void) {
  int i = chance(70) ? a_movable() : pick_quiet(K_LISTENER);
  if (i < 0 || W->flying >= 0 || object_of(i)->shut)
    return;
  if (object_of(i)->kind == K_CONN)
    move(i);
  long rc = pass(PASS_IN, me->table[i].fd);
  say(" %d: sendmsg = %s", me->table[i].fd, answer(rc, errno));
  if (rc == 1) {
    W->flying = me->table[i].object;
    W->object[W->flying].refs++;
    object_of(i)->reader |= object_of(i)->kind == K_LISTENER;
  }
}

/* A listener that is in a message only is served by nobody until it is taken, and connects to it wait: so whoever has
 * a number for it keeps it. */
bool flying_listener(void) { return W->flying >= 0 && W->object[W->flying].kind == K_LISTENER; }

/* Its first call on it makes it known here. */
static void taken_listener(struct object *o, int fd) {
  struct pollfd p = {.fd = fd};
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  o->reader = false;
  poll(&p, 1, 0);
  getsockname(fd, (struct sockaddr *)&a, &len);
}

static void op_take(void) {
  int fd, flags = chance(50) ? MSG_CMSG_CLOEXEC : 0;
  if (W->flying < 0 || me->count >= NUMBERS - 6)
    return;
  long rc = AGAIN(receive_fd(PASS_OUT, &fd, MSG_DONTWAIT | flags));
  say(" recvmsg = %s: %d", answer(rc, errno), fd);
  if (fd < 0)
    return;
  number_add(fd, W->flying);
  W->object[W->flying].refs--;
  if (flying_listener())
    taken_listener(&W->object[W->flying], fd);
  W->flying = -1;
}

/* ---- what waits for what has to come ---- */
static bool comes(int fd, short events) {
  struct pollfd p = {.fd = fd, .events = events};
  if (AGAIN(poll(&p, 1, 15000)) == 1)
    return true;
  say("  stuck");
  return false;
}

static void relayed_read(int i) {
  struct object *o = object_of(i);
  int fd = me->table[i].fd;
  size_t n = 1 + draw((uint32_t)unread(o)), done = 0;
  uint8_t *buf = malloc(n);
  while (done < n && comes(fd, POLLIN)) {
    long rc = AGAIN(recv(fd, buf + done, n - done, chance(50) ? MSG_DONTWAIT : 0));
    if (rc < 0 && errno == EAGAIN)
      continue;
    if (rc <= 0) {
      say("  recv = %s", answer(rc, errno));
      break;
    }
    done += (size_t)rc;
  }
  say(" read %zu of %d%s", done, fd, same(buf, done, o, conn_of(o)->from[!o->side].got) ? "" : " WRONG BYTES");
  conn_got(o, done);
  free(buf);
}

static void relayed_write(int i) {
  struct object *o = object_of(i);
  int fd = me->table[i].fd;
  size_t n = 1 + draw(chance(70) ? 1000 : MUCH), done = 0;
  uint8_t *buf = malloc(n);
  if (outstanding(o) + n > EXACT)
    n = 0;
  fill(buf, n, o, conn_of(o)->from[o->side].sent);
  while (done < n && comes(fd, POLLOUT)) {
    long rc = AGAIN(write(fd, buf + done, n - done));
    if (rc < 0 && errno != EAGAIN) {
      say("  write = %s", answer(rc, errno));
      break;
    }
    done += rc < 0 ? 0 : (size_t)rc;
  }
  say(" wrote %zu to %d", done, fd);
  conn_sent(o, done);
  free(buf);
}

static void op_relayed(void) {
  int i = pick(K_CONN);
  if (i < 0 || !conn_of(object_of(i))->relayed)
    return;
  struct object *o = object_of(i);
  const struct connection *c = conn_of(o);
  int fd = me->table[i].fd;
  uint32_t how = draw(8);
  char b;
  if (c->reset[0] || c->reset[1] || c->vague[o->side])
    return;
  if (how < 4 && unread(o) > 0) {
    relayed_read(i);
  } else if (how < 4 && c->from[!o->side].fin && comes(fd, POLLIN)) {
    long rc = AGAIN(recv(fd, &b, 1, 0));
    say(" recv(%d) = %s", fd, answer(rc, errno));
  } else if (how >= 4 && how < 7 && !c->from[o->side].fin && !c->closed[!o->side]) {
    relayed_write(i);
  } else if (how == 7 && !c->from[o->side].fin && !c->closed[!o->side]) {
    long rc = shutdown(fd, SHUT_WR);
    say(" shutdown(%d) = %s", fd, answer(rc, errno));
    conn_shut_wr(o);
  }
}

const struct op ops_pass[] = {
    {"helper", op_helper, 16, F_PASS, false},   {"stranger", op_stranger, 10, F_PASS, false},
    {"pass", op_pass, 24, F_PASS, false},       {"take", op_take, 40, F_PASS, false},
    {"relayed", op_relayed, 80, F_PASS, false}, {0}};
