/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_pages.h - can the program's memory be read and written? Sealing and opening do both in user space, where a
 * bad address is a SIGSEGV; the kernel would have answered EFAULT. So the pages are asked for first.
 */
#ifndef SHIM_CONN_PAGES_H
#define SHIM_CONN_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes from p on can be read (written): n, or where the first bad page begins. errno is left alone. */
size_t pages_readable(const void *p, size_t n);
size_t pages_writable(const void *p, size_t n);

/* Memory was unmapped, protected, or mapped over: call after it is. */
void pages_changed(void);

#endif
