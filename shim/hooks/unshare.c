/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unshare.c - unshare(): a thread may want a table of descriptors of its own, which the shim has not got.
 */
#include "../divided.h"
#include "../libc.h"

#include <sched.h>

HOOK int unshare(int flags) {
  if ((flags & CLONE_FILES) && divided_refused("unshare(CLONE_FILES) in a thread"))
    return -1;
  return libc_real()->unshare(flags);
}
