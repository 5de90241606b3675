/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c - sets the serving process up and takes it down, decides when it is no longer needed, and looks after
 * its supervisor.
 */
#include "worker.h"
#include "clock.h"
#include "enforce.h"
#include "history.h"
#include "measure.h"
#include "probe.h"
#include "revoke.h"
#include "ring.h"
#include "state.h"
#include "supervisor.h"
#include "watch.h"
#include "../observe/ledger.h"
#include "../relay/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#define FD_RESERVE     40 /* kept free: without them the daemon could not even take a listener down */
#define FD_WANTED      65536
#define FD_FEW         1024
#define SWEEP_MS       1000
#define LINGER_MS      30000
#define RESPAWN_MS     1000
#define PROBE_MS       2000
#define CONFIG_DEFAULT "/etc/svidwrap/svidwrap.yaml"

/* How many descriptors we may have. A program with a low limit may have started us: what rises with the soft limit,
 * and where we are allowed to with the hard one, is not its business. */
static int fd_limit(void) {
  struct rlimit lim;
  if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
    return 1024;
  struct rlimit more = {FD_WANTED, FD_WANTED};
  if (lim.rlim_max < FD_WANTED && setrlimit(RLIMIT_NOFILE, &more) == 0)
    return FD_WANTED;
  lim.rlim_cur = lim.rlim_max;
  setrlimit(RLIMIT_NOFILE, &lim);
  getrlimit(RLIMIT_NOFILE, &lim);
  return lim.rlim_cur > 1 << 20 ? 1 << 20 : (int)lim.rlim_cur;
}

/* -- our own log -- */

/* Modes by the environment are a program's: what the one that started us has is nobody else's business. */
static const char *from_environment(void *arg, const char *name) {
  (void)arg;
  bool mode = strncmp(name, "SVIDWRAP_LISTEN_", 16) == 0 || strncmp(name, "SVIDWRAP_CONNECT_", 17) == 0;
  return mode ? NULL : getenv(name);
}

static const char *own_path(const struct daemon_options *o) {
  const char *path = o->config ? o->config : getenv("SVIDWRAP_CONFIG");
  return path && *path ? path : CONFIG_DEFAULT;
}

/* The daemon's own settings. NULL where there is no file that could be read; *bad when one was asked for by name. */
static struct policy *own_policy(const struct daemon_options *o, bool *bad, char *why, size_t why_len) {
  const char *path = own_path(o);
  why[0] = '\0';
  *bad = false;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    *bad = o->config != NULL;
    snprintf(why, why_len, "%s: %s", path, strerror(errno));
    return NULL;
  }
  struct policy *p = policy_read(path, fd, from_environment, NULL, why, why_len);
  *bad = !p && o->config;
  close(fd);
  return p;
}

/* Whoever started us looks at stderr, whatever the log is. */
static int fatal(const struct worker *w, const char *what, const char *why) {
  log_error(w->log, "%s: %s", what, why);
  if (strcmp(log_target(w->log), "stderr") != 0)
    fprintf(stderr, "svidwrap: %s: %s\n", what, why);
  return EX_CONFIG;
}

/* Lines go to what programs' configurations name; --config says that ours is one of them. */
static int check_audit(const struct worker *w) {
  char why[512];
  if (!w->own || !w->options->config)
    return 0;
  const struct policy_settings *set = policy_settings(w->own);
  struct log *audit = log_open(set->audit_to, set->log_format, set->log_level, true, why, sizeof why);
  if (!audit) {
    return fatal(w, "audit", why + strlen("log: "));
  }
  log_unref(audit);
  return 0;
}

static int open_log(struct worker *w, unsigned *threads) {
  char why[WIRE_TEXT_MAX];
  bool bad, stderr_log = w->options->foreground || w->options->container;
  struct policy *p = own_policy(w->options, &bad, why, sizeof why);
  const struct policy_settings *set = p ? policy_settings(p) : NULL;
  *threads = set ? set->handshake_threads : 0;
  if (!bad)
    w->log = log_open(set && set->log_to ? set->log_to : "auto", set ? set->log_format : POLICY_LOG_TEXT,
                      set ? set->log_level : POLICY_LOG_INFO, stderr_log, why, sizeof why);
  w->own = p;
  if (!w->log) {
    log_error(NULL, "%s", why);
    return EX_CONFIG;
  }
  log_set_default(w->log);
  return check_audit(w);
}

static int open_enforced(struct worker *w) {
  char why[WIRE_TEXT_MAX];
  int rc = enforce_open(w, why, sizeof why);
  return rc == 0 ? 0 : fatal(w, "configuration", why);
}

/* Programs come with the same configuration, or another: what is wrong with our own is a reason to end only where it
 * was asked for by name. */
static int open_metrics(struct worker *w) {
  const char *address = w->own ? policy_settings(w->own)->metrics_listen : NULL;
  char why[512];
  w->measure = measure_new(w);
  if (!w->measure)
    return EX_OSERR;
  if (!address || measure_begin(w->measure, own_path(w->options), address, why, sizeof why) == 0)
    return 0;
  if (w->options->config && !w->options->again)
    return fatal(w, "metrics.listen", why);
  log_error(w->log, "metrics.listen: %s", why);
  return 0;
}

/* -- when to leave -- */

static bool idle(const struct worker *w) {
  struct relay_totals relayed = {0};
  if (w->relay)
    relay_totals(w->relay, &relayed);
  return w->session_count == 0 && w->control.count == 0 && LIST_EMPTY(&w->listeners) && relayed.live == 0;
}

static void idle_over(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct worker *w = arg;
  /* Somebody may be knocking this very moment: their events are handled first, one loop later we look again. */
  struct pollfd p = {.fd = w->control.fd, .events = POLLIN};
  if (!idle(w) || poll(&p, 1, 0) != 0) {
    worker_look_idle(w);
    return;
  }
  log_info(w->log, "no sessions for %lld s: leaving", (long long)w->linger_ms / 1000);
  event_base_loopbreak(w->base);
}

void worker_look_idle(struct worker *w) {
  if (w->leaving)
    return;
  if ((!idle(w) || w->live_count) && !evtimer_pending(&w->sweep, NULL)) {
    struct timeval tv = clock_timeval(SWEEP_MS);
    evtimer_add(&w->sweep, &tv);
  }
  if (!idle(w)) {
    evtimer_del(&w->idle);
  } else if (w->linger_ms >= 0 && !evtimer_pending(&w->idle, NULL)) {
    struct timeval tv = clock_timeval(w->linger_ms);
    evtimer_add(&w->idle, &tv);
  }
}

static void sweep(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct worker *w = arg;
  struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  slots_sweep(s->slots);
  struct listener *l;
  LIST_FOREACH(l, &w->listeners, link)
  slots_sweep(l->slots);
  live_sweep(w);
  worker_look_idle(w);
}

/* -- signals and the supervisor -- */

static void terminated(evutil_socket_t sig, short what, void *arg) {
  (void)what;
  struct worker *w = arg;
  log_info(w->log, "signal %d: leaving", (int)sig);
  event_base_loopbreak(w->base);
}

static void hung_up(evutil_socket_t sig, short what, void *arg) {
  (void)sig;
  (void)what;
  struct worker *w = arg;
  log_reopen(w->log);
  config_reopen_logs(&w->configs);
  watch_reread(w->watch);
}

static void leash_event(evutil_socket_t fd, short what, void *arg);

static void leash_watch(struct worker *w) {
  event_assign(&w->leash, w->base, w->leash_fd, EV_READ, leash_event, w);
  event_add(&w->leash, NULL);
}

/* The supervisor is gone: killed, or it never got far. We go on, and see to it that there is one again. */
static void leash_event(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  struct worker *w = arg;
  int64_t now = clock_ms();
  if (what & EV_READ) {
    close(w->leash_fd);
    w->leash_fd = -1;
  }
  int64_t wait = w->respawned_ms ? w->respawned_ms + RESPAWN_MS - now : 0;
  if (wait <= 0) {
    w->respawned_ms = now;
    w->leash_fd = supervisor_respawn(w->options);
    wait = RESPAWN_MS;
  }
  if (w->leash_fd >= 0) {
    log_warning(w->log, "the supervisor was gone; started another one");
    leash_watch(w);
    return;
  }
  struct timeval tv = clock_timeval(wait);
  evtimer_assign(&w->leash, w->base, leash_event, w);
  evtimer_add(&w->leash, &tv);
}

/* -- up and down -- */

/* Takes the name, or finds out who has it. 0: ours; 1: another daemon serves; else a sysexits code. */
static int take_name(struct worker *w, const char *name) {
  if (w->options->listen_fd) {
    if (control_adopt(w, name, w->options->listen_fd) == 0)
      return 0;
    log_error(w->log, "the socket that was passed is not the daemon's: ListenSequentialPacket=@%s", name);
    return EX_CONFIG;
  }
  for (int i = 0; i < 200; i++) {
    if (control_open(w, name) == 0)
      return 0;
    if (errno != EADDRINUSE) {
      log_error(w->log, "cannot bind @%s: %s", name, strerror(errno));
      return EX_OSERR;
    }
    switch (probe_daemon(name, PROBE_MS)) {
    case PROBE_FOREIGN:
      log_error(w->log, "@%s is held by another user's process", name);
      return EX_NOPERM;
    case PROBE_ALIVE:
    case PROBE_SILENT:
      return 1;
    case PROBE_NOBODY: /* it is being born, or dying */
      break;
    }
    usleep(10000);
  }
  return EX_TEMPFAIL;
}

static void watch_signals(struct worker *w) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* a log that may not grow any more (RLIMIT_FSIZE, inherited) loses lines, no more */
  evsignal_assign(&w->sigterm, w->base, SIGTERM, terminated, w);
  evsignal_assign(&w->sigint, w->base, SIGINT, terminated, w);
  evsignal_assign(&w->sighup, w->base, SIGHUP, hung_up, w);
  evsignal_add(&w->sigterm, NULL);
  evsignal_add(&w->sigint, NULL);
  evsignal_add(&w->sighup, NULL);
}

static int open_engines(struct worker *w, unsigned threads) {
  w->post = post_new(w->base);
  w->parting = parting_new(w->base);
  w->pool = handshake_pool_new(threads);
  w->unblock = unblock_new();
  w->hostnames = w->post ? hostnames_new(w, w->options->lookup ? w->options->lookup : resolver_getaddrinfo) : NULL;
  w->watch = watch_new(w);
  w->revoke = revoke_new(w);
  w->limits = limits_new();
  w->diag = diag_open();
  if (!w->revoke || !w->limits)
    return EX_OSERR;
  w->ledger = ledger_new(time(NULL));
  w->history = history_new();
  if (!w->ledger || !w->history || !w->post || !w->parting || !w->pool || !w->unblock || !w->hostnames ||
      workload_start() != 0)
    return EX_OSERR;
  w->fd_limit = fd_limit();
  if (w->fd_limit < FD_FEW)
    log_warning(
        w->log,
        "this daemon may open %d descriptors only, and every program and connection takes some: whoever started "
        "it has a low hard limit (RLIMIT_NOFILE, ulimit -Hn, LimitNOFILE=); raise that, or start `svidwrap "
        "daemon` before it, with a higher one",
        w->fd_limit);
  int ceiling = w->fd_limit > 2 * FD_RESERVE ? w->fd_limit - FD_RESERVE : w->fd_limit / 2;
  w->shared = (struct serve_shared){.base = w->base,
                                    .post = w->post,
                                    .pool = w->pool,
                                    .parting = w->parting,
                                    .unblock = w->unblock,
                                    .fd_ceiling = ceiling};
  return 0;
}

int worker_open(struct worker *w, const struct daemon_options *options, const char *name) {
  *w = (struct worker){.options = options, .uid = geteuid(), .leash_fd = -1, .diag = -1, .control = {.fd = -1}};
  w->started_ms = clock_ms();
  clock_gettime(CLOCK_REALTIME, &w->started);
  w->linger_ms = options->linger_ms >= 0 ? options->linger_ms : options->foreground ? -1 : LINGER_MS;
  TAILQ_INIT(&w->control.all);
  TAILQ_INIT(&w->lives);
  unsigned threads;
  int rc = open_log(w, &threads);
  if (rc == 0)
    rc = take_name(w, name);
  if (rc == 1)
    return 0;
  if (rc != 0)
    return rc;
  w->base = event_base_new();
  if (!w->base || kept_open(&w->kept, w->base) != 0)
    return EX_OSERR;
  evtimer_assign(&w->idle, w->base, idle_over, w);
  event_assign(&w->sweep, w->base, -1, 0, sweep, w);
  watch_signals(w);
  rc = open_engines(w, threads);
  if (rc == 0)
    rc = open_enforced(w);
  if (rc == 0)
    rc = open_metrics(w);
  if (rc == 0 && !(w->state = state_new(w, w->own ? policy_settings(w->own)->state_dir : NULL)))
    rc = EX_OSERR;
  if (rc == 0 && control_start(w) != 0)
    rc = EX_OSERR;
  if (rc == 0)
    worker_look_idle(w);
  return rc;
}

void worker_close(struct worker *w) {
  w->leaving = true;
  if (w->base) {
    while (!LIST_EMPTY(&w->sessions))
      session_end(LIST_FIRST(&w->sessions));
    while (!LIST_EMPTY(&w->listeners))
      listener_close(LIST_FIRST(&w->listeners));
    canary_close(w);
  }
  hostnames_free(w->hostnames);
  control_close(w);
  watch_free(w->watch);
  live_free_all(w);
  config_unref(w->enforced);
  revoke_free(w->revoke);
  limits_free(w->limits);
  if (w->diag >= 0)
    close(w->diag);
  history_free(w->history);
  w->history = NULL;
  if (w->pool)
    handshake_pool_free(w->pool); /* what was under way is posted, and runs in post_free() */
  post_free(w->post);
  parting_free(w->parting);
  unblock_free(w->unblock);
  kept_close(&w->kept);
  relay_free(w->relay);
  measure_free(w->measure);
  policy_unref(w->own);
  state_free(w->state);
  ledger_free(w->ledger);
  if (w->base) {
    workload_stop();
    event_del(&w->idle);
    event_del(&w->sweep);
    evsignal_del(&w->sigterm);
    evsignal_del(&w->sigint);
    evsignal_del(&w->sighup);
    event_base_free(w->base);
  }
  if (w->log) {
    log_set_default(NULL);
    log_unref(w->log);
  }
  w->base = NULL;
}

bool worker_knows(void *arg, const char *name) {
  const struct worker *w = arg;
  const struct listener *l;
  LIST_FOREACH(l, &w->listeners, link)
  if (strcmp(l->name, name) == 0)
    return true;
  return false;
}

int worker_main(const struct daemon_options *options, const char *name) {
  struct worker *w = calloc(1, sizeof *w);
  if (!w)
    return EX_OSERR;
  int rc = worker_open(w, options, name);
  w->leash_fd = options->leash_fd > 0 ? options->leash_fd : -1;
  if (w->leash_fd >= 0)
    fcntl(w->leash_fd, F_SETFD, FD_CLOEXEC);
  if (rc == 0 && w->base) {
    if (w->leash_fd >= 0)
      leash_watch(w);
    struct ring *ring = ring_begin(w->base, w->uid, worker_knows, w);
    log_info(w->log, "svidwrap %s serves uid %u (pid %d)", SVIDWRAP_VERSION, (unsigned)w->uid, (int)getpid());
    event_base_dispatch(w->base);
    ring_end(ring);
    if (options->leash_fd > 0)
      event_del(&w->leash);
  }
  /* Before the name is free: a supervisor that saw a crash here would start a worker that nobody asked for. */
  supervisor_goodbye(w->leash_fd, rc);
  worker_close(w);
  free(w);
  return rc;
}
