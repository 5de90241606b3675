/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libc.c - looks up the C library's own entry points, once.
 *
 * It may run from a hook that another library's constructor calls before ours, and in several threads
 * at once: every thread writes the same values, or leaves what another wrote, and the last step publishes them all.
 */
#include "libc.h"

#include <dlfcn.h>

struct libc_table libc_table;
int libc_loaded;

void libc_load(void) {
  static __thread int loading;
  if (loading)
    return; /* dlsym() called back into a hook: the table is filled from the top, what it needs is there */
  loading = 1;
#define X(result, name, params)                                                                                      \
  if (!__atomic_load_n((void **)&libc_table.name, __ATOMIC_ACQUIRE))                                                 \
    __atomic_store_n((void **)&libc_table.name, dlsym(RTLD_NEXT, #name), __ATOMIC_RELEASE);
  LIBC_CALLS(X)
#undef X
  __atomic_store_n(&libc_loaded, 1, __ATOMIC_RELEASE);
  loading = 0;
}
