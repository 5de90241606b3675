/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - memfds that are shared with programs, sealed so that a program cannot take the ground from
 * under the daemon's feet (a file that shrinks is a SIGBUS), and kept out of core dumps.
 */
#ifndef DAEMON_MEMORY_H
#define DAEMON_MEMORY_H

#include <stddef.h>
#include <sys/types.h>

/* A sparse memfd of this size that can neither shrink nor grow. -1 and errno. */
int memory_create(const char *name, size_t size);
/* Maps a part of it, readable and writable, left out of core dumps. NULL and errno. */
void *memory_map(int fd, off_t at, size_t len);
/* From now on nobody can map it for writing, nor change its seals; mappings that exist go on. */
int memory_seal(int fd);

#endif
