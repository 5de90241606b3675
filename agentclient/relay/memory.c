/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - what the record engine asks about memory, answered for this process. In a program it works in buffers
 * that may be bad, and asks the kernel about each page; here they are the relay's own.
 */
#include "shim/conn_pages.h"

size_t pages_readable(const void *p, size_t n) { return p || n == 0 ? n : 0; }
size_t pages_writable(const void *p, size_t n) { return p || n == 0 ? n : 0; }

/* libcrypto keeps to malloc() in this process, and nothing here forks. */
void conn_memory_after_fork(void);
void conn_memory_after_fork(void) {}
