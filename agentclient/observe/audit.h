/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.h - one JSON line for every connection decision.
 */
#ifndef OBSERVE_AUDIT_H
#define OBSERVE_AUDIT_H

#include "log.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Keys of the line, in this order: timestamp (RFC 3339, UTC, microseconds), event ("connection"), result
 * ("allowed", "denied", "failed", "refused_by_peer", "would_deny", "plaintext"), direction ("inbound", "outbound"),
 * client_spiffe_id, server_spiffe_id ("" where unknown), rule (its name), local, remote ("ip:port",
 * "[ip6]:port"), reason ("" when allowed), pid, program. */
struct audit_event {
  const char *event;
  const char *result;
  const char *direction;
  const char *client_spiffe_id;
  const char *server_spiffe_id;
  const char *rule;
  const struct sockaddr *local, *remote; /* may be NULL */
  const char *reason;
  pid_t pid;
  const char *program;
};
/* 0, or -1: the line was lost, and is counted (log_ready()). */
int audit_write(struct log *to, const struct audit_event *e);

/* An operator's order that changed a rule. Keys, in this order: timestamp, event ("mode", "rollback"), result
 * ("applied"), rule ("" where it is not about one), old, new (as "canary 25"), config (the file), persisted (the file
 * was to be changed, too), uid, pid (of who gave it). 0, or -1 as above. */
struct audit_order {
  const char *event;
  const char *rule, *before, *after;
  const char *config;
  bool persisted;
  uid_t uid;
  pid_t pid;
};
int audit_order_write(struct log *to, const struct audit_order *o);

/* "127.0.0.1:6379", "[::1]:6379", v4-mapped as IPv4; buf of at least 64 bytes. */
const char *audit_address(const struct sockaddr *sa, char *buf, size_t len);
/* "127.0.0.1", "::1": the same without the port. */
const char *audit_host(const struct sockaddr *sa, char *buf, size_t len);

#endif
