/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the daemon's log: one line an event, text or JSON, to stderr, syslog or a file.
 *
 * Never blocks the caller on a full pipe (drops and counts), never prints a key or payload. A pipe on stderr
 * whose reader is gone raises SIGPIPE: the daemon ignores it.
 */
#ifndef OBSERVE_LOG_H
#define OBSERVE_LOG_H

#include "../policy/policy.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct log; /* reference-counted, thread-safe */

/* to: "auto" | "stderr" | "syslog" | PATH. foreground decides what auto means: stderr if true, else syslog.
 * NULL and a reason when PATH cannot be opened. */
struct log *log_open(const char *to, enum policy_log_format format, enum policy_log_level level, bool foreground,
                     char *why, size_t why_len);
struct log *log_ref(struct log *l);
void log_unref(struct log *l);
void log_reopen(struct log *l); /* SIGHUP; a file that cannot be opened again is kept */

/* The process's own log, used where no session is concerned; stderr until it is set. */
void log_set_default(struct log *l);
struct log *log_default(void); /* borrowed */

/* l may be NULL: the default. errno is left alone. Newlines and control characters in the text are escaped. */
void log_line(struct log *l, enum policy_log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define log_error(l, ...)   log_line((l), POLICY_LOG_ERROR, __VA_ARGS__)
#define log_warning(l, ...) log_line((l), POLICY_LOG_WARNING, __VA_ARGS__)
#define log_info(l, ...)    log_line((l), POLICY_LOG_INFO, __VA_ARGS__)
#define log_debug(l, ...)   log_line((l), POLICY_LOG_DEBUG, __VA_ARGS__)

/* One finished line as it is (audit); adds the newline. 0, or -1: it was lost, and is counted. */
int log_raw(struct log *l, const char *line);

/* "stderr", "syslog" or the path. l may be NULL: the default. */
const char *log_target(const struct log *l);

/* Can audit lines be written? false, with "PATH: cause" in why, after a line was lost and as long as nothing can be
 * written: each call tries to tell of the lines that were lost. */
bool log_ready(struct log *l, char *why, size_t why_len);

#endif
