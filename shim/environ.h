/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environ.h - the environment as it was when the program started (see environ.c).
 */
#ifndef SHIM_ENVIRON_H
#define SHIM_ENVIRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies SVIDWRAP_*, SPIFFE_ENDPOINT_SOCKET and our element of LD_PRELOAD out of envp, once: in the constructor, or
 * at the first call of a library whose constructor runs before ours. */
void environ_save(char **envp);
/* The value of one of them, or NULL. */
const char *environ_get(const char *name);
void environ_drop(const char *name);
void environ_each(bool (*fn)(const char *entry, void *arg), void *arg);
size_t environ_count(char *const envp[]);

/* An environment for a new image: envp with what is missing put back. Returns envp itself when nothing is;
 * else out, which has room for environ_count(envp) + SESSION_ENV_MAX entries, with an LD_PRELOAD in preload, which
 * has environ_preload_size(envp) bytes. */
#define SESSION_ENV_MAX 34
size_t environ_preload_size(char *const envp[]);
char **session_environment(char *const envp[], char **out, char *preload);

/* Would the loader of a new image with this environment find no svidwrap where LD_PRELOAD says (after chroot(), or
 * without the right to read it)? Then it only warns, and the image runs in plaintext. The path, written to path; else
 * NULL. */
const char *environ_unreachable(char *const envp[], char *path, size_t size);

#endif
