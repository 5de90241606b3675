/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - configurations as sessions bring them: parsed once, shared by all sessions that bring the same.
 *
 * What is shared: the policy, its compiled rules in a memfd that programs can only read, and where its log and
 * audit lines go. A root-run daemon does not let another uid's file choose what is written or spoken in its
 * name: see config_trusted.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "../observe/log.h"
#include "../policy/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

struct config {
  unsigned refs;
  LIST_ENTRY(config) link;
  unsigned char key[32]; /* of path, text, vars, whether it is trusted, and whether the vars are */
  struct policy *policy;
  struct log *log, *audit;
  int rules_fd;
  struct rules_table *rules; /* our writable mapping */
  char *endpoint;            /* "" where the configuration names none */
  char *label;               /* in the ledger: the path, and whose it is where it is not ours */
  bool audit_down;           /* audit lines are being lost, and the log says so */
  bool trusted;              /* the daemon's own: it may name files and use the daemon's identity */
};
LIST_HEAD(config_list, config);

struct config_source {
  const char *path; /* absolute, for messages */
  int fd;
  const char *vars;
  size_t vars_len;
  uid_t uid;       /* of the session */
  bool stderr_log; /* what `auto` means */
};

/* The shared configuration, referenced. NULL and "path:line:col: message" in why. */
struct config *config_shared(struct config_list *all, const struct config_source *src, char *why, size_t why_len);
void config_unref(struct config *c);
void config_reopen_logs(struct config_list *all);

/* The first entry of the compiled rules that covers an address. 1: *out is it; 0: none; -1: not an address. */
int config_match(const struct config *c, enum rules_kind kind, const struct sockaddr *sa, socklen_t len,
                 struct rules_entry *out);

#endif
