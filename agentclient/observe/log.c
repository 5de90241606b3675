/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - lines with a time and a level, as text or JSON; see log.h.
 *
 * One lock a log, held while a line is written; the sink never waits for a reader.
 */
#include "log.h"

#include "format.h"
#include "sink.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_LEN 4096

struct log {
  _Atomic unsigned refs;
  pthread_mutex_t lock; /* guards sink */
  struct sink sink;
  enum policy_log_format format;
  enum policy_log_level level;
};

/* Where lines go before anybody has said where; never freed. */
static struct log to_stderr = {.refs = 1,
                               .lock = PTHREAD_MUTEX_INITIALIZER,
                               .sink = {.kind = SINK_STDERR, .fd = -1},
                               .format = POLICY_LOG_TEXT,
                               .level = POLICY_LOG_INFO};
static struct log *the_default = &to_stderr;
static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;

struct log *log_open(const char *to, enum policy_log_format format, enum policy_log_level level, bool foreground,
                     char *why, size_t why_len) {
  struct log *l = calloc(1, sizeof *l);
  if (!l) {
    snprintf(why, why_len, "log: out of memory");
    return NULL;
  }
  if (strcmp(to, "auto") == 0)
    to = foreground ? "stderr" : "syslog";
  if (sink_open(&l->sink, to) != 0) {
    snprintf(why, why_len, "log: %s: %s", to, errno == ENXIO ? "nobody reads this FIFO" : strerror(errno));
    free(l);
    return NULL;
  }
  atomic_init(&l->refs, 1);
  pthread_mutex_init(&l->lock, NULL);
  l->format = format;
  l->level = level;
  return l;
}

struct log *log_ref(struct log *l) {
  atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
  return l;
}

void log_unref(struct log *l) {
  if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
    return;
  sink_close(&l->sink);
  pthread_mutex_destroy(&l->lock);
  free(l);
}

void log_reopen(struct log *l) {
  pthread_mutex_lock(&l->lock);
  int rc = sink_reopen(&l->sink), err = errno;
  pthread_mutex_unlock(&l->lock);
  if (rc != 0)
    log_error(l, "log: cannot be opened again: %s", strerror(err));
}

void log_set_default(struct log *l) {
  struct log *mine = l ? log_ref(l) : log_ref(&to_stderr);
  pthread_mutex_lock(&default_lock);
  struct log *old = the_default;
  the_default = mine;
  pthread_mutex_unlock(&default_lock);
  log_unref(old == &to_stderr ? NULL : old);
}

struct log *log_default(void) {
  pthread_mutex_lock(&default_lock);
  struct log *l = the_default;
  pthread_mutex_unlock(&default_lock);
  return l;
}

/* l, or the default, with a reference: the default may be replaced while a line is written. */
static struct log *hold(struct log *l) {
  if (l)
    return log_ref(l);
  pthread_mutex_lock(&default_lock);
  l = log_ref(the_default);
  pthread_mutex_unlock(&default_lock);
  return l;
}

static const char *level_name(enum policy_log_level level) {
  static const char *const names[] = {"error", "warning", "info", "debug"};
  return names[level & 3];
}

static int severity(enum policy_log_level level) {
  static const int severities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
  return severities[level & 3];
}

static void emit_json(struct log *l, enum policy_log_level level, const char *text) {
  char stamp[FORMAT_TIME_LEN];
  json_t *o = json_pack("{s:s, s:s, s:i, s:s}", "timestamp", format_time(stamp), "level", level_name(level), "pid",
                        (int)getpid(), "message", text);
  char *line = o ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
  if (line)
    sink_write(&l->sink, severity(level), line, strlen(line));
  else
    l->sink.dropped++;
  free(line);
  json_decref(o);
}

/* Under l->lock; text is clean. */
static void emit(struct log *l, enum policy_log_format format, enum policy_log_level level, const char *text) {
  if (format == POLICY_LOG_JSON) {
    emit_json(l, level, text);
    return;
  }
  char line[LINE_MAX_LEN + 96], stamp[FORMAT_TIME_LEN];
  int n;
  if (l->sink.kind == SINK_SYSLOG) /* it has a time and a name of its own */
    n = snprintf(line, sizeof line, "%s: %s", level_name(level), text);
  else
    n = snprintf(line, sizeof line, "%s svidwrap[%d] %s: %s", format_time(stamp), (int)getpid(), level_name(level),
                 text);
  sink_write(&l->sink, severity(level), line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static const char *loss(const struct log *l) {
  return l->sink.err == EAGAIN ? "whoever reads this log is too slow" : strerror(l->sink.err);
}

/* Tells of lines that were lost, as soon as there is room for that again. */
static void emit_dropped(struct log *l) {
  char text[256];
  uint64_t lost = sink_dropped(&l->sink);
  if (lost == 0)
    return;
  snprintf(text, sizeof text, "log: %" PRIu64 " lines were lost: %s", lost, loss(l));
  emit(l, l->format, POLICY_LOG_WARNING, text);
  l->sink.dropped = l->sink.dropped ? lost : 0; /* still no room: the sum stays */
}

/* The same among audit lines, whose reader counts them. */
static bool emit_dropped_raw(struct log *l) {
  char stamp[FORMAT_TIME_LEN];
  uint64_t lost = sink_dropped(&l->sink);
  if (lost == 0)
    return true;
  json_t *o = json_pack("{s:s, s:s, s:I, s:s}", "timestamp", format_time(stamp), "event", "lines_lost", "lines",
                        (json_int_t)lost, "reason", loss(l));
  char *line = o ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
  bool told = line && sink_write(&l->sink, LOG_WARNING, line, strlen(line)) == 0;
  l->sink.dropped = told ? 0 : lost;
  free(line);
  json_decref(o);
  return told;
}

void log_line(struct log *l, enum policy_log_level level, const char *fmt, ...) {
  char raw[LINE_MAX_LEN], clean[LINE_MAX_LEN];
  int saved = errno;
  l = hold(l);
  if (level <= l->level) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    format_clean(raw, clean, sizeof clean);
    pthread_mutex_lock(&l->lock);
    emit_dropped(l);
    emit(l, l->format, level, clean);
    pthread_mutex_unlock(&l->lock);
  }
  log_unref(l);
  errno = saved;
}

int log_raw(struct log *l, const char *line) {
  int saved = errno;
  l = hold(l);
  pthread_mutex_lock(&l->lock);
  (void)emit_dropped_raw(l);
  int rc = sink_write(&l->sink, LOG_INFO, line, strlen(line));
  pthread_mutex_unlock(&l->lock);
  log_unref(l);
  errno = saved;
  return rc;
}

const char *log_target(const struct log *l) {
  static const char *const kinds[] = {[SINK_STDERR] = "stderr", [SINK_FILE] = "", [SINK_SYSLOG] = "syslog"};
  if (!l)
    l = log_default();
  return l->sink.path ? l->sink.path : kinds[l->sink.kind];
}

bool log_ready(struct log *l, char *why, size_t why_len) {
  int saved = errno;
  l = hold(l);
  pthread_mutex_lock(&l->lock);
  bool ready = emit_dropped_raw(l);
  if (!ready)
    snprintf(why, why_len, "%s: %s", log_target(l), loss(l));
  pthread_mutex_unlock(&l->lock);
  log_unref(l);
  errno = saved;
  return ready;
}
