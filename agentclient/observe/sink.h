/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - where finished lines go: stderr, a file or syslog's socket. For log.c only.
 *
 * Never waits for a reader: a line that does not fit now is dropped and counted. Not thread-safe.
 */
#ifndef OBSERVE_SINK_H
#define OBSERVE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sink_kind { SINK_STDERR = 0, SINK_FILE, SINK_SYSLOG };

struct sink {
  enum sink_kind kind;
  int fd; /* SINK_FILE, SINK_SYSLOG; -1: not open */
  char *path;
  dev_t dev; /* SINK_FILE: what fd is, to notice when the path is something else */
  ino_t ino;
  uint64_t dropped; /* since the last call of sink_dropped() */
  int err;          /* why the last of them was lost; EAGAIN: whoever reads it is too slow */
  bool torn;        /* the last line lost its end (a full disk): the next begins on a line of its own */
};

/* to: "stderr", "syslog" or a path, which is created with mode 0640 and appended to. 0, or -1 with errno. */
int sink_open(struct sink *s, const char *to);
void sink_close(struct sink *s);
/* A path is opened again (the old file stays when that fails: -1 and errno); syslog is found again. */
int sink_reopen(struct sink *s);

/* One line, without its newline. severity: as in syslog(3), LOG_ERR to LOG_DEBUG. A path that is another file by now
 * (logrotate) is opened again first; one that cannot be opened again keeps the old file, unless that one was deleted:
 * what is written there is lost. 0, or -1: the line was lost. */
int sink_write(struct sink *s, int severity, const char *line, size_t len);
/* How many lines were lost since the last call. */
uint64_t sink_dropped(struct sink *s);

/* "/dev/log"; a variable for tests. */
extern const char *sink_syslog_path;

#endif
