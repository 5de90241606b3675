/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streams.c - where streams of the C library's own begin and end. A program may close a descriptor from under one of
 * them, and get the number again for a connection: what the stream has left to write would go out there in clear. So
 * the numbers are remembered (stream_has()), and such a connection is relayed.
 */
#include "../fdtab.h"
#include "../libc.h"
#include "../stream.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>

static FILE *begun(FILE *file) {
  if (file && file->_fileno >= 0) {
    fdtab_fresh(file->_fileno);
    stream_note(file->_fileno, true);
  }
  return file;
}

#define OPENS(name, parameters, arguments)                                                                           \
  HOOK FILE *name parameters {                                                                                       \
    static FILE *(*real)parameters;                                                                                  \
    if (!real)                                                                                                       \
      real = (FILE * (*)parameters) dlsym(RTLD_NEXT, #name);                                                         \
    return begun(real arguments);                                                                                    \
  }
OPENS(fopen, (const char *restrict path, const char *restrict mode), (path, mode))
OPENS(fopen64, (const char *restrict path, const char *restrict mode), (path, mode))
OPENS(tmpfile, (void), ())
OPENS(tmpfile64, (void), ())
OPENS(freopen, (const char *restrict path, const char *restrict mode, FILE *restrict file), (path, mode, file))
OPENS(freopen64, (const char *restrict path, const char *restrict mode, FILE *restrict file), (path, mode, file))

HOOK int fclose(FILE *file) {
  static int (*real)(FILE *);
  int fd = file->_fileno;
  if (!real)
    real = (int (*)(FILE *))dlsym(RTLD_NEXT, "fclose");
  int rc = real(file), failed = errno;
  if (fd >= 0)
    stream_note(fd, false);
  errno = failed;
  return rc;
}
