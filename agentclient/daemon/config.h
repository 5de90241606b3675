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
#include "svidwrap/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/types.h>

struct config {
  unsigned refs;
  LIST_ENTRY(config) link;
  unsigned char key[32];   /* of path, text, vars, whether it is trusted, and whose the vars are */
  unsigned char seen[32];  /* the key of what the file held last: that text again is no change */
  unsigned char stale[32]; /* and of what it holds until an order of ours is written to it; zeros: none */
  struct policy *policy;   /* only config_apply() (reload.h) changes it */
  struct log *log, *audit;
  int rules_fd;
  struct rules_table *rules; /* our writable mapping */
  char *endpoint;            /* "" where the configuration names none */
  char *label;               /* in the ledger: the path, and whose it is where it is not ours */
  bool metrics_ignored;      /* its metrics.listen, and the log has said so */
  bool audit_down;           /* audit lines are being lost, and the log says so */
  bool trusted;              /* the daemon's own: it may name files and use the daemon's identity */

  /* To read it again (watch.h). */
  char *path, *vars;
  size_t vars_len;
  uid_t uid, owner; /* of who brought it; of the file */
  pid_t pid;        /* of the first who did; it may be gone */
  gid_t gid;
  dev_t dev; /* the file that was brought */
  ino_t ino;
  bool stderr_log;
  bool enforced; /* the daemon's, for every session (enforce.h) */
  enum config_watched { CONFIG_NEW = 0, CONFIG_WATCHED, CONFIG_UNWATCHED } watched;
  bool changed, perhaps;    /* something happened to it; in a directory of it */
  bool reading, read_again; /* a thread looks; and once more */
  int dirs[2];              /* inotify's numbers */
  uint64_t reloads, reload_failures;
  char failure[WIRE_TEXT_MAX]; /* why the last reload was refused; "" when none was since the last good one */

  /* Addresses of host names in connect rules, as the daemon found them (config_set_addresses). */
  struct policy_addresses *found;
  size_t found_count;
};
LIST_HEAD(config_list, config);

struct config_source {
  const char *path; /* absolute, for messages */
  int fd;
  const char *vars;
  size_t vars_len;
  uid_t uid; /* of the session */
  pid_t pid;
  gid_t gid;
  bool stderr_log; /* what `auto` means */
};

/* The shared configuration, referenced. NULL and "path:line:col: message" in why. */
struct config *config_shared(struct config_list *all, const struct config_source *src, char *why, size_t why_len);
struct config *config_ref(struct config *c);
void config_unref(struct config *c);

/* What a text makes of a configuration, checked to the last target of a log line, and nothing changed yet. */
struct config_draft {
  struct policy *policy;
  struct log *log, *audit;
  char *endpoint;
  bool trusted;
  unsigned char key[32];
};
/* 0, or -1 and "path:line:col: message" in why; 1 and no policy: it has the key `known` (may be NULL). st: of the
 * file that the text came from. */
int config_draft(const struct config_source *src, const char *text, size_t len, const struct stat *st,
                 const unsigned char *known, struct config_draft *d, char *why, size_t why_len);
void config_draft_free(struct config_draft *d);
/* The key that a configuration has with this text. 0, or -1. */
int config_key(const struct config *c, const char *text, size_t len, unsigned char key[32]);
/* The file holds `from`, or is about to, and will hold `to`: no change of ours to learn of. Keys as above. */
void config_expect(struct config *c, const unsigned char from[32], const unsigned char to[32]);
/* Is this text no news? st: of the file. */
bool config_known(struct config *c, const struct config_source *src, const char *text, size_t len,
                  const struct stat *st);
/* The whole of a configuration file, with what must hold of a file before a byte of it is read. 0 and *text
 * (malloc()ed), or -1 and why. */
int config_read(const struct config_source *src, char **text, size_t *len, struct stat *st, char *why,
                size_t why_len);

/* Around a change of c->rules: who reads meanwhile reads again. */
void config_rules_lock(struct config *c);
void config_rules_unlock(struct config *c);

void config_reopen_logs(struct config_list *all);

/* The first entry of the compiled rules that covers an address. 1: *out is it; 0: none; -1: not an address. */
int config_match(const struct config *c, enum rules_kind kind, const struct sockaddr *sa, socklen_t len,
                 struct rules_entry *out);
/* The same, with the names by which the program found the address (NULL: none). */
int config_match_host(const struct config *c, enum rules_kind kind, const struct sockaddr *sa, socklen_t len,
                      const struct rules_hosts *hosts, struct rules_entry *out);
#endif
