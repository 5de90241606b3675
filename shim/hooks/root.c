/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root.c - chroot(): the configuration cannot be opened any more from inside, so it is before. A file of its name in
 * there is never asked: whoever may write there must not say what is protected. The agent's socket is not kept: only
 * a descriptor of a directory could lead there, and that would lead out of the jail.
 */
#include "../divided.h"
#include "../hello.h"
#include "../libc.h"

#include <errno.h>
#include <unistd.h>

HOOK int chroot(const char *path) {
  int keep = errno;
  if (divided_lent()) /* it gets no connections, and its parent is not in the jail */
    return libc_real()->chroot(path);
  hello_keep_config();
  errno = keep;
  int rc = libc_real()->chroot(path);
  if (rc == 0)
    hello_jailed();
  return rc;
}
