/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - learns that memory goes away or is protected: what the record engine knows about pages (conn_pages.h)
 * is no longer so. The calls themselves are the kernel's.
 *
 * An allocator calls these before anything else runs, where looking up the C library's functions may allocate
 * again: so they are made without it.
 */
#include "../conn_pages.h"
#include "../libc.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static long kernel(long nr, long a, long b, long c, long d, long e, long f) {
  long rc;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(rc)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return rc;
}
#elif defined(__aarch64__)
static long kernel(long nr, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = nr;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)

#define READ_WRITE (PROT_READ | PROT_WRITE)

static long answer(long rc, bool harmless) {
  if (!harmless)
    pages_changed(); /* behind the call: what another thread learned before it is old */
  if (rc < 0 && rc > -4096) {
    errno = (int)-rc;
    return -1;
  }
  return rc;
}

HOOK void *mmap(void *p, size_t len, int prot, int flags, int fd, off_t offset) {
  bool harmless = (flags & MAP_ANONYMOUS) && (prot & READ_WRITE) == READ_WRITE;
  return (void *)answer(kernel(SYS_mmap, (long)p, (long)len, prot, flags, fd, offset), harmless);
}
HOOK void *mmap64(void *p, size_t len, int prot, int flags, int fd, off64_t offset) {
  return mmap(p, len, prot, flags, fd, offset);
}
HOOK int munmap(void *p, size_t len) {
  return (int)answer(kernel(SYS_munmap, (long)p, (long)len, 0, 0, 0, 0), false);
}
HOOK int mprotect(void *p, size_t len, int prot) {
  return (int)answer(kernel(SYS_mprotect, (long)p, (long)len, prot, 0, 0, 0), (prot & READ_WRITE) == READ_WRITE);
}
HOOK int pkey_mprotect(void *p, size_t len, int prot, int key) {
  if (key == -1) /* as the C library does, for kernels without keys */
    return mprotect(p, len, prot);
  return (int)answer(kernel(SYS_pkey_mprotect, (long)p, (long)len, prot, key, 0, 0), false);
}
HOOK int shmdt(const void *p) { return (int)answer(kernel(SYS_shmdt, (long)p, 0, 0, 0, 0, 0), false); }

HOOK void *mremap(void *p, size_t len, size_t new_len, int flags, ...) {
  va_list ap;
  va_start(ap, flags);
  void *to = flags & MREMAP_FIXED ? va_arg(ap, void *) : NULL;
  va_end(ap);
  return (void *)answer(kernel(SYS_mremap, (long)p, (long)len, (long)new_len, flags, (long)to, 0), false);
}

#endif
