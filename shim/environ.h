/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environ.h - the environment as it was when the program started (see environ.c).
 */
#ifndef SHIM_ENVIRON_H
#define SHIM_ENVIRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies SVIDWRAP_*, LD_PRELOAD and SPIFFE_ENDPOINT_SOCKET out of envp; in the constructor. */
void environ_save(char **envp);
/* The value of one of them, or NULL. */
const char *environ_get(const char *name);
void environ_drop(const char *name);
void environ_each(bool (*fn)(const char *entry, void *arg), void *arg);
size_t environ_count(char *const envp[]);

/* An environment for a new image: envp with what is missing put back. Returns envp itself when nothing is;
 * else out, which has room for environ_count(envp) + SESSION_ENV_MAX entries. */
#define SESSION_ENV_MAX 34
char **session_environment(char *const envp[], char **out);

#endif
