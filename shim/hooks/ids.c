/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ids.c - calls by which a process becomes another user or group for good: from then on it is another workload,
 * also where it only serves and makes no further managed call. What it may take back (seteuid() and its like) is
 * looked at when it next makes one.
 */
#include "../libc.h"
#include "../session.h"

#include <unistd.h>

static int changed(int rc) {
  if (rc == 0)
    session_ids_changed();
  return rc;
}

HOOK int setuid(uid_t uid) { return changed(libc_real()->setuid(uid)); }
HOOK int setgid(gid_t gid) { return changed(libc_real()->setgid(gid)); }
HOOK int setreuid(uid_t real, uid_t effective) { return changed(libc_real()->setreuid(real, effective)); }
HOOK int setregid(gid_t real, gid_t effective) { return changed(libc_real()->setregid(real, effective)); }
HOOK int setresuid(uid_t real, uid_t effective, uid_t saved) {
  return changed(libc_real()->setresuid(real, effective, saved));
}
HOOK int setresgid(gid_t real, gid_t effective, gid_t saved) {
  return changed(libc_real()->setresgid(real, effective, saved));
}
