/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relaying.c - WIRE_RELAY: copies a slot out of the shared memory, hands it to the relay, and answers with the
 * program's end of a stream pair. What is copied is hostile input: the relay looks at the copy, never at the slot
 * again.
 */
#include "relaying.h"
#include "listeners.h"
#include "message.h"
#include "worker.h"
#include "../relay/relay.h"
#include "svidwrap/relayname.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_connected_tcp(int fd) {
  int type = 0, protocol = 0;
  socklen_t len = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
         getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

static struct arena_slot *copy_of(const struct arena_slot *s) {
  struct arena_slot *copy = relay_slot_new();
  if (copy) {
    memcpy(copy, s, ARENA_PAGE);
    /* Buffers are as sparse as in the arena: only what is said to be in use. */
    if (copy->r_have || copy->r_len)
      memcpy(arena_rbuf(copy), (const uint8_t *)s + ARENA_PAGE, ARENA_RBUF);
    if (copy->w_len)
      memcpy(arena_wbuf(copy), (const uint8_t *)s + ARENA_PAGE + ARENA_RBUF, ARENA_WBUF);
    copy->r_dirty = copy->w_dirty = 1;
    copy->revoked = 0;
  }
  return copy;
}

/* Our end tells the TCP addresses, to whoever asks the program's end for its peer. Where that fails nobody is told.
 */
static void name_after(int end, int tcp, const struct arena_slot *slot) {
  struct sockaddr_un sun;
  struct sockaddr_storage local = {0}, remote = {0};
  socklen_t local_len = sizeof local, remote_len = sizeof remote;
  struct stat st;
  if (fstat(tcp, &st) != 0 || getsockname(tcp, (struct sockaddr *)&local, &local_len) != 0)
    return;
  if (getpeername(tcp, (struct sockaddr *)&remote, &remote_len) != 0) { /* after a reset TCP cannot tell */
    remote = slot->peer;
    remote_len = slot->peer_len <= sizeof remote ? slot->peer_len : 0;
  }
  socklen_t len = relayname_write(&sun, (uint32_t)st.st_ino, (struct sockaddr *)&local, local_len,
                                  (struct sockaddr *)&remote, remote_len);
  (void)bind(end, (struct sockaddr *)&sun, len);
}

/* closed: its program has closed it, with bytes unsent, and nobody wants the other end. */
static int take(struct worker *w, struct slots *slots, struct slots_ticket t, pid_t pid, int *tcp, int *theirs,
                bool *closed) {
  const struct arena_slot *slot = slots_live(slots, t);
  int pair[2];
  if (!slot || !is_connected_tcp(*tcp) || live_revoked(slots, t))
    return -ENOENT;
  if (!w->relay && !(w->relay = relay_new()))
    return -ENOMEM;
  struct arena_slot *copy = copy_of(slot);
  if (!copy)
    return -ENOMEM;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    int err = errno;
    relay_slot_free(copy);
    return -err;
  }
  if (pair[1] >= w->shared.fd_ceiling) { /* nearly out of descriptors: handshakes need the rest */
    relay_slot_free(copy);
    close(pair[0]);
    close(pair[1]);
    return -EMFILE;
  }
  *closed = atomic_load(&copy->holders) == 0;
  name_after(pair[0], *tcp, copy);
  struct stat st = {0};
  (void)fstat(*tcp, &st);
  int rc = relay_take(w->relay, copy, *tcp, pair[0], pair[1], pid);
  *tcp = -1;
  if (rc != 0) {
    close(pair[1]);
    return rc;
  }
  live_relayed(slots, t);
  slots_moved(slots, t);
  kept_add(&w->kept, slots, t, st.st_ino, pair[1]);
  *theirs = pair[1];
  return 0;
}

/* Another process of the program has moved it: this one gets what that one got. */
static int follow(struct worker *w, const struct slots *slots, struct slots_ticket t, int tcp, int *theirs) {
  int end = kept_find(&w->kept, slots, t, tcp);
  if (end < 0)
    return -ENOENT;
  *theirs = fcntl(end, F_DUPFD_CLOEXEC, 0);
  return *theirs < 0 ? -errno : 0;
}

/* More connections were closed with bytes unsent than may linger. */
static void tell_refused(struct worker *w, const struct session *s) {
  static uint64_t told;
  struct relay_totals t;
  if (relay_linger_refused(w->relay) == told)
    return;
  relay_totals(w->relay, &t);
  told = t.linger_refused;
  log_warning(
      s->config->log,
      "%llu connections so far were closed before their peers had taken all, and could not be held for it: %llu "
      "are; a peer of theirs that ends its own side first loses the rest. Look for peers that do not read",
      (unsigned long long)t.linger_refused, (unsigned long long)t.lingering);
}

void relaying_take(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  struct wire_relay m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct session *s = session_find(c->worker, &m.token, c->cred.uid);
  if (!s) {
    ctl_reply(c, WIRE_UNKNOWN_SESSION, EACCES, "no such session");
    return;
  }
  const struct slots_ticket t = {m.slot, m.slot_use};
  struct slots *slots = listeners_arena(c->worker, m.arena_id, s);
  if (!slots) /* it became another user after it had got the connection, as inetd's children do */
    slots = live_slots(c->worker, m.arena_id, t, fds[0]);
  bool closed = false;
  int theirs = -1, rc = slots ? follow(c->worker, slots, t, fds[0], &theirs) : -ENOENT;
  if (slots && rc == -ENOENT)
    rc = take(c->worker, slots, t, c->cred.pid, &fds[0], &theirs, &closed);
  if (rc == -ENOENT) {
    ctl_reply(c, WIRE_NOT_FOUND, EACCES, "no such connection");
    return;
  }
  if (rc != 0) {
    ctl_reply(c, WIRE_BUSY, -rc, "the relay has no room: %s", strerror(-rc));
    return;
  }
  log_debug(s->config->log, "a connection of %s (pid %d) %s", s->program, (int)c->cred.pid,
            closed ? "is closed, and its peer has not taken all yet: it lingers"
                   : "goes through the relay from now on");
  tell_refused(c->worker, s);
  struct wire_reply r = {.status = WIRE_OK};
  message_header(&r.hdr, WIRE_REPLY, sizeof r);
  ctl_answer(c, &r, sizeof r, &theirs, 1, false);
  close(theirs);
}
