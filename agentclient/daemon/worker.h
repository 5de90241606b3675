/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - the process that serves: everything it holds, on one control thread. On disk it keeps counters only
 * (state.h).
 */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "canary.h"
#include "config.h"
#include "control.h"
#include "daemon.h"
#include "hostnames.h"
#include "kept.h"
#include "listeners.h"
#include "live.h"
#include "parting.h"
#include "post.h"
#include "serve.h"
#include "session.h"
#include "source.h"
#include "../observe/tally.h"

struct history;
struct ledger;
struct state;

struct worker {
  struct event_base *base;
  struct post *post;
  struct handshake_pool *pool;
  struct parting *parting;
  struct unblock *unblock;
  struct hostnames *hostnames;
  struct serve_shared shared;
  uid_t uid; /* our effective uid; 0 serves all */
  int fd_limit;
  const struct daemon_options *options;
  struct log *log;
  int64_t linger_ms; /* -1: never leaves */
  struct control control;
  struct config_list configs;
  struct config *enforced;    /* of every session, whatever it brings (referenced); NULL: none is */
  struct watch *watch;        /* of their files */
  struct source_list sources; /* shared ones */
  struct session_list sessions;
  unsigned session_count;
  struct listener_list listeners;
  struct live_list lives;
  unsigned live_count;
  struct revoke *revoke;
  struct limits *limits;
  int diag;                    /* NETLINK_SOCK_DIAG; -1: none */
  struct canary_list canaries; /* rules that are suspended */
  struct tally tally;
  struct ledger *ledger;   /* what was decided, counted */
  struct kept_list kept;   /* what processes that share a relayed connection may still ask for */
  struct relay *relay;     /* made with the first connection that needs it */
  struct state *state;     /* and kept */
  struct history *history; /* changes of policy that can be undone */
  struct event idle, sweep, sigterm, sigint, sighup, leash;
  int leash_fd; /* to the supervisor; -1: none (systemd, tests) */
  int64_t started_ms, respawned_ms;
  struct timespec started; /* CLOCK_REALTIME */
  struct policy *own;      /* the daemon's own configuration; NULL: none */
  struct measure *measure;
  bool leaving;
  uint64_t revoked; /* live connections that were ended */
};

/* Serves until told to leave. A sysexits code; 0 also when another daemon serves under that name already. */
int worker_main(const struct daemon_options *options, const char *name);

/* In pieces, for tests: set up (name: abstract, without the leading NUL), then event_base_dispatch(w->base),
 * then take down. worker_open: 0, or a sysexits code; 0 and w->base NULL: another daemon serves. */
int worker_open(struct worker *w, const struct daemon_options *options, const char *name);
void worker_close(struct worker *w);
bool worker_knows(void *worker, const char *name); /* for ring_begin() */

/* --all-users, or an enforced configuration of root's: programs of every user are served here and nowhere else. */
static inline bool worker_takes_all(const struct worker *w) {
  return w->options->all_users || (w->uid == 0 && w->enforced);
}

/* Something ended or began: is there anything left to stay for? */
void worker_look_idle(struct worker *w);

#endif
