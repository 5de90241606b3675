/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parcel.c - packs and opens parcels (see parcel.h). The arena travels only where the process is who it was when it
 * got it: one that has given up rights since has no business handing them on.
 */
#include "parcel.h"

#include "arenas.h"
#include "libc.h"
#include "relay.h"
#include "session.h"
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PARCELS 64
#define MAGIC   0x6c637270u
#define VERSION 1u

struct label {
  uint32_t magic, version;
  uint64_t arena_id;
  uint32_t slot, use;
};

/* Between packing and exec; a process that executes has one thread that does. */
static struct {
  int fd, tcp;
  const struct sock *sock;
} packed[PARCELS];
static int count;

union control {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(2 * sizeof(int))];
};

static int send_label(int to, const struct label *label, int tcp, int arena) {
  union control control = {0};
  const int fds[2] = {tcp, arena};
  struct iovec iov = {(void *)(uintptr_t)label, sizeof *label};
  struct msghdr m = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(c), fds, sizeof fds);
  return libc_real()->sendmsg(to, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof *label ? 0 : -1;
}

bool parcel_pack(int fd, struct sock *s) {
  struct label label = {.magic = MAGIC, .version = VERSION, .slot = s->conn.slot->index, .use = s->conn.use};
  int pair[2], arena;
  label.arena_id = arenas_of(s->conn.slot);
  if (count >= PARCELS || (arena = arenas_fd(label.arena_id)) < 0 ||
      libc_real()->socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return false;
  fdtab_fresh_pair(0, pair);
  int tcp = libc_real()->fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (tcp >= 0)
    fdtab_fresh(tcp);
  bool done = tcp >= 0 && send_label(pair[1], &label, tcp, arena) == 0 && libc_real()->dup3(pair[0], fd, 0) >= 0;
  libc_real()->close(pair[0]);
  libc_real()->close(pair[1]);
  if (done) {
    packed[count].fd = fd;
    packed[count].tcp = tcp;
    packed[count++].sock = s;
  } else if (tcp >= 0) {
    libc_real()->close(tcp);
  }
  return done;
}

bool parcel_holds(const struct sock *s) {
  for (int i = 0; i < count; i++) {
    if (packed[i].sock == s)
      return true;
  }
  return false;
}

bool parcel_at(int fd) {
  for (int i = 0; i < count; i++) {
    if (packed[i].fd == fd)
      return true;
  }
  return false;
}

void parcel_unpack(void) {
  while (count > 0) {
    count--;
    libc_real()->dup3(packed[count].tcp, packed[count].fd, 0);
    libc_real()->close(packed[count].tcp);
  }
}

/* -- the next image -- */

static bool take_label(int fd, struct label *label, int fds[2]) {
  union control control;
  struct iovec iov = {label, sizeof *label};
  struct msghdr m = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  if (libc_real()->recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *label)
    return false;
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(2 * sizeof(int)))
    return false;
  memcpy(fds, CMSG_DATA(c), 2 * sizeof(int));
  return true;
}

struct search {
  const struct arena_slot *slot;
  struct sock *found;
};

static void same_slot(struct sock *s, void *arg) {
  struct search *search = arg;
  if (atomic_load(&s->kind) == SOCK_CONN && s->conn.slot == search->slot)
    search->found = s;
}

/* The connection becomes number fd. 0 or a negative errno. */
static int install(int fd, int tcp, struct arena_slot *slot, uint32_t use) {
  struct search search = {.slot = slot};
  uint32_t state = atomic_load(&slot->state);
  if (slot->magic != ARENA_SLOT_MAGIC || slot->use != use || (state != ARENA_LIVE && state != ARENA_MOVED))
    return -ESTALE;
  sock_each(same_slot, &search); /* two numbers of one connection came */
  struct sock *s = search.found ? search.found : sock_new(SOCK_CONN);
  if (!s)
    return -ENOMEM;
  if (!search.found)
    conn_join(&s->conn, slot, use);
  int rc = fdtab_set(fd, s);
  if (rc == 0 && libc_real()->dup3(tcp, fd, 0) < 0) {
    rc = -errno;
    fdtab_close(fd);
  }
  if (!search.found)
    sock_put(s);
  return rc;
}

bool parcel_open(int fd) {
  struct label label;
  struct ucred from;
  int fds[2], keep = errno;
  if (libc_real()->recv(fd, &label, sizeof label, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC) != (ssize_t)sizeof label ||
      label.magic != MAGIC || label.version != VERSION || !transport_peer_trusted(fd, &from)) {
    errno = keep;
    return false;
  }
  int rc = -EPROTO;
  if (take_label(fd, &label, fds)) {
    fdtab_fresh_pair(0, fds);
    rc = arenas_add(label.arena_id, fds[1]);
    struct arena_slot *slot = rc == 0 ? arenas_slot(label.arena_id, label.slot) : NULL;
    if (rc == 0)
      rc = slot ? install(fd, fds[0], slot, label.use) : -ENOMEM;
    libc_real()->close(fds[0]);
  }
  if (rc == 0)
    relay_forked(); /* others may have it, and move it */
  else
    session_complain("descriptor %d, a protected connection of the image before, could not be taken over: %s", fd,
                     strerror(-rc));
  errno = keep;
  return true;
}
