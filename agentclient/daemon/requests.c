/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requests.c - the table of messages; HELLO, IDENTITY and ARENA. Every answer is a decision of the daemon's own:
 * what a program claims about itself is for log lines only.
 */
#include "requests.h"
#include "admin.h"
#include "canary.h"
#include "listeners.h"
#include "measure.h"
#include "message.h"
#include "outbound.h"
#include "relaying.h"
#include "report.h"
#include "state.h"
#include "status.h"
#include "watch.h"
#include "wirecheck.h"
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void refuse_hello(struct ctl *c, enum wire_status status, int err, const char *text) {
  struct wire_welcome r = {.status = (int32_t)status, .err = err};
  message_header(&r.hdr, WIRE_WELCOME, sizeof r);
  snprintf(r.text, sizeof r.text, "%s", text);
  ctl_hold(c, NULL, NULL);
  ctl_answer(c, &r, sizeof r, NULL, 0, false);
}

static void welcome(struct ctl *c, struct session *s) {
  const struct policy_settings *set = policy_settings(s->config->policy);
  struct wire_welcome r = {.status = WIRE_OK,
                           .token = s->token,
                           .arena_id = slots_id(s->slots),
                           .daemon_pid = (uint32_t)getpid(),
                           .identity_wait_ms = set->identity_wait_ms,
                           .guard = set->io_uring == POLICY_IO_URING_ALLOW_UNSAFE ? WIRE_GUARD_ALLOW_UNSAFE
                                                                                  : WIRE_GUARD_DENY,
                           .flags = worker_takes_all(c->worker) ? WIRE_WELCOME_ALL_USERS : 0};
  message_header(&r.hdr, WIRE_WELCOME, sizeof r);
  if (set->scope == POLICY_SCOPE_PROCESS) {
    snprintf(r.endpoint, sizeof r.endpoint, "%s", s->config->endpoint);
    r.endpoint_len = (uint32_t)strlen(r.endpoint);
  }
  int fds[2] = {slots_fd(s->slots), s->config->rules_fd};
  ctl_answer(c, &r, sizeof r, fds, 2, true);
}

/* HELLO, the configuration read. Takes over the caller's reference to it. */
static void begin(struct ctl *c, struct config *config, const char *program, size_t program_len) {
  struct worker *w = c->worker;
  char why[WIRE_TEXT_MAX];
  struct session *s = session_new(w, c, config, program, program_len);
  if (s) {
    welcome(c, s);
    return;
  }
  snprintf(why, sizeof why, "the daemon is out of memory or descriptors (it may open %d, its RLIMIT_NOFILE)",
           w->fd_limit);
  log_error(w->log, "%.*s (pid %d): %s", (int)program_len, program, (int)c->cred.pid, why);
  refuse_hello(c, WIRE_BUSY, ENOBUFS, why);
}

/* HELLO, waiting for the addresses of its rules' host names. */
struct greeting {
  struct hostnames_wait wait;
  struct ctl *ctl;
  struct config *config;
  size_t program_len;
  char program[256];
};

static void greeting_over(struct hostnames_wait *wait, bool gone) {
  struct greeting *g = POST_OWNER(wait, struct greeting, wait);
  ctl_hold(g->ctl, NULL, NULL);
  if (gone) {
    refuse_hello(g->ctl, WIRE_BUSY, ECONNABORTED, "the daemon ends");
    config_unref(g->config);
  } else {
    begin(g->ctl, g->config, g->program, g->program_len);
  }
  free(g);
}

static void greeting_hung_up(struct ctl *c, void *arg) {
  (void)c;
  struct greeting *g = arg;
  hostnames_wait_end(&g->wait);
  config_unref(g->config);
  free(g);
}

static void greet(struct ctl *c, struct config *config, const char *program, size_t program_len) {
  struct worker *w = c->worker;
  const char *name;
  uint32_t rule;
  bool named = policy_host_at(config->policy, 0, &name, &rule);
  struct greeting *g = named ? calloc(1, sizeof *g) : NULL;
  if (named)
    hostnames_look(w->hostnames);
  if (g) {
    *g = (struct greeting){.ctl = c, .config = config, .program_len = program_len};
    memcpy(g->program, program, program_len);
    if (hostnames_wait_begin(w->hostnames, config, &g->wait, greeting_over)) {
      ctl_hold(c, greeting_hung_up, g);
      return;
    }
    free(g);
  }
  begin(c, config, program, program_len);
}

/* A ring that nothing keeps from sending, in a process that has something to protect. */
static bool ring_is_open(const struct config *config, uint32_t flags) {
  const struct policy *p = config->policy;
  if (!(flags & WIRE_HELLO_RING_OPEN) || policy_settings(p)->io_uring == POLICY_IO_URING_ALLOW_UNSAFE)
    return false;
  for (uint32_t i = 0; i < policy_rule_count(p); i++)
    if (policy_rule_at(p, i)->mode != RULES_OFF)
      return true;
  return false;
}

/* Where the program itself may have nowhere to say it: who changed its root directory has no standard error, no
 * syslog. */
static void tell_unreadable(const struct ctl *c, const char *path, const struct wire_hello_parts *p,
                            const char *why) {
  const struct config *config;
  struct log *log = c->worker->log;
  LIST_FOREACH(config, &c->worker->configs, link)
  if (strcmp(config->path, path) == 0)
    log = config->log;
  log_error(
      log,
      "%.*s (pid %d, uid %u) cannot read its configuration: %s; where it changed its user or its root directory, "
      "both the file and the agent's socket have to be in reach there",
      (int)p->program_len, p->program, (int)c->cred.pid, (unsigned)c->cred.uid, why);
}

static void hello(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  (void)len;
  struct worker *w = c->worker;
  struct wire_hello h;
  struct wire_hello_parts p;
  memcpy(&h, msg, sizeof h);
  wire_hello_split(msg, &p);
  if ((h.flags & WIRE_HELLO_GUEST) && !worker_takes_all(w) && c->cred.uid != w->uid) {
    refuse_hello(c, WIRE_NOT_FOUND, ENOENT, "this daemon is for root's programs");
    return;
  }
  char path[WIRE_PATH_MAX + 1], why[WIRE_TEXT_MAX];
  snprintf(path, sizeof path, "%.*s", (int)p.path_len, p.path);
  if (h.config_errno && !w->enforced) {
    snprintf(why, sizeof why, "%.400s: %s", path, strerror((int)h.config_errno));
    tell_unreadable(c, path, &p, why);
    refuse_hello(c, WIRE_BAD_CONFIG, EACCES, why);
    return;
  }
  struct config_source src = {.path = path,
                              .fd = fds[0],
                              .vars = p.vars,
                              .vars_len = p.vars_len,
                              .uid = c->cred.uid,
                              .pid = c->cred.pid,
                              .gid = c->cred.gid,
                              .stderr_log = w->options->foreground || w->options->container};
  struct config *config = w->enforced ? config_ref(w->enforced) : config_shared(&w->configs, &src, why, sizeof why);
  if (config && measure_claim(w->measure, config, why, sizeof why) != 0) {
    config_unref(config);
    config = NULL;
  }
  c->rings = h.flags & WIRE_HELLO_RINGS;
  if (config && ring_is_open(config, h.flags)) {
    snprintf(why, sizeof why,
             "it has an io_uring ring, whose operations nothing could keep from leaving in plaintext; start it with "
             "svidwrap run, or say io_uring: allow-unsafe in the configuration");
    config_unref(config);
    config = NULL;
  }
  if (!config) {
    log_error(w->log, "%.*s (pid %d): %s", (int)p.program_len, p.program, (int)c->cred.pid, why);
    refuse_hello(c, WIRE_BAD_CONFIG, EACCES, why);
    return;
  }
  watch_config(w->watch, config);
  state_offer(w->state, config, w->enforced ? w->uid : c->cred.uid);
  if (w->options->linger_ms < 0 && !w->options->foreground)
    w->linger_ms = policy_settings(config->policy)->daemon_linger_ms;
  greet(c, config, p.program, p.program_len);
}

/* IDENTITY, waiting for its answer. */
struct asking {
  struct session_wait wait;
  struct session *session;
  struct ctl *ctl;
};

static void identity_answer(struct ctl *c, struct session *s) {
  char text[WIRE_TEXT_MAX];
  const struct policy_settings *set = policy_settings(s->config->policy);
  const struct identity_svid *svid = source_svid(s->source, set->spiffe_id, set->hint, text, sizeof text);
  if (svid) {
    ctl_reply(c, WIRE_OK, 0, "%s", svid->id.text);
    return;
  }
  if (source_state(s->source) != SOURCE_SERVED)
    session_no_identity(s, text, sizeof text);
  ctl_reply(c, WIRE_NO_IDENTITY, ECONNREFUSED, "%s", text);
}

static void asking_over(struct session_wait *w, bool gone) {
  struct asking *a = POST_OWNER(w, struct asking, wait);
  struct ctl *c = a->ctl;
  struct session *s = a->session;
  free(a);
  ctl_hold(c, NULL, NULL);
  if (gone)
    ctl_reply(c, WIRE_UNKNOWN_SESSION, ECONNABORTED, "the session has ended");
  else
    identity_answer(c, s);
}

static void asking_hung_up(struct ctl *c, void *arg) {
  (void)c;
  struct asking *a = arg;
  session_wait_end(&a->wait);
  free(a);
}

/* A connection to the agent: a connected stream socket and nothing else goes to gRPC. */
static bool is_connected_stream(int fd) {
  int type = 0;
  socklen_t len = sizeof type;
  struct sockaddr_storage peer;
  socklen_t peer_len = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
         getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0;
}

static void identity(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  struct wire_identity m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct session *s = session_find(c->worker, &m.token, c->cred.uid);
  if (!s) {
    ctl_reply(c, WIRE_UNKNOWN_SESSION, EACCES, "no such session");
    return;
  }
  bool shared = policy_settings(s->config->policy)->scope == POLICY_SCOPE_DAEMON;
  if (fds[0] >= 0 && !shared) {
    if (!is_connected_stream(fds[0])) {
      ctl_reply(c, WIRE_BAD_REQUEST, EACCES, "not a connection to an agent");
      return;
    }
    /* Every stand-in of a session was rung for it: what serves already is not given up for another one. */
    int fd = source_connected(s->source) && source_identity(s->source) ? -1 : fds[0];
    if (fd >= 0)
      fds[0] = -1;
    if (fd >= 0 && source_give(s->source, fd) != 0) {
      ctl_reply(c, WIRE_BUSY, ENOBUFS, "the daemon is out of memory");
      return;
    }
    session_agent_dialed(s, 0);
  } else if (m.agent_errno && !shared) {
    session_agent_dialed(s, m.agent_errno);
  }
  struct asking *a = source_state(s->source) == SOURCE_WAITING && m.wait_ms ? calloc(1, sizeof *a) : NULL;
  if (!a) {
    identity_answer(c, s);
    return;
  }
  a->session = s;
  a->ctl = c;
  ctl_hold(c, asking_hung_up, a);
  session_wait_begin(s, &a->wait, m.wait_ms, asking_over);
}

static void arena(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  (void)fds;
  struct wire_arena m;
  memcpy(&m, msg, len < sizeof m ? len : sizeof m);
  struct session *s = session_find(c->worker, &m.token, c->cred.uid);
  if (!s) {
    ctl_reply(c, WIRE_UNKNOWN_SESSION, EACCES, "no such session");
    return;
  }
  struct slots *a = listeners_arena(c->worker, m.arena_id, s);
  if (!a) {
    ctl_reply(c, WIRE_NOT_FOUND, ENOENT, "no such arena");
    return;
  }
  struct wire_reply r = {.status = WIRE_OK, .arena_id = m.arena_id};
  message_header(&r.hdr, WIRE_REPLY, sizeof r);
  int fd = slots_fd(a);
  ctl_answer(c, &r, sizeof r, &fd, 1, false);
}

void requests_dispatch(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  static const ctl_handler handlers[] = {
      [WIRE_HELLO] = hello,
      [WIRE_IDENTITY] = identity,
      [WIRE_LISTEN] = listeners_listen,
      [WIRE_ADOPT] = listeners_adopt,
      [WIRE_UNLISTEN] = listeners_unlisten,
      [WIRE_SYNC] = listeners_sync,
      [WIRE_CONNECT] = outbound_connect,
      [WIRE_ARENA] = arena,
      [WIRE_STATUS] = status_request,
      [WIRE_ALERT] = report_alert,
      [WIRE_PLAIN] = canary_plain,
      [WIRE_RELAY] = relaying_take,
      [WIRE_ADMIN] = admin_request,
  };
  struct wire_hdr h;
  memcpy(&h, msg, sizeof h);
  if (h.type < sizeof handlers / sizeof *handlers && handlers[h.type])
    handlers[h.type](c, msg, len, fds);
  else
    ctl_close(c);
}
