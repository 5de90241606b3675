/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - sessions come with HELLO and go with the last holder of their control socket. A session without
 * identity answers every question with "no".
 */
#include "session.h"
#include "clock.h"
#include "outbound.h"
#include "worker.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define ASK_MS            250
#define ASK_MAX_MS        3000 /* a server that sits idle has a fresh SVID within seconds of the agent's return */
#define PERMISSION_DENIED 7    /* gRPC status code */

/* The peer's pidfd from the kernel where it has that (6.5); by number otherwise, which can only mislead about
 * a process that died between its message and now. */
static int peer_pidfd(const struct ctl *c) {
  int fd;
  socklen_t len = sizeof fd;
  if (getsockopt(c->fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
    return fd;
  return c->cred.pid > 0 ? (int)syscall(SYS_pidfd_open, c->cred.pid, 0) : -1;
}

/* The agent's connection is gone: has one of the session's programs dial a fresh one, now or when the pause is over.
 * Without a stand-in to ring there is only the answer to its next request. */
void session_seek_agent(struct session *s) {
  if (!s->config->endpoint[0] || source_connected(s->source) || LIST_EMPTY(&s->attached))
    return;
  if (session_ask_agent(s)) {
    listeners_ring_agent(s);
  } else {
    struct timeval tv = clock_timeval(s->agent_ask_ms - clock_ms() + 1);
    evtimer_add(&s->agent_timer, &tv);
  }
}

static void agent_timer(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  session_seek_agent(arg);
}

static void control_hung_up(struct ctl *c, void *arg) {
  (void)c;
  struct session *s = arg;
  control_hear(s->worker);
  s->control = NULL;
  session_end(s);
}

static struct source *open_source(struct worker *w, const struct config *config) {
  if (policy_settings(config->policy)->scope == POLICY_SCOPE_DAEMON && config->endpoint[0])
    return source_shared(&w->sources, config->endpoint, w->post, session_source_changed, w);
  return source_new(w->post, session_source_changed, w);
}

struct session *session_new(struct worker *w, struct ctl *c, struct config *config, const char *program,
                            size_t program_len) {
  struct session *s = calloc(1, sizeof *s);
  if (!s) {
    config_unref(config);
    return NULL;
  }
  s->refs = 1;
  s->worker = w;
  s->uid = c->cred.uid;
  s->gid = c->cred.gid;
  s->pid = c->cred.pid;
  s->config = config;
  s->rings = c->rings;
  snprintf(s->program, sizeof s->program, "%.*s", (int)program_len, program);
  TAILQ_INIT(&s->waits);
  s->pidfd = peer_pidfd(c);
  evtimer_assign(&s->agent_timer, w->base, agent_timer, s);
  LIST_INSERT_HEAD(&w->sessions, s, link);
  w->session_count++;
  s->slots = slots_new();
  s->source = open_source(w, config);
  if (!s->slots || !s->source ||
      getrandom(s->token.bytes, sizeof s->token.bytes, 0) != (ssize_t)sizeof s->token.bytes) {
    session_end(s);
    errno = ENOMEM;
    return NULL;
  }
  s->control = c;
  ctl_hold(c, control_hung_up, s);
  log_debug(config->log, "session of %s (pid %d, uid %u) begins", s->program, (int)s->pid, (unsigned)s->uid);
  return s;
}

struct session *session_find(struct worker *w, const struct wire_token *token, uid_t uid) {
  struct session *s;
  LIST_FOREACH(s, &w->sessions, link)
  if (s->uid == uid && CRYPTO_memcmp(s->token.bytes, token->bytes, sizeof token->bytes) == 0)
    return s;
  return NULL;
}

void session_end(struct session *s) {
  struct worker *w = s->worker;
  log_debug(s->config->log, "session of %s (pid %d) ends", s->program, (int)s->pid);
  LIST_REMOVE(s, link);
  w->session_count--;
  while (!TAILQ_EMPTY(&s->waits)) {
    struct session_wait *wait = TAILQ_FIRST(&s->waits);
    session_wait_end(wait);
    wait->fn(wait, true);
  }
  outbound_session_ended(s);
  listeners_session_ended(s);
  evtimer_del(&s->agent_timer);
  source_unref(s->source);
  slots_unref(s->slots);
  s->source = NULL;
  s->slots = NULL;
  s->ended = true;
  if (s->pidfd >= 0)
    close(s->pidfd);
  if (s->control) {
    s->control->hangup = NULL;
    ctl_close(s->control);
  }
  OPENSSL_cleanse(&s->token, sizeof s->token);
  session_unref(s);
  worker_look_idle(w);
}

struct session *session_ref(struct session *s) {
  s->refs++;
  return s;
}

void session_unref(struct session *s) {
  if (!s || --s->refs)
    return;
  config_unref(s->config);
  free(s);
}

static void wait_over(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct session_wait *w = arg;
  session_wait_end(w);
  w->fn(w, false);
}

void session_wait_begin(struct session *s, struct session_wait *w, uint32_t ms,
                        void (*fn)(struct session_wait *w, bool gone)) {
  w->session = s;
  w->fn = fn;
  evtimer_assign(&w->timer, s->worker->base, wait_over, w);
  struct timeval tv = clock_timeval(ms);
  evtimer_add(&w->timer, &tv);
  TAILQ_INSERT_TAIL(&s->waits, w, link);
}

void session_wait_end(struct session_wait *w) {
  if (!w->session)
    return;
  evtimer_del(&w->timer);
  TAILQ_REMOVE(&w->session->waits, w, link);
  w->session = NULL;
}

bool session_ask_agent(struct session *s) {
  int64_t now = clock_ms();
  if (now < s->agent_ask_ms)
    return false;
  s->agent_backoff_ms = s->agent_backoff_ms ? s->agent_backoff_ms * 2 : ASK_MS;
  if (s->agent_backoff_ms > ASK_MAX_MS)
    s->agent_backoff_ms = ASK_MAX_MS;
  /* A quarter of it at random, so that all programs of a host do not dial a restarted agent at once. */
  uint32_t random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
    random = 0;
  s->agent_ask_ms = now + s->agent_backoff_ms - random % (s->agent_backoff_ms / 4 + 1);
  struct timeval tv = clock_timeval(s->agent_ask_ms - now + 1);
  evtimer_add(&s->agent_timer, &tv);
  return true;
}

void session_agent_dialed(struct session *s, int err) {
  if (err == 0) {
    /* The backoff goes when the agent has answered: one that accepts and hangs up is no better than none. */
    evtimer_del(&s->agent_timer);
    s->dial_errno = 0;
    return;
  }
  source_dial_failed(s->source, err);
  /* It is tried again every few seconds: the first time is news. */
  log_line(s->config->log, err != s->dial_errno ? POLICY_LOG_WARNING : POLICY_LOG_DEBUG,
           "%s (pid %d) cannot connect to the agent at %s: %s", s->program, (int)s->pid, s->config->endpoint,
           strerror(err));
  s->dial_errno = err;
  session_ask_agent(s);
}

static void announce(struct session *s) {
  struct identity *id = source_identity(s->source);
  const struct identity_svid *svid = id ? identity_svid_at(id, 0) : NULL;
  if (svid)
    log_line(s->config->log, s->announced ? POLICY_LOG_DEBUG : POLICY_LOG_INFO, "%s (pid %d) is %s", s->program,
             (int)s->pid, svid->id.text);
  s->announced = svid != NULL;
}

/* Rules that ask for an SVID which is not among those that came: once for every set of them. */
static void look_for_missing(struct session *s) {
  const struct policy *p = s->config->policy;
  uint64_t missing = 14695981039346656037u;
  char why[WIRE_TEXT_MAX];
  for (int told = 0; told < 2; told++) {
    for (uint32_t i = 0; i < policy_rule_count(p); i++) {
      const struct policy_rule *r = policy_rule_at(p, i);
      if ((!r->spiffe_id && !r->hint) || identity_select(source_identity(s->source), r->spiffe_id, r->hint))
        continue;
      if (told == 0)
        missing = (missing ^ (i + 1)) * 1099511628211u;
      else if (!session_svid(s, i, why, sizeof why))
        log_error(s->config->log, "%s (pid %d): rule \"%s\": %s; what it covers is refused", s->program, (int)s->pid,
                  r->name, why);
    }
    if (missing == s->missing)
      return;
  }
  s->missing = missing;
}

static void complain(const struct session *s, bool connected) {
  int code;
  const char *words = source_words(s->source, &code);
  if (words[0])
    log_warning(s->config->log, "%s (pid %d): agent at %s%s: %s%s", s->program, (int)s->pid, s->config->endpoint,
                connected ? "" : " went away", words,
                source_identity(s->source) ? "; the SVID is kept until it expires" : "");
}

static void session_changed(struct session *s) {
  enum source_state state = source_state(s->source);
  bool connected = source_connected(s->source);
  if (state == SOURCE_SERVED && connected) {
    s->agent_ask_ms = s->agent_backoff_ms = 0;
    evtimer_del(&s->agent_timer);
    announce(s);
    look_for_missing(s);
  } else if (state == SOURCE_DENIED) {
    char text[WIRE_TEXT_MAX];
    session_no_identity(s, text, sizeof text);
    log_error(s->config->log, "%s (pid %d): %s", s->program, (int)s->pid, text);
    s->announced = false;
  }
  if (state != SOURCE_DENIED)
    complain(s, connected);
  /* First the listeners: a denied identity is not used once more. */
  listeners_identity_changed(s, state == SOURCE_DENIED);
  if (state == SOURCE_DENIED)
    outbound_identity_denied(s);
  live_identity_changed(s, state == SOURCE_DENIED);
  if (state != SOURCE_WAITING) {
    /* Each is called once, also when what it does makes new ones. */
    struct session_waits due = TAILQ_HEAD_INITIALIZER(due);
    TAILQ_CONCAT(&due, &s->waits, link);
    struct session_wait *wait;
    while ((wait = TAILQ_FIRST(&due))) {
      TAILQ_REMOVE(&due, wait, link);
      TAILQ_INSERT_TAIL(&s->waits, wait, link);
      session_wait_end(wait);
      wait->fn(wait, false);
    }
  }
  session_seek_agent(s);
}

void session_source_changed(void *worker, struct source *source) {
  struct worker *w = worker;
  struct session *s, *next;
  for (s = LIST_FIRST(&w->sessions); s; s = next) {
    next = LIST_NEXT(s, link);
    if (s->source == source)
      session_changed(s);
  }
}

const struct identity_svid *session_svid(const struct session *s, uint32_t rule, char *why, size_t why_len) {
  const struct policy_settings *set = policy_settings(s->config->policy);
  const struct policy_rule *r = policy_rule_at(s->config->policy, rule);
  const char *id = set->spiffe_id, *hint = set->hint;
  if (r && (r->spiffe_id || r->hint)) {
    id = r->spiffe_id;
    hint = r->hint;
  }
  return source_svid(s->source, id, hint, why, why_len);
}

void session_no_identity(const struct session *s, char *text, size_t len) {
  char exe[256] = "?", link[64];
  snprintf(link, sizeof link, "/proc/%d/exe", (int)s->pid);
  ssize_t n = readlink(link, exe, sizeof exe - 1);
  if (n > 0)
    exe[n] = '\0';
  int code;
  const char *words = source_words(s->source, &code);
  const char *endpoint = s->config->endpoint;
  if (!endpoint[0])
    snprintf(text, len, "no Workload API address: set workload_api.socket or SPIFFE_ENDPOINT_SOCKET");
  else if (source_state(s->source) == SOURCE_DENIED ||
           code == PERMISSION_DENIED) /* asked again, and not answered yet */
    snprintf(
        text, len,
        "agent at %s answered PermissionDenied: %s; create a registration entry with selectors that match uid %u, "
        "gid %u, path %s",
        endpoint, words, (unsigned)s->uid, (unsigned)s->gid, exe);
  else if (words[0])
    snprintf(text, len, "agent at %s: %s; is it running, and may uid %u use its socket?", endpoint, words,
             (unsigned)s->uid);
  else
    snprintf(text, len, "agent at %s has not answered yet", endpoint);
}
