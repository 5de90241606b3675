/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome.c - what an outcome is called and what a program sees of it (docs/ARCHITECTURE.md, "fail closed").
 */
#include "handshake.h"

#include <errno.h>

static const struct {
  const char *name;
  int err;
} outcomes[] = {
    [HANDSHAKE_OK] = {"ok", 0},
    [HANDSHAKE_TCP_FAILED] = {"tcp_failed", ECONNREFUSED}, /* the kernel tells the program the real one */
    [HANDSHAKE_TIMEOUT] = {"timeout", ETIMEDOUT},
    [HANDSHAKE_NOT_TLS] = {"not_tls", EPROTO},
    [HANDSHAKE_UNVERIFIED] = {"unverified", EACCES},
    [HANDSHAKE_DENIED] = {"denied", EACCES},
    [HANDSHAKE_PEER_REFUSED] = {"peer_refused", EACCES},
    [HANDSHAKE_PEER_CLOSED] = {"peer_closed", ECONNRESET},
    [HANDSHAKE_INTERNAL] = {"internal", EIO},
    [HANDSHAKE_CANCELLED] = {"cancelled", ECANCELED},
};

static bool known(enum handshake_outcome outcome) { return (unsigned)outcome < sizeof outcomes / sizeof outcomes[0]; }

int handshake_errno(enum handshake_outcome outcome, int deny_errno) {
  if (outcome == HANDSHAKE_DENIED && deny_errno)
    return deny_errno;
  return known(outcome) ? outcomes[outcome].err : EIO;
}

const char *handshake_outcome_name(enum handshake_outcome outcome) {
  return known(outcome) ? outcomes[outcome].name : "unknown";
}
