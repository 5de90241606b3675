/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_io.c - reads and writes by every call that there is, of all sizes and shapes.
 *
 * Told are results and whether the bytes are those of the stream. Where more is on its way than surely has arrived,
 * a read takes everything and only the sum counts; a non-blocking write goes on until all is taken.
 */
#include "random.h"

#include <limits.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { PIECES = 1024 };

/* Cuts n bytes at p into random pieces, some of them empty. Returns how many. */
static int shape(struct iovec *iov, uint8_t *p, size_t n) {
  int most = chance(80) ? 1 + (int)draw(6) : 1 + (int)draw(PIECES - 1), cnt = 0;
  size_t done = 0;
  while (cnt < most - 1 && done < n) {
    size_t len = chance(15) ? 0 : 1 + draw((uint32_t)(n - done < 20000 ? n - done : 20000));
    iov[cnt++] = (struct iovec){p + done, len};
    done += len;
  }
  iov[cnt++] = (struct iovec){p + done, n - done};
  return cnt;
}

static const char *flag_names(int flags) {
  static char buf[96];
  static const struct {
    int bit;
    const char *name;
  } names[] = {{MSG_PEEK, "PEEK"}, {MSG_DONTWAIT, "DONTWAIT"}, {MSG_WAITALL, "WAITALL"}, {MSG_TRUNC, "TRUNC"},
               {MSG_OOB, "OOB"},   {MSG_NOSIGNAL, "NOSIGNAL"}, {MSG_MORE, "MORE"}};
  buf[0] = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (flags & names[i].bit)
      strcat(strcat(buf, " "), names[i].name);
  }
  return buf;
}

/* ---- reading ---- */
enum read_how { R_READ, R_READV, R_PREADV2, R_RECV, R_RECVFROM, R_RECVMSG, R_RECVMMSG, R_HOWS };
static const char *const read_name[] = {"read", "readv", "preadv2", "recv", "recvfrom", "recvmsg", "recvmmsg"};

static long read_by(enum read_how how, int fd, uint8_t *p, size_t n, int flags) {
  static struct iovec iov[PIECES];
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  int cnt = how == R_READ || how == R_RECV || how == R_RECVFROM ? 0 : shape(iov, p, n);
  struct mmsghdr m = {
      .msg_hdr = {.msg_iov = iov, .msg_iovlen = (size_t)cnt, .msg_name = &a, .msg_namelen = sizeof a}};
  long rc;
  switch (how) {
  case R_READ:
    return AGAIN(read(fd, p, n));
  case R_READV:
    return AGAIN(readv(fd, iov, cnt));
  case R_PREADV2:
    return AGAIN(preadv2(fd, iov, cnt, -1, 0));
  case R_RECV:
    return AGAIN(recv(fd, p, n, flags));
  case R_RECVFROM:
    rc = AGAIN(recvfrom(fd, p, n, flags, (struct sockaddr *)&a, &len));
    say("  name of %u bytes", len);
    return rc;
  case R_RECVMSG:
    rc = AGAIN(recvmsg(fd, &m.msg_hdr, flags));
    say("  flags %x, name of %u bytes, control %zu", (unsigned)m.msg_hdr.msg_flags, m.msg_hdr.msg_namelen,
        m.msg_hdr.msg_controllen);
    return rc;
  default: {
    struct timespec t = {.tv_sec = 10};
    rc = AGAIN(recvmmsg(fd, &m, 1, flags, chance(50) ? NULL : &t));
    if (rc >= 0)
      say("  %ld messages, flags %x, name of %u bytes", rc, (unsigned)m.msg_hdr.msg_flags, m.msg_hdr.msg_namelen);
    return rc == 1 ? (long)m.msg_len : rc;
  }
  }
}

/* Reads all that is on its way; how it is cut is nobody's business. */
static void drain(int i, uint8_t *buf, uint32_t most) {
  struct object *o = object_of(i);
  int fd = me->table[i].fd;
  uint64_t sum = 0;
  while (unread(o) > 0) {
    size_t n = 1 + draw(most);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (AGAIN(poll(&p, 1, 10000)) != 1) {
      say("  stuck with %llu bytes to come", (unsigned long long)unread(o));
      return;
    }
    errno = 0;
    long rc = AGAIN(recv(fd, buf, n, chance(30) ? MSG_DONTWAIT : 0));
    if (rc < 0 && errno == EAGAIN)
      continue;
    if (rc <= 0 || (size_t)rc > n || (uint64_t)rc > unread(o)) {
      say("  recv = %s with %llu bytes to come", answer(rc, errno), (unsigned long long)unread(o));
      return;
    }
    if (!same(buf, (size_t)rc, o, conn_of(o)->from[!o->side].got))
      say("  WRONG BYTES");
    conn_got(o, (uint64_t)rc);
    sum += (uint64_t)rc;
  }
  say(" drained %d of %llu bytes", fd, (unsigned long long)sum);
}

static void op_read(void) {
  int i = pick_quiet(chance(93) ? K_CONN : K_SOCKET);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  int fd = me->table[i].fd, flags = 0;
  uint32_t n = draw_size();
  enum read_how how = (enum read_how)draw(R_HOWS);
  uint8_t *buf = malloc(n + PIECES + (256u << 10));
  settle(i);
  if (o->kind == K_CONN && unread(o) > EXACT) {
    if (conn_of(o)->shut_rd[o->side]) /* a read takes what is there, and the rest comes later */
      conn_of(o)->vague[o->side] = true;
    else
      drain(i, buf, chance(50) ? 200000 : 20000);
    free(buf);
    return;
  }
  if (how >= R_RECV) {
    flags |= (chance(20) ? MSG_PEEK : 0) | (chance(20) ? MSG_DONTWAIT : 0) | (chance(10) ? MSG_NOSIGNAL : 0);
    flags |= chance(10) ? MSG_TRUNC : 0;
    if (chance(20) && !(flags & MSG_PEEK))
      flags |= MSG_WAITALL;
    if (o->kind == K_CONN && (flags & MSG_WAITALL) && n > unread(o) && !conn_of(o)->from[!o->side].fin)
      flags |= MSG_DONTWAIT;
  }
  if (would_block(o) && !o->nonblock && !(flags & MSG_DONTWAIT)) {
    if (how < R_RECV)
      how = R_RECV;
    flags |= MSG_DONTWAIT;
  }
  say(" %s(%d, %u%s)", read_name[how], fd, n, flag_names(flags));
  memset(buf, 'x', n);
  long rc = read_by(how, fd, buf, n, flags);
  if (rc > 0 && (flags & MSG_PEEK) && unread(o) > 16000)
    say("  = some"); /* a peek shows one record at least, not all that there is */
  else
    say("  = %s", answer(rc, errno));
  if (rc > 0 && o->kind == K_CONN) {
    if ((uint64_t)rc > unread(o))
      say("  MORE than was sent");
    else if (!(flags & MSG_TRUNC) && !same(buf, (size_t)rc, o, conn_of(o)->from[!o->side].got))
      say("  WRONG BYTES");
    if (!(flags & MSG_PEEK))
      conn_got(o, (uint64_t)rc);
  }
  free(buf);
}

/* ---- writing ---- */
enum write_how {
  W_WRITE,
  W_WRITEV,
  W_PWRITEV2,
  W_SENDFILE,
  W_SPLICE,
  W_SEND,
  W_SENDTO,
  W_SENDMSG,
  W_SENDMMSG,
  W_HOWS
};
static const char *const write_name[] = {"write", "writev", "pwritev2", "sendfile", "splice",
                                         "send",  "sendto", "sendmsg",  "sendmmsg"};

static long by_sendfile(int fd, const uint8_t *p, size_t n) {
  int file = memfd_create("random", MFD_CLOEXEC);
  if (file < 0 || pwrite(file, p, n, 3) != (ssize_t)n)
    give_up("memfd");
  off_t at = 3;
  long rc = chance(50) || lseek(file, 3, SEEK_SET) != 3 ? AGAIN(sendfile(fd, file, &at, n))
                                                        : AGAIN(sendfile(fd, file, NULL, n));
  int keep = errno;
  close(file);
  errno = keep;
  return rc;
}

static long by_splice(int fd, const uint8_t *p, size_t n) {
  int pipes[2];
  if (n > 60000)
    n = 60000;
  if (pipe2(pipes, O_CLOEXEC) != 0 || write(pipes[1], p, n) != (ssize_t)n)
    give_up("pipe");
  long rc = n == 0 ? 0 : AGAIN(splice(pipes[0], NULL, fd, NULL, n, chance(50) ? SPLICE_F_MOVE : 0));
  int keep = errno;
  close(pipes[0]);
  close(pipes[1]);
  errno = keep;
  return rc;
}

static long by_messages(int fd, uint8_t *p, size_t n, int flags) {
  static struct iovec iov[3][PIECES];
  struct mmsghdr m[3] = {0};
  size_t third = n / 3;
  for (size_t k = 0; k < 3; k++) {
    m[k].msg_hdr.msg_iov = iov[k];
    m[k].msg_hdr.msg_iovlen = (size_t)shape(iov[k], p + k * third, k == 2 ? n - 2 * third : third);
  }
  long rc = AGAIN(sendmmsg(fd, m, 3, flags)), sum = 0;
  for (long k = 0; k < rc; k++)
    sum += m[k].msg_len;
  return rc < 0 ? rc : sum;
}

static long write_by(enum write_how how, int fd, uint8_t *p, size_t n, int flags) {
  static struct iovec iov[PIECES];
  struct sockaddr_in a = at_port(9);
  int cnt = how == W_WRITEV || how == W_PWRITEV2 || how == W_SENDMSG ? shape(iov, p, n) : 0;
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)cnt};
  switch (how) {
  case W_WRITE:
    return AGAIN(write(fd, p, n));
  case W_WRITEV:
    return AGAIN(writev(fd, iov, cnt));
  case W_PWRITEV2:
    return AGAIN(pwritev2(fd, iov, cnt, -1, 0));
  case W_SENDFILE:
    return by_sendfile(fd, p, n);
  case W_SPLICE:
    return by_splice(fd, p, n);
  case W_SEND:
    return AGAIN(send(fd, p, n, flags));
  case W_SENDTO:
    return AGAIN(chance(50) ? sendto(fd, p, n, flags, NULL, 0)
                            : sendto(fd, p, n, flags, (struct sockaddr *)&a, sizeof a));
  case W_SENDMSG:
    return AGAIN(sendmsg(fd, &m, flags));
  default:
    return by_messages(fd, p, n, flags);
  }
}

/* The rest of what a write left: it takes what it likes, as long as it goes on. Returns how far it came. */
static long complete(int fd, uint8_t *buf, long n, long done) {
  while (done < n) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (AGAIN(poll(&p, 1, 10000)) != 1) {
      errno = ETIMEDOUT;
      return done;
    }
    long rc = AGAIN(send(fd, buf + done, (size_t)(n - done), 0));
    if (rc < 0 && errno != EAGAIN)
      return done;
    done += rc < 0 ? 0 : rc;
  }
  return done;
}

static void op_write(void) {
  int i = pick_quiet(chance(93) ? K_CONN : K_SOCKET), one = 1;
  if (i < 0)
    return;
  struct object *o = object_of(i);
  int fd = me->table[i].fd, flags = 0;
  uint32_t n = draw_size();
  enum write_how how = (enum write_how)draw(W_HOWS);
  if (o->kind == K_CONN && outstanding(o) + n > MOST)
    return;
  if (o->kind == K_CONN && peer_takes_none(o))
    n %= 16000; /* how much more goes out before the reset is here is open */
  if (o->kind == K_CONN && peer_takes_none(o) && how == W_SENDMMSG)
    how = W_SENDMSG;
  if (o->kind == K_CONN && reader_at(o)) { /* in one piece, or it is open what the reader sees */
    n %= 1400;
    how = W_SEND;
  }
  if (how >= W_SEND)
    flags = (chance(20) ? MSG_DONTWAIT : 0) | (chance(15) ? MSG_NOSIGNAL : 0) | (chance(10) ? MSG_MORE : 0);
  settle(i);
  uint8_t *buf = malloc(n + 1);
  fill(buf, n, o, o->kind == K_CONN ? conn_of(o)->from[o->side].sent : 0);
  say(" %s(%d, %u%s)", write_name[how], fd, n, flag_names(flags));
  long rc = write_by(how, fd, buf, n, flags);
  int err = errno;
  if (rc >= 0 && rc < (long)n && o->kind == K_CONN) {
    rc = complete(fd, buf, n, rc);
    if (rc < (long)n)
      say("  stopped: %s", strerrorname_np(errno));
  }
  say("  = %s", answer(rc, err));
  if (rc > 0 && o->kind == K_CONN) {
    conn_sent(o, (uint64_t)rc);
    if (flags & MSG_MORE)
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    published(i);
  }
  free(buf);
}

/* Counts and lengths that are refused, and nothing at all. */
static void op_odd(void) {
  int i = pick_quiet(K_SOCKET);
  if (i < 0)
    return;
  struct object *o = object_of(i);
  int fd = me->table[i].fd;
  static struct iovec iov[IOV_MAX + 1];
  char c;
  long rc;
  settle(i);
  switch (draw(8)) {
  case 0:
    rc = AGAIN(readv(fd, iov, IOV_MAX + 1));
    say(" readv(%d) IOV_MAX+1 = %s", fd, answer(rc, errno));
    return;
  case 1:
    rc = AGAIN(writev(fd, iov, IOV_MAX + 1));
    say(" writev(%d) IOV_MAX+1 = %s", fd, answer(rc, errno));
    return;
  case 2:
    rc = AGAIN(writev(fd, iov, (int)draw(3) - 1));
    say(" writev(%d) of nothing = %s", fd, answer(rc, errno));
    return;
  case 3:
    rc = AGAIN(readv(fd, iov, (int)draw(3) - 1));
    say(" readv(%d) of nothing = %s", fd, answer(rc, errno));
    return;
  case 4:
    rc = AGAIN(write(fd, NULL, 0));
    say(" write(%d, NULL, 0) = %s", fd, answer(rc, errno));
    return;
  case 5:
    rc = AGAIN(read(fd, NULL, 0));
    say(" read(%d, NULL, 0) = %s", fd, answer(rc, errno));
    return;
  case 6:
    if (would_block(o) && !o->nonblock)
      return;
    rc = AGAIN(recv(fd, chance(50) ? &c : NULL, 0, chance(50) ? MSG_PEEK : 0));
    say(" recv(%d, 0) = %s", fd, answer(rc, errno));
    return;
  default:
    rc = AGAIN(send(fd, chance(50) ? &c : NULL, 0, chance(50) ? MSG_NOSIGNAL : 0));
    say(" send(%d, 0) = %s", fd, answer(rc, errno));
  }
}

const struct op ops_io[] = {{"read", op_read, 160, F_BASE | F_IO, false},
                            {"write", op_write, 160, F_BASE | F_IO, false},
                            {"odd", op_odd, 25, F_IO, false},
                            {0}};
