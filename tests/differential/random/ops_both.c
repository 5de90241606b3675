/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_both.c - two threads on one side of a connection: one reads while the other writes. What is told is how much
 * each has done in the end, so that it does not matter who comes first.
 */
#include "random.h"

struct reading {
  int fd;
  uint8_t *buf;
  size_t n, done, most;
  uint32_t how;
  long rc;
  int error;
};

/* Exactly n bytes, which are all on their way. */
static void *read_all(void *arg) {
  struct reading *r = arg;
  while (r->done < r->n) {
    size_t n = r->n - r->done < r->most ? r->n - r->done : r->most;
    struct iovec v[2] = {{r->buf + r->done, n / 2}, {r->buf + r->done + n / 2, n - n / 2}};
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    r->rc = r->how == 0   ? read(r->fd, r->buf + r->done, n)
            : r->how == 1 ? readv(r->fd, v, 2)
                          : recv(r->fd, r->buf + r->done, n, MSG_WAITALL);
    r->error = errno;
    if (r->rc > 0)
      r->done += (size_t)r->rc;
    else if (r->rc == 0 || (errno != EAGAIN && errno != EINTR) || (errno == EAGAIN && poll(&p, 1, 10000) == 0))
      break;
  }
  return NULL;
}

static long write_all(int fd, const uint8_t *buf, size_t n, size_t most) {
  size_t done = 0;
  while (done < n) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    long rc = send(fd, buf + done, n - done < most ? n - done : most, 0);
    if (rc >= 0)
      done += (size_t)rc;
    else if ((errno != EAGAIN && errno != EINTR) || (errno == EAGAIN && poll(&p, 1, 10000) == 0))
      break;
  }
  return (long)done;
}

static bool healthy(const struct object *o) {
  const struct connection *c = conn_of(o);
  return !c->closed[0] && !c->closed[1] && !c->reset[0] && !c->reset[1] && !c->shut_rd[0] && !c->shut_rd[1] &&
         !c->vague[!o->side] && !c->from[o->side].fin;
}

static void op_both(void) {
  int i = pick_quiet(K_CONN);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  size_t n = chance(30) ? 200000 + draw(200000) : 1 + draw(30000);
  if (!healthy(o) || unread(o) == 0 || reader_at(o) || outstanding(o) + n > MOST)
    return;
  struct reading r = {.fd = me->table[i].fd, .n = unread(o), .most = 1 + draw(40000), .how = draw(3)};
  uint8_t *buf = malloc(n);
  pthread_t t;
  r.buf = malloc(r.n);
  fill(buf, n, o, conn_of(o)->from[o->side].sent);
  settle(i);
  if (pthread_create(&t, NULL, read_all, &r) != 0)
    give_up("pthread_create");
  long wrote = write_all(r.fd, buf, n, 1 + draw(60000));
  int error = errno;
  pthread_join(t, NULL);
  say(" %d by %u: read %zu of %zu, wrote %ld of %zu%s", r.fd, r.how, r.done, r.n, wrote, n,
      same(r.buf, r.done, o, conn_of(o)->from[!o->side].got) ? "" : " WRONG BYTES");
  if (r.done < r.n)
    say("  read: %s", answer(r.rc, r.error));
  if ((size_t)wrote < n)
    say("  write: %s", answer(-1, error));
  conn_got(o, r.done);
  conn_sent(o, (uint64_t)wrote);
  published(i);
  free(buf);
  free(r.buf);
}

/* A thread is asleep in a read or a wait, and this one writes; the reader sleeps on. */
static void op_beside(void) {
  const struct job *j = &me->job;
  if (!j->active)
    return;
  int i = number_find(j->fd);
  struct object *o = i < 0 ? NULL : object_of(i);
  if (!o || o->kind != K_CONN || !healthy(o) || conn_of(o)->relayed)
    return;
  uint32_t n = 1 + draw(reader_at(o) ? 1400 : 20000);
  if (outstanding(o) + n > MOST)
    return;
  uint8_t *buf = malloc(n);
  fill(buf, n, o, conn_of(o)->from[o->side].sent);
  long rc = AGAIN(send(j->fd, buf, n, 0)), done = rc;
  int error = errno;
  if (rc >= 0 && (size_t)rc < n)
    done += write_all(j->fd, buf + rc, n - (size_t)rc, n);
  say(" send(%d, %u) = %s", j->fd, n, answer(done, error));
  if (done > 0)
    conn_sent(o, (uint64_t)done);
  published(i);
  free(buf);
}

const struct op ops_both[] = {
    {"both", op_both, 60, F_THREAD, false}, {"beside", op_beside, 60, F_THREAD, false}, {0}};
