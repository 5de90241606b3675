/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdio.c - streams and formatted output on descriptors. glibc writes to them inside, past every hook: on
 * a protected connection that would be plaintext. dprintf is done here; a stream is refused.
 */
#include "../fdtab.h"
#include "../libc.h"
#include "../session.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

HOOK FILE *fdopen(int fd, const char *mode) {
  static FILE *(*real)(int, const char *);
  if (!real)
    real = (FILE * (*)(int, const char *)) dlsym(RTLD_NEXT, "fdopen");
  if (fdtab_plain(fd)) {
    FILE *f = real(fd, mode);
    if (f && (unsigned)fd < FDTAB_MAX && (atomic_load(&fdtab_flags[fd]) & FDF_TCP))
      atomic_fetch_or(&fdtab_flags[fd], FDF_STREAM); /* a connect() may follow */
    return f;
  }
  session_complain("a stdio stream on a protected connection is not supported yet: fdopen() is refused");
  errno = ENOTSUP;
  return NULL;
}

static int print_managed(int fd, const char *format, va_list ap) {
  char *text = NULL;
  int n = vasprintf(&text, format, ap);
  if (n < 0)
    return -1;
  int done = 0;
  while (done < n) {
    ssize_t w = write(fd, text + done, (size_t)(n - done));
    if (w <= 0)
      break;
    done += (int)w;
  }
  free(text);
  return done == n ? n : -1;
}

HOOK int vdprintf(int fd, const char *restrict format, va_list ap) {
  static int (*real)(int, const char *, va_list);
  if (!real)
    real = (int (*)(int, const char *, va_list))dlsym(RTLD_NEXT, "vdprintf");
  return fdtab_plain(fd) ? real(fd, format, ap) : print_managed(fd, format, ap);
}

HOOK int dprintf(int fd, const char *restrict format, ...) {
  va_list ap;
  va_start(ap, format);
  int rc = vdprintf(fd, format, ap);
  va_end(ap);
  return rc;
}

HOOK int __vdprintf_chk(int fd, int flag, const char *format, va_list ap);
HOOK int __vdprintf_chk(int fd, int flag, const char *format, va_list ap) {
  (void)flag;
  return vdprintf(fd, format, ap);
}

HOOK int __dprintf_chk(int fd, int flag, const char *format, ...);
HOOK int __dprintf_chk(int fd, int flag, const char *format, ...) {
  va_list ap;
  (void)flag;
  va_start(ap, format);
  int rc = vdprintf(fd, format, ap);
  va_end(ap);
  return rc;
}
