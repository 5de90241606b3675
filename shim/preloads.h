/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preloads.h - will the dynamic linker load this shim into a program that is about to be executed?
 */
#ifndef SHIM_PRELOADS_H
#define SHIM_PRELOADS_H

#include <stdbool.h>

/* By what the file says: for this machine, dynamically linked by glibc, run with no more rights than the caller has;
 * a script by its interpreter. Only a forecast: what hangs on it must be safe where it is wrong. path: as execve()'s.
 */
bool preloads(const char *path);

#endif
