/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - the configuration as understood: rules, log and audit targets, timeouts.
 *
 * A policy is immutable and reference-counted; a reload makes a new one. Thread-safe. It starts from
 * "denied": an answer is "allowed" only where a rule's allow list says so and its deny list does not.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "../identity/spiffeid.h"
#include "svidwrap/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct policy;

enum policy_scope { POLICY_SCOPE_PROCESS = 0, POLICY_SCOPE_DAEMON = 1 };
enum policy_log_format { POLICY_LOG_TEXT = 0, POLICY_LOG_JSON = 1 };
enum policy_log_level { POLICY_LOG_ERROR = 0, POLICY_LOG_WARNING, POLICY_LOG_INFO, POLICY_LOG_DEBUG };
enum policy_io_uring { POLICY_IO_URING_DENY = 0, POLICY_IO_URING_ALLOW_UNSAFE = 1 };

/* Settings beside the rules. Strings belong to the policy; NULL where the file says nothing. */
struct policy_settings {
  const char *workload_socket; /* workload_api.socket; NULL: $SPIFFE_ENDPOINT_SOCKET (from vars) was not set either */
  const char *spiffe_id, *hint; /* identity: which SVID; NULL: the first */
  enum policy_scope scope;
  const char *log_to; /* "auto", "stderr", "syslog" or a path */
  enum policy_log_format log_format;
  enum policy_log_level log_level;
  const char *audit_to;          /* the same; default: as log_to */
  uint32_t handshake_timeout_ms; /* 10 s */
  uint32_t identity_wait_ms;     /* how long a first call waits for an identity: 10 s */
  uint32_t daemon_linger_ms;     /* 30 s */
  uint32_t handshake_threads;    /* 0: one a core */
  enum policy_io_uring io_uring;
  /* A variable had a say in where lines go; in identity.scope or the agent's address. Variables are the program's,
   * the file may be somebody else's. */
  bool target_varies, agent_varies;
};

struct policy_rule {
  enum rules_kind kind;
  enum rules_mode mode;
  const char *name; /* for logs: "listen 6379" or the rule's name: */
  int line;         /* in the file */
  bool audit_only;  /* policy: audit */
  int deny_errno;
  uint32_t flags;               /* RULES_... / ARENA_TRUNCATION_EOF */
  const char *spiffe_id, *hint; /* the identity this rule wants; NULL: the settings' */
  const char *sni;              /* client: server name to send, or NULL */
};

/* Reads a configuration text. path is for messages only. lookup answers ${NAME} (NULL: not set) and the
 * defaults that come from the environment (SPIFFE_ENDPOINT_SOCKET). On failure NULL and
 * "path:line:col: message" in why. */
typedef const char *(*policy_lookup)(void *arg, const char *name);
struct policy *policy_parse(const char *path, const char *text, size_t len, policy_lookup lookup, void *arg,
                            char *why, size_t why_len);
/* Reads fd (not its offset: pread) up to a limit of 1 MiB, then as above. */
struct policy *policy_read(const char *path, int fd, policy_lookup lookup, void *arg, char *why, size_t why_len);
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p);

const struct policy_settings *policy_settings(const struct policy *p);
size_t policy_rule_count(const struct policy *p);
const struct policy_rule *policy_rule_at(const struct policy *p, uint32_t rule); /* NULL: no such rule */
/* Modes that parse but do not work yet: the text that `run` prints, NULL when all is well. */
const char *policy_unavailable(const struct policy *p);

/* May this peer talk under this rule? true: yes. Else *why is a static string for the audit line
 * ("not in allow", "denied by deny", "no such rule"). It says no for audit_only rules too: the caller
 * decides what to do about that. */
bool policy_allows(const struct policy *p, uint32_t rule, const struct spiffeid *peer, const char **why);

/* Writes the compiled entries of every rule, in order, into a table of RULES_MAX (not its seq or generation).
 * 0, or -1 when policy_unavailable() has something to say: a table without those rules would let what they
 * cover through in plaintext. */
int policy_compile(const struct policy *p, struct rules_entry *entries, uint32_t *count);

/* The rules as understood, as text or JSON (malloc()ed). */
char *policy_describe(const struct policy *p, bool json);

/* "500ms", "10s", "5m", "1h" or "0"; what does not fit is UINT32_MAX. 0, or -1 when it is no duration. */
int policy_duration(const char *text, uint32_t *ms);

#endif
