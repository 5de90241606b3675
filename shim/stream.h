/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - stdio streams on sockets. What the C library reads and writes for a stream happens inside it, past every
 * hook; a stream of ours (fopencookie(3)) comes back to the hooks. Never holds a lock while a stream is used.
 */
#ifndef SHIM_STREAM_H
#define SHIM_STREAM_H

#include <stdbool.h>
#include <stdio.h>

/* As fdopen(): NULL and errno. */
FILE *stream_open(int fd, const char *mode);
/* Is it one of ours? Then *fd is its number. */
bool stream_number(FILE *file, int *fd);
/* Does the C library have a stream of its own on this number? 0 to 2 are always taken for one. */
bool stream_is_on(int fd);
/* A stream of the C library's began, or ended, on this number. */
void stream_note(int fd, bool open);
/* Is one there that stream_note() was told of? 0 to 2 are always taken for that. Cheap where there is none. */
bool stream_has(int fd);
/* exit(): what is still buffered goes out while the connections are there. */
void stream_flush_all(void);
void stream_after_fork(void);

#endif
