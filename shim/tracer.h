/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracer.h - lets the daemon shut revoked connections of this process down where Yama would keep it out.
 */
#ifndef SHIM_TRACER_H
#define SHIM_TRACER_H

#include <sys/types.h>

/* The daemon that serves us now; 0: none that we can name. Where /proc/sys/kernel/yama/ptrace_scope is 1 it is
 * declared as the one process that may take a copy of a descriptor of ours (PR_SET_PTRACER); elsewhere nothing
 * happens. */
void tracer_set(pid_t daemon);
/* A child is another process to Yama. */
void tracer_after_fork(void);

#endif
