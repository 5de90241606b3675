/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - the daemon's name, and whether somebody answers under it.
 */
#ifndef DAEMON_PROBE_H
#define DAEMON_PROBE_H

#include <stddef.h>
#include <sys/types.h>

#define PROBE_NAME_MAX 80

/* "svidwrap/daemon/<euid>[/<instance>]" for this process. 0, or -1: SVIDWRAP_INSTANCE is malformed. */
int probe_name(char name[PROBE_NAME_MAX]);

enum probe_answer {
  PROBE_NOBODY,  /* nobody listens */
  PROBE_ALIVE,   /* a daemon of this uid or root answered */
  PROBE_SILENT,  /* one listens but does not answer in time */
  PROBE_FOREIGN, /* somebody else's process holds the name */
};
/* Asks for the status. Waits at most timeout_ms. */
enum probe_answer probe_daemon(const char *name, int timeout_ms);

#endif
