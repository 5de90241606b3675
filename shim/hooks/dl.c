/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dl.c - libraries that would not see the hooks: those loaded with RTLD_DEEPBIND look for read() in the C library
 * first, and those in a namespace of their own (dlmopen) bring a second C library. The first are loaded without the
 * flag, the second are refused: what they send on a managed connection would go out in plaintext.
 *
 * The real dlopen() looks at its return address for the caller's RUNPATH and namespace, so it has to be a tail call.
 */
#include "../libc.h"
#include "../session.h"

#include <errno.h>

static void deep(const char *file) {
  int keep = errno;
  session_complain("%s is loaded without RTLD_DEEPBIND, with which its sockets could not be protected",
                   file ? file : "the program");
  errno = keep;
}

HOOK void *dlopen(const char *file, int mode) {
  if (mode & RTLD_DEEPBIND)
    deep(file);
  return libc_real()->dlopen(file, mode & ~RTLD_DEEPBIND);
}

HOOK void *dlmopen(Lmid_t where, const char *file, int mode) {
  if (where != LM_ID_BASE) {
    session_complain("%s in a namespace of its own is refused: its sockets could not be protected",
                     file ? file : "a library");
    where = LM_ID_BASE;
    file = "/a/library/in/a/namespace/of/its/own/is/refused/by/svidwrap"; /* for dlerror() */
  }
  return libc_real()->dlmopen(where, file, mode & ~RTLD_DEEPBIND);
}
