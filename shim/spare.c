/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spare.c - one descriptor kept in reserve (see spare.h). It never allocates.
 */
#include "spare.h"

#include "fdtab.h"
#include "headroom.h"
#include "libc.h"

#include <errno.h>

static int spare = -1;
static struct lock spare_lock;

bool spare_open(void) {
  lock_signals saved;
  int keep = errno;
  lock_take(&spare_lock, &saved);
  if (spare < 0) {
    spare = libc_real()->socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* of nothing the program knows */
    if (spare >= 0)
      fdtab_fresh(spare);
    if (spare >= 0 && fdtab_hide(&spare) != 0) {
      libc_real()->close(spare);
      spare = -1;
    }
  }
  bool have = spare >= 0;
  lock_drop(&spare_lock, &saved);
  errno = keep;
  return have;
}

bool spare_release(void) {
  lock_signals saved;
  lock_take(&spare_lock, &saved);
  bool had = spare >= 0;
  fdtab_unhide_close(&spare);
  lock_drop(&spare_lock, &saved);
  return had;
}

bool spare_helps(void) { return spare >= 0 && !headroom_beyond(spare); }

void spare_after_fork(void) { lock_reset(&spare_lock); }
