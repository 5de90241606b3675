/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone.h - clone() and clone3() as system calls.
 */
#ifndef SHIM_HOOKS_CLONE_H
#define SHIM_HOOKS_CLONE_H

#include <stdbool.h>

/* true: it made a process as fork() does, and *rc is the answer. false: it is not one of ours to look after. */
bool clone_syscall(long nr, const long a[6], long *rc);

#endif
