/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_standard.c - connect() on a number from 0 to 2, which a program that was started with a closed standard
 * stream gets from socket(), or on one that was closed from under another stream. stdio writes there inside the C
 * library, past every hook: so such a number is covered before TCP is connected, and leads nowhere until the
 * connection is the relay's.
 */
#include "pending_int.h"

#include "libc.h"
#include "relay.h"
#include "seat.h"
#include "shared.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_same(int a, int b) {
  struct stat x, y;
  return a == b || ((atomic_load(&fdtab_flags[a]) & FDF_ALIAS) && (atomic_load(&fdtab_flags[b]) & FDF_ALIAS) &&
                    fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* The numbers of fd's socket where the C library has a stream: which of 0 to 2, and fd itself. Returns how many. */
static size_t standard_numbers(int fd, int numbers[STDERR_FILENO + 2]) {
  size_t count = 0;
  for (int i = 0; i <= STDERR_FILENO + 1; i++) {
    int n = i <= STDERR_FILENO ? i : fd;
    if ((i <= STDERR_FILENO || (fd > STDERR_FILENO && stream_has(fd))) && (fdtab_plain(n) || shared_is(n)) &&
        is_same(n, fd))
      numbers[count++] = n;
  }
  return count;
}

bool pending_is_standard(int fd) { return standard_numbers(fd, (int[STDERR_FILENO + 2]){0}) > 0; }

/* Makes the connect on number `high` and waits for its end. 0: it is relayed, or goes out in plaintext as its rule
 * says; -1 and errno, and the socket is as fresh. */
static int connect_high(int high, const struct sockaddr *sa, socklen_t len, const struct rules_entry *rule,
                        const struct rules_hosts *hosts) {
  int rc = pending_connect(high, sa, len, rule, hosts);
  struct sock *s = rc != 0 && errno != EINPROGRESS && errno != EINTR ? NULL : fdtab_get(high);
  if (!s)
    return rc;
  if (rc != 0) {
    struct pending *p = pending_pin(s);
    pending_await(s, high);
    rc = p ? pending_result(s, p, high) : 0;
    if (p)
      pending_unpin(p);
  }
  if (rc == 0 && atomic_load(&s->kind) == SOCK_CONN && relay_convert(high, "a standard stream's descriptor") != 0) {
    fdtab_leave(high, false);
    fdtab_cover(high); /* and so it ends */
    fdtab_stays(high);
    errno = ECONNREFUSED;
    rc = -1;
  }
  sock_put(s);
  return rc;
}

int pending_connect_standard(int fd, const struct sockaddr *sa, socklen_t len, const struct rules_entry *rule,
                             const struct rules_hosts *hosts) {
  struct seat seat[STDERR_FILENO + 2];
  int numbers[STDERR_FILENO + 2];
  bool covered = true;
  int high = libc_real()->fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (high < 0)
    return -1;
  fdtab_fresh(high);
  fdtab_dup(fd, high);
  size_t seats = standard_numbers(fd, numbers);
  for (size_t i = 0; i < seats; i++) {
    seat_leave(&seat[i], numbers[i]);
    covered = fdtab_cover(numbers[i]) && covered;
  }
  int rc = covered ? connect_high(high, sa, len, rule, hosts) : (errno = ENOBUFS, -1), failed = errno;
  uint8_t flags = atomic_load(&fdtab_flags[high]); /* none where it is relayed */
  for (size_t i = 0; i < seats; i++)
    seat_take(&seat[i], high, flags);
  fdtab_fresh(high);
  libc_real()->close(high);
  errno = failed;
  return rc;
}
