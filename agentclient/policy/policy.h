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
  /* With svidwrap daemon --config: every session gets this configuration, whatever it brings along; variables are
   * the daemon's own. */
  bool enforce_config;
  bool audit_required;        /* audit: {required}: no line, no new connection */
  const char *metrics_listen; /* "127.0.0.1:9464", "[::1]:9464" or "unix:PATH"; NULL: none */
  const char *state_dir;      /* where the counters of `svidwrap report` survive a restart; NULL: nowhere */
  /* A variable had a say in where lines go; in identity.scope or the agent's address. Variables are the program's,
   * the file may be somebody else's. */
  bool target_varies, agent_varies;
};

enum policy_on_change { POLICY_CHANGE_CLOSE = 0, POLICY_CHANGE_KEEP = 1 };
enum policy_on_revoke { POLICY_REVOKE_CLOSE = 0, POLICY_REVOKE_KEEP = 1 };
enum policy_on_failure { POLICY_FAILURE_ERROR = 0, POLICY_FAILURE_SUSPEND = 1 };

/* limits: {...} of a rule; 0: none. Rates are new connections a second, by a token bucket of `burst`. */
struct policy_limits {
  uint32_t connections, connections_per_peer;
  uint32_t rate, rate_per_peer;
  uint32_t burst, burst_per_peer; /* default: the rate */
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
  const char *sni;              /* client: server name to send, or NULL: the host name that the program resolved */
  const uint8_t *alpn;          /* client: protocols to offer, in wire format (RFC 7301), or NULL */
  size_t alpn_len;
  bool resumption; /* true unless the rule says off */
  struct policy_limits limits;
  enum policy_on_revoke on_revoke;      /* the agent took our identity away */
  enum policy_on_change on_change;      /* a new policy does not allow it any more */
  bool staged;                          /* mode off with an allow list: prepared for a later mode */
  uint32_t percent;                     /* canary */
  bool sticky;                          /* canary: sticky: process */
  enum policy_on_failure on_failure;    /* canary */
  uint32_t suspend_for_ms;              /* canary, on_failure: suspend */
  const char *mode_from, *percent_from; /* the environment variable that has the say in it, or NULL: the file */
  uint32_t detect_timeout_ms;           /* permissive: a peer that says nothing for so long is plaintext */
};

/* Reads a configuration text. path is for messages only. lookup answers ${NAME} (NULL: not set), the defaults that
 * come from the environment (SPIFFE_ENDPOINT_SOCKET) and what it may override: SVIDWRAP_LISTEN_PORT_MODE,
 * SVIDWRAP_CONNECT_NAME_MODE, ..._PERCENT (not where the file says enforce_config). On failure NULL and
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
/* May this peer talk under this rule? self is our own ID as the peer sees it, for {trust_domain} in patterns; where
 * it is NULL or empty those allow nobody. true: yes. Else *why is a static string for the audit line
 * ("not in allow", "denied by deny", "no such rule"). It says no for audit_only rules too: the caller
 * decides what to do about that. */
bool policy_allows(const struct policy *p, uint32_t rule, const struct spiffeid *self, const struct spiffeid *peer,
                   const char **why);

/* permissive: is this peer's address listed in plaintext_from, so that it is plaintext at once, without a look at
 * what it sends? */
bool policy_plaintext_from(const struct policy *p, uint32_t rule, const struct sockaddr *peer, socklen_t len);

/* A copy in which a rule, found by its name, has another mode (and percent; UINT32_MAX: as it is). NULL and a reason
 * that says what would do: no such rule, no allow list, a mode that its kind cannot have. */
struct policy *policy_with_mode(const struct policy *p, const char *rule, enum rules_mode mode, uint32_t percent,
                                char *why, size_t why_len);
/* The same as a change of the file's text, for `svidwrap mode --persist`: everything else stays as it is, byte for
 * byte. *out is malloc()ed. 0, or -1 and a reason: as above, or a text that is not valid, or written in a way that is
 * not to be changed by a machine. */
int policy_edit_mode(const char *path, const char *text, size_t len, policy_lookup lookup, void *arg,
                     const char *rule, enum rules_mode mode, uint32_t percent, char **out, size_t *out_len, char *why,
                     size_t why_len);
int policy_mode_parse(const char *text, enum rules_mode *mode); /* 0, or -1 */
const char *policy_mode_name(enum rules_mode mode);

/* Host names in connect rules, in order of the rules: for the daemon to resolve. false: no more. */
bool policy_host_at(const struct policy *p, size_t i, const char **name, uint32_t *rule);
/* What the daemon found for them. */
struct policy_addresses {
  const char *name;
  size_t count;
  const uint8_t (*addr)[16]; /* as in rules_entry */
};

/* Writes the compiled entries of every rule, in order, and the host names into a table (not its seq or generation).
 * found: the addresses of host names, or NULL; an entry each, behind the name's.
 * 0, or -1 when they do not fit: a table without some of them would let what they cover through in plaintext. */
int policy_compile(const struct policy *p, const struct policy_addresses *found, size_t found_count,
                   struct rules_table *table);

/* What is valid and still hardly meant: rules that can never match, each with the rule that hides it. For `config
 * check`. 0, or -1 for want of memory. */
typedef void (*policy_warning)(void *arg, unsigned line, unsigned col, const char *text);
int policy_warnings(const struct policy *p, policy_warning say, void *arg);

/* The rules as understood, as text or JSON (malloc()ed). */
char *policy_describe(const struct policy *p, bool json);

/* `svidwrap explain`: which rule decides about a connection, and why. By the configuration alone: nothing is resolved
 * or asked. */
struct policy_question {
  const struct spiffeid *from; /* who connects */
  const struct spiffeid
      *self; /* inbound: who we are, for {trust_domain}; NULL: the ID that the configuration names */
  const struct spiffeid *peer; /* outbound: the ID that the server shows; NULL: not known */
  const char *to;              /* "6379": into a program of ours; "HOST:6379": out of one */
};
/* The answer as text or JSON (malloc()ed); *denied: the connection would be refused. NULL and a reason: to is neither
 * a port nor HOST:PORT. */
char *policy_explain(const struct policy *p, const struct policy_question *q, bool json, bool *denied, char *why,
                     size_t why_len);

/* "500ms", "10s", "5m", "1h" or "0"; what does not fit is UINT32_MAX. 0, or -1 when it is no duration. */
int policy_duration(const char *text, uint32_t *ms);

#endif
