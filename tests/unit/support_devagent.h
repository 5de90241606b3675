/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_devagent.h - for tests of the dev agent: the agent as a process of its own (this test program, run
 * again), and its files in a directory that goes away with it.
 */
#ifndef SUPPORT_DEVAGENT_H
#define SUPPORT_DEVAGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct agent_process {
  pid_t pid;
  int out; /* its stdout and stderr */
  char dir[64], socket[96], config[96], bundle[96], endpoint[128];
};

/* To be called first in main(): when this process was started to be an agent (or another helper), does that and
 * returns true with its exit code. */
bool support_devagent_child(int argc, char **argv, int *rc);

/* Makes the directory and, unless text is NULL, dev-agent.yaml in it. */
void agent_prepare(struct agent_process *a, const char *text);
void agent_configure(const struct agent_process *a, const char *text);
/* Starts it (with up to four more arguments, ending with NULL) and waits until it says that it serves. */
void agent_start(struct agent_process *a, const char *const more[]);
/* Runs it to its end; the exit code, and what it printed. */
int agent_run(const char *const args[], char *printed, size_t len);
/* SIGTERM; its exit code. */
int agent_stop(struct agent_process *a);
void agent_cleanup(struct agent_process *a); /* stops it, too, if need be */

/* How many descriptors it has open. */
size_t agent_fds(const struct agent_process *a);
int agent_dial(const struct agent_process *a);
/* A connection that another process (uid, if we are root) dialed and handed over. It lives until *helper is
 * killed. */
int agent_dial_as(const struct agent_process *a, uid_t uid, pid_t *helper);
/* One RPC on a connection; its status code. fd is taken over. */
int agent_call(int fd, const char *method, bool with_header);

#endif
