/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alert.c - tells the daemon of an alert that ended a connection after its handshake, for the audit log. In
 * TLS 1.3 a server judges our certificate when our connect() is done already, so the refusal shows up here.
 */
#include "alert.h"

#include "conn.h"
#include "libc.h"
#include "session.h"

#include <errno.h>
#include <string.h>

static void tell(struct conn *c, int fd, int alert, bool received) {
  LOCK_NO_CANCEL;
  const struct arena_slot *slot = c->slot;
  struct wire_alert m = {.rule = slot->rule, .inbound = slot->role == ARENA_SERVER, .received = received};
  struct wire_reply reply;
  socklen_t len = sizeof m.local;
  int keep = errno;
  m.alert = (uint8_t)alert;
  if (libc_real()->getsockname(fd, (struct sockaddr *)&m.local, &len) == 0)
    m.local_len = len;
  len = sizeof m.remote;
  if (slot->peer_len > 0 && slot->peer_len <= sizeof m.remote) {
    m.remote = slot->peer;
    m.remote_len = slot->peer_len;
  } else if (libc_real()->getpeername(fd, (struct sockaddr *)&m.remote, &len) == 0) {
    m.remote_len = len;
  }
  m.peer_id_len = slot->peer_id_len <= sizeof m.peer_id ? slot->peer_id_len : 0;
  memcpy(m.peer_id, slot->peer_id, m.peer_id_len);
  session_header(&m.hdr, WIRE_ALERT, sizeof m);
  if (session_tell(&m, sizeof m, offsetof(struct wire_alert, token), -1, &reply, NULL) != 0)
    session_complain("a protected connection ended by the TLS alert %d, %s the peer", alert,
                     received ? "from" : "sent to");
  errno = keep;
}

void alert_init(void) { conn_on_alert = tell; }
