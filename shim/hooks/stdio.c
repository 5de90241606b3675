/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdio.c - streams and formatted output on descriptors. glibc reads and writes for them inside, past every hook: on
 * a protected connection that would be plaintext. So a stream on a TCP socket is one of ours, and dprintf is done
 * here.
 */
#include "../fdtab.h"
#include "../libc.h"
#include "../stream.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A connect() may follow: a TCP socket that is not connected yet counts. */
static bool may_be_protected(int fd) {
  return !fdtab_plain(fd) ||
         ((unsigned)fd < FDTAB_MAX && (atomic_load_explicit(&fdtab_flags[fd], memory_order_relaxed) & FDF_TCP));
}

HOOK FILE *fdopen(int fd, const char *mode) {
  static FILE *(*real)(int, const char *);
  if (!real)
    real = (FILE * (*)(int, const char *)) dlsym(RTLD_NEXT, "fdopen");
  if (may_be_protected(fd))
    return stream_open(fd, mode);
  FILE *file = real(fd, mode);
  if (file)
    stream_note(fd, true);
  return file;
}
HOOK FILE *_IO_fdopen(int fd, const char *mode);
HOOK FILE *_IO_fdopen(int fd, const char *mode) { return fdopen(fd, mode); }

/* To the C library a stream of ours has no number. */
static int number(const char *name, int (**real)(FILE *), FILE *file) {
  int fd;
  if (!*real)
    *real = (int (*)(FILE *))dlsym(RTLD_NEXT, name);
  if (file && file->_fileno < 0 && stream_number(file, &fd))
    return fd;
  return (*real)(file);
}

HOOK int fileno(FILE *file) {
  static int (*real)(FILE *);
  return number("fileno", &real, file);
}
HOOK int fileno_unlocked(FILE *file) {
  static int (*real)(FILE *);
  return number("fileno_unlocked", &real, file);
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
