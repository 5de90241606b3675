/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_request.c - one request of a session, with an answer: on a connection of its own, and once more where the
 * daemon does not know the session, or wants a connection to the agent.
 */
#include "session.h"

#include "arenas.h"
#include "libc.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

int session_request(void *msg, size_t len, size_t token_offset, int fd, struct wire_reply *reply,
                    int fds[WIRE_FDS_MAX], int *life) {
  for (int attempt = 0;; attempt++) {
    const struct wire_token token = session_token();
    memcpy((char *)msg + token_offset, &token, sizeof token);
    int sock = session_dial();
    if (sock < 0)
      return -1;
    if (session_send(sock, msg, len, fd) != 0 ||
        session_recv(sock, reply, sizeof *reply, WIRE_REPLY, fds, SESSION_ANSWER_MS) < (ssize_t)sizeof *reply) {
      int failed = errno;
      libc_real()->close(sock);
      if (failed == ECONNRESET && attempt == 0)
        continue; /* the worker died under the request: its successor answers */
      errno = failed;
      return -1;
    }
    if (attempt < 2 && (reply->status == WIRE_UNKNOWN_SESSION || reply->status == WIRE_NEED_AGENT)) {
      libc_real()->close(sock);
      if (reply->status == WIRE_UNKNOWN_SESSION && session_ready(true) != 0)
        return -1;
      if (session_agent(0, NULL, NULL) != 0)
        return -1;
      continue;
    }
    if (life)
      *life = sock;
    else
      libc_real()->close(sock);
    return 0;
  }
}

struct arena_slot *session_slot(uint64_t arena_id, uint32_t slot) {
  struct arena_slot *s = arenas_slot(arena_id, slot);
  if (s || errno != ENOENT)
    return s;
  struct wire_arena m = {.arena_id = arena_id};
  struct wire_reply reply;
  int fds[WIRE_FDS_MAX];
  if (session_ready(false) != 0)
    return NULL;
  session_header(&m.hdr, WIRE_ARENA, sizeof m);
  if (session_request(&m, sizeof m, offsetof(struct wire_arena, token), -1, &reply, fds, NULL) != 0)
    return NULL;
  if (reply.status != WIRE_OK || fds[0] < 0) {
    errno = EPROTO;
    return NULL;
  }
  int rc = arenas_add(arena_id, fds[0]);
  if (rc != 0) {
    errno = -rc;
    return NULL;
  }
  return arenas_slot(arena_id, slot);
}
