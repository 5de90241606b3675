/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_fd.c - numbers and what hangs on them: dup in its forms, flags, what is readable, names, options.
 */
#include "random.h"

static int a_bad_number(void) {
  static const int bad[] = {-1, 199, 777, 100000, -5};
  return bad[draw(5)];
}

static void op_dup(void) {
  int i = pick(~0u), onto = -1;
  if (i < 0 || me->count >= NUMBERS - 3)
    return;
  int fd = me->table[i].fd, object = me->table[i].object;
  long rc;
  switch (draw(5)) {
  case 0:
    rc = dup(fd);
    say(" dup(%d) = %s", fd, answer(rc, errno));
    break;
  case 1:
  case 2: {
    int j = chance(40) ? pick(~0u) : -1;
    int to = j >= 0 ? me->table[j].fd : 40 + (int)draw(20);
    if (j >= 0 && object_of(j)->reader)
      return;
    onto = number_find(to);
    if (chance(50)) {
      rc = dup2(fd, to);
      say(" dup2(%d, %d) = %s", fd, to, answer(rc, errno));
    } else {
      rc = dup3(fd, to, chance(50) ? O_CLOEXEC : 0);
      say(" dup3(%d, %d) = %s", fd, to, answer(rc, errno));
    }
    if (onto >= 0 && to == fd)
      return;
    break;
  }
  case 3:
    rc = fcntl(fd, F_DUPFD, 60 + (int)draw(30));
    say(" F_DUPFD(%d) = %s", fd, answer(rc, errno));
    break;
  default:
    rc = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    say(" F_DUPFD_CLOEXEC(%d) = %s", fd, answer(rc, errno));
  }
  if (rc < 0)
    return;
  number_add((int)rc, object);
  if (onto >= 0)
    number_drop(onto);
}

static void op_nonblock(void) {
  int i = pick_quiet(K_SOCKET), on = (int)draw(2);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  int fd = me->table[i].fd;
  if (chance(50)) {
    long rc = ioctl(fd, FIONBIO, &on);
    say(" FIONBIO(%d, %d) = %s", fd, on, answer(rc, errno));
  } else {
    int flags = fcntl(fd, F_GETFL);
    long rc = fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    say(" F_SETFL(%d, %d) from %x = %s", fd, on, (unsigned)flags, answer(rc, errno));
  }
  o->nonblock = on;
}

static void op_cloexec(void) {
  int i = pick(~0u), on = (int)draw(2);
  if (i < 0)
    return;
  int before = fcntl(me->table[i].fd, F_GETFD);
  long rc = fcntl(me->table[i].fd, F_SETFD, on);
  say(" (%d, %d) from %d = %s", me->table[i].fd, on, before, answer(rc, errno));
}

static void op_queued(void) {
  int i = pick_quiet(K_SOCKET), n = -1;
  if (i < 0)
    return;
  struct object *o = object_of(i);
  settle(i);
  if (chance(70)) {
    long rc = ioctl(me->table[i].fd, FIONREAD, &n);
    bool much = o->kind == K_CONN && unread(o) > EXACT;
    say(" FIONREAD(%d) = %s", me->table[i].fd, answer(rc, errno));
    if (rc == 0)
      say("  %d", much ? n > 0 : n);
  } else {
    long rc = ioctl(me->table[i].fd, TIOCOUTQ, &n);
    say(" SIOCOUTQ(%d) = %s", me->table[i].fd, answer(rc, errno));
  }
}

static void op_names(void) {
  int i = chance(95) ? pick_quiet(K_SOCKET) : -1;
  if (i >= 0 && object_of(i)->kind == K_CONN && unread(object_of(i)) > EXACT)
    return; /* whether the reset behind so much has come is open */
  struct sockaddr_in a = {0};
  socklen_t room = chance(90) ? sizeof a : (socklen_t)draw(20), len = room;
  int fd = i < 0 ? a_bad_number() : me->table[i].fd;
  bool peer = chance(50);
  if (i >= 0)
    settle(i);
  long rc = peer ? getpeername(fd, (struct sockaddr *)&a, &len) : getsockname(fd, (struct sockaddr *)&a, &len);
  say(" %s(%d) = %s", peer ? "getpeername" : "getsockname", fd, answer(rc, errno));
  if (rc != 0)
    return;
  int which = -1;
  for (int p = 0; p < W->ports; p++) {
    if (W->port[p] == ntohs(a.sin_port))
      which = p;
  }
  if (room < sizeof a) { /* the port may be cut */
    say("  %u bytes", len);
    return;
  }
  say("  %u bytes, family %d, port %s", len, a.sin_family,
      which >= 0   ? "of a listener"
      : a.sin_port ? "another"
                   : "0");
}

static void op_error(void) {
  int i = pick_quiet(K_SOCKET), e = -1;
  socklen_t len = sizeof e;
  if (i < 0)
    return;
  settle(i);
  long rc = getsockopt(me->table[i].fd, SOL_SOCKET, SO_ERROR, &e, &len);
  say(" SO_ERROR(%d) = %s %s", me->table[i].fd, answer(rc, errno), e ? strerrorname_np(e) : "0");
}

static void op_bad(void) {
  int fd = a_bad_number();
  char c = 0;
  struct sockaddr_in a = at_port(9);
  struct pollfd p = {.fd = fd, .events = POLLIN};
  long rc;
  switch (draw(10)) {
  case 0:
    rc = read(fd, &c, 1);
    break;
  case 1:
    rc = send(fd, &c, 1, 0);
    break;
  case 2:
    rc = close(fd);
    break;
  case 3:
    rc = dup(fd);
    break;
  case 4:
    rc = shutdown(fd, SHUT_RD);
    break;
  case 5:
    rc = listen(fd, 3);
    break;
  case 6:
    rc = connect(fd, (struct sockaddr *)&a, sizeof a);
    break;
  case 7:
    rc = accept(fd, NULL, NULL);
    break;
  case 8:
    rc = fcntl(fd, F_GETFL);
    break;
  default:
    rc = poll(&p, 1, 0);
    say(" poll(%d): %s\n", fd, mask_name((unsigned)p.revents));
  }
  say(" %d = %s", fd, answer(rc, errno));
}

const struct op ops_fd[] = {{"dup", op_dup, 60, F_FD, false},         {"nonblock", op_nonblock, 40, F_FD, false},
                            {"cloexec", op_cloexec, 15, F_FD, false}, {"queued", op_queued, 50, F_FD | F_IO, false},
                            {"names", op_names, 40, F_FD, false},     {"error", op_error, 40, F_FD, false},
                            {"bad", op_bad, 25, F_FD, false},         {0}};
