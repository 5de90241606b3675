/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_bad.c - memory that is not there, in every argument that is an address; vectors of odd counts and lengths;
 * descriptors opened by their names.
 *
 * The address is bad from its first byte. What a call leaves that meets a bad page in the middle of its work is
 * documented to differ (docs/ARCHITECTURE.md, Known limits). Urgent data is only asked for, never sent: MSG_OOB in
 * a send is refused on a protected connection, for it would leave the socket unsealed.
 */
#include "random.h"

#include <limits.h>
#include <sys/mman.h>

/* NULL, an address of the kernel's, one that nothing is mapped at, one that may not be touched. */
static void *nowhere(void) {
  static void *none;
  if (!none)
    none = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  switch (draw(4)) {
  case 0:
    return NULL;
  case 1:
    return (void *)~(uintptr_t)4095;
  case 2:
    return (void *)64;
  default:
    return none;
  }
}

static void bad_read(int fd, int how, uint32_t n, int flags) {
  struct iovec iov[2] = {{nowhere(), n}, {nowhere(), 7}};
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1 + draw(2)};
  struct mmsghdr mm = {.msg_hdr = m};
  long rc = AGAIN(how == 0   ? recv(fd, nowhere(), n, flags)
                  : how == 1 ? read(fd, nowhere(), n)
                  : how == 2 ? readv(fd, iov, 1 + (int)draw(2))
                  : how == 3 ? recvmsg(fd, &m, flags)
                  : how == 4 ? readv(fd, nowhere(), 2)
                  : how == 5 ? recvmsg(fd, nowhere(), flags)
                  : how == 6 ? recvfrom(fd, nowhere(), n, flags, NULL, NULL)
                             : recvmmsg(fd, chance(50) ? &mm : nowhere(), 1, flags, NULL));
  say(" read %d(%d, %u) = %s", how, fd, n, answer(rc, errno));
}

static void bad_write(int fd, int how, uint32_t n, int flags) {
  struct iovec iov[2] = {{nowhere(), n}, {nowhere(), 7}};
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1 + draw(2)};
  struct mmsghdr mm = {.msg_hdr = m};
  long rc = AGAIN(how == 0   ? send(fd, nowhere(), n, flags)
                  : how == 1 ? write(fd, nowhere(), n)
                  : how == 2 ? writev(fd, iov, 1 + (int)draw(2))
                  : how == 3 ? sendmsg(fd, &m, flags)
                  : how == 4 ? writev(fd, nowhere(), 2)
                  : how == 5 ? sendmsg(fd, nowhere(), flags)
                  : how == 6 ? sendto(fd, nowhere(), n, flags, NULL, 0)
                             : sendmmsg(fd, chance(50) ? &mm : nowhere(), 1, flags));
  say(" write %d(%d, %u) = %s", how, fd, n, answer(rc, errno));
}

/* One that another process may connect is asked for its state before the arguments are looked at. */
static bool shared_still(const struct object *o) { return o->shared && o->kind != K_CONN; }

/* A sanitizer's runtime looks at some of the addresses itself, and dies of that. */
static bool tame(void) { return getenv("RANDOM_TAME") != NULL; }

/* Bytes that the kernel cannot put anywhere stay where they are; those that it cannot take are not sent. */
static void op_nowhere(void) {
  int i = tame() ? -1 : pick_quiet(K_SOCKET);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  if (shared_still(o))
    return;
  int how = (int)draw(8), flags = chance(30) ? MSG_DONTWAIT : 0;
  uint32_t n = 1 + draw(chance(70) ? 3000 : 40000);
  settle(i);
  if (chance(50)) {
    bad_write(me->table[i].fd, how, n, flags);
    return;
  }
  if (o->kind == K_CONN && unread(o) > EXACT)
    return;
  if (would_block(o) && !o->nonblock) {
    if (how == 1 || how == 2)
      return;
    flags |= MSG_DONTWAIT;
  }
  flags |= chance(20) ? MSG_PEEK : 0;
  bad_read(me->table[i].fd, how, n, flags);
}

/* The other arguments. */
static void op_no_address(void) {
  int i = tame() ? -1 : pick_quiet(K_SOCKET);
  struct sockaddr_in a = {0};
  socklen_t len = sizeof a;
  int value = 1;
  long rc;
  if (i < 0)
    return;
  struct object *o = object_of(i);
  int fd = me->table[i].fd, how = (int)draw(9);
  if (o->kind == K_CONN && unread(o) > EXACT)
    return;
  settle(i);
  switch (how) {
  case 0:
    rc = getsockname(fd, nowhere(), &len);
    break;
  case 1:
    rc = getpeername(fd, (struct sockaddr *)&a, nowhere());
    break;
  case 2:
    rc = getsockopt(fd, SOL_SOCKET, SO_TYPE, nowhere(), &len);
    break;
  case 3:
    rc = getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, nowhere());
    break;
  case 4:
    rc = setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, nowhere(), sizeof value);
    break;
  case 5:
    rc = ioctl(fd, FIONREAD, nowhere());
    break;
  case 6:
    if (o->kind == K_CONN) /* a second connect() to no address: asked by misfit */
      return;
    rc = connect(fd, nowhere(), sizeof a);
    break;
  case 7:
    rc = bind(fd, nowhere(), sizeof a);
    break;
  default:
    rc = AGAIN(poll(nowhere(), 1 + draw(3), 0));
  }
  say(" %d(%d) = %s", how, fd, answer(rc, errno));
}

/* The second buffer of a vector is bad, or its lengths are more than there can be. */
static void op_vector(void) {
  int i = pick_quiet(K_SOCKET);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  if (shared_still(o))
    return;
  static char some[64];
  struct iovec iov[3] = {{some, draw(2)}, {some, LONG_MAX}, {some, LONG_MAX}};
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = chance(50) ? 3 : chance(50) ? (size_t)-1 : IOV_MAX + 1};
  int fd = me->table[i].fd, how = (int)draw(6);
  long rc;
  settle(i);
  if (how % 2 == 0 && ((would_block(o) && !o->nonblock) || (o->kind == K_CONN && unread(o) > EXACT)))
    return;
  switch (how) {
  case 0:
    rc = AGAIN(readv(fd, iov, 3));
    break;
  case 1:
    rc = AGAIN(writev(fd, iov, 3));
    break;
  case 2:
    rc = AGAIN(recvmsg(fd, &m, MSG_DONTWAIT));
    break;
  case 3:
    m.msg_iovlen = m.msg_iovlen == 3 ? IOV_MAX + 1 : m.msg_iovlen;
    rc = AGAIN(sendmsg(fd, &m, 0));
    break;
  case 4:
    iov[1].iov_len = (size_t)-1;
    rc = AGAIN(readv(fd, iov, 2));
    break;
  default:
    iov[1].iov_len = (size_t)-1;
    rc = AGAIN(writev(fd, iov, 2));
  }
  say(" %d(%d) = %s", how, fd, answer(rc, errno));
  if (rc > 0 && o->kind == K_CONN)
    say("  more than nothing");
}

/* A socket cannot be opened by its name. */
static void op_by_name(void) {
  int i = pick(~0u);
  char path[64];
  if (i < 0)
    return;
  snprintf(path, sizeof path, chance(50) ? "/dev/fd/%d" : "/proc/self/fd/%d", me->table[i].fd);
  struct object *o = object_of(i);
  if (o->kind == K_EPOLL)
    return;
  int how = (int)draw(3);
  long rc = how == 0   ? open(path, chance(50) ? O_RDWR : O_WRONLY | O_NONBLOCK)
            : how == 1 ? openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC)
                       : (errno = 0, fopen(path, "r+") ? 0 : -1);
  say(" %s %d = %s", path, how, answer(rc, errno));
}

/* There is none: nobody sends any. */
static void op_urgent(void) {
  int i = pick_quiet(K_SOCKET);
  char c;
  if (i < 0)
    return;
  settle(i);
  if (chance(70)) {
    long rc = AGAIN(recv(me->table[i].fd, &c, 1, MSG_OOB | (chance(50) ? MSG_DONTWAIT : 0)));
    say(" recv(%d, OOB) = %s", me->table[i].fd, answer(rc, errno));
  } else {
    int at = -1;
    long rc = ioctl(me->table[i].fd, SIOCATMARK, &at);
    say(" SIOCATMARK(%d) = %s %d", me->table[i].fd, answer(rc, errno), at);
  }
}

const struct op ops_bad[] = {{"nowhere", op_nowhere, 25, F_IO, false}, {"no_address", op_no_address, 20, F_FD, false},
                             {"vector", op_vector, 15, F_IO, false},   {"by_name", op_by_name, 8, F_FD, false},
                             {"urgent", op_urgent, 12, F_IO, false},   {0}};
