/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_pages.c - asks the kernel whether a page can be read or written, and remembers what it said.
 *
 * A handler for SIGSEGV would be another way, and take part in every program's own. The questions are system calls
 * that copy a word of the page and change nothing: 115 ns to read, 185 to write, where all that a small write costs
 * beyond TCP's own is 300. So good pages are remembered, until the program unmaps or protects memory
 * (hooks/memory.c). What is unmapped inside the C library (a large block is freed, and written from all the same)
 * and a file that is cut off under its mapping are not seen: that is as it would be without a look.
 *
 * No lock: an entry is one word, and says for itself which page it is about, and when.
 */
#include "conn_pages.h"

#include "libc.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE         4096u /* the kernel's may be larger: then it is asked more often */
#define WORD         8u    /* into a page: address 0 would be "no set" */
#define SLOTS        4096u /* 50 clients of a server, each with its buffers, take a few hundred */
#define ADDRESS_BITS 56    /* no machine gives a program more */
#define FEW          4u    /* more pages than this are asked for at once */

enum { CAN_READ = 1, CAN_WRITE = 2 };

/* An entry: page number (44 bits), generation (18 bits), what can be done. */
#define GENERATIONS (1u << 18)
static _Atomic uint64_t known[SLOTS];
static _Atomic uint32_t generation = 1;

static uint64_t entry_of(uintptr_t page, uint32_t when) {
  return (uint64_t)page << 20 | (uint64_t)(when % GENERATIONS) << 2;
}

static _Atomic uint64_t *slot_of(uintptr_t page) { return &known[(page ^ page >> 12) % SLOTS]; }

static bool is_known(uintptr_t page, uint32_t when, unsigned can) {
  uint64_t e = atomic_load_explicit(slot_of(page), memory_order_relaxed);
  return (e & ~(uint64_t)3) == entry_of(page, when) && (e & can);
}

static void remember(uintptr_t page, uint32_t when, unsigned can) {
  unsigned both = can == CAN_WRITE ? CAN_READ | CAN_WRITE : CAN_READ;
  atomic_store_explicit(slot_of(page), entry_of(page, when) | both, memory_order_relaxed);
}

/* rt_sigprocmask() reads a set of 8 bytes before it looks at an impossible `how`. */
static bool read_word(uintptr_t at) {
  return libc_real()->syscall(SYS_rt_sigprocmask, -1, at, NULL, (size_t)8) == 0 || errno != EFAULT;
}

/* FUTEX_WAKE_OP changes the word by the operation that it is given: this one is "or 0". Nobody waits. */
static bool write_word(uintptr_t at) {
  static uint32_t nobody;
  const unsigned op = (unsigned)FUTEX_OP_OR << 28 | (unsigned)FUTEX_OP_CMP_LT << 24 | 0x800; /* if it was < -2048 */
  return libc_real()->syscall(SYS_futex, &nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, NULL, at, op) >= 0 ||
         errno != EFAULT;
}

static size_t look(uintptr_t p, size_t n, unsigned can) {
  if (n == 0 || (p + n - 1) >> ADDRESS_BITS || p + n < n)
    return 0;
  uint32_t when = atomic_load(&generation);
  uintptr_t first = p / PAGE, last = (p + n - 1) / PAGE;
  bool whole = last - first > FEW;
  for (uintptr_t page = first; page <= last; page++) {
    if (is_known(page, when, can))
      continue;
    int keep = errno;
    if (whole && madvise((void *)(page * PAGE), (last - page + 1) * PAGE,
                         can == CAN_READ ? MADV_POPULATE_READ : MADV_POPULATE_WRITE) == 0) {
      for (; page <= last; page++)
        remember(page, when, can);
      errno = keep;
      break;
    }
    whole = false; /* an old kernel, memory of a device, or a page that is bad: which one? */
    bool good = can == CAN_READ ? read_word(page * PAGE + WORD) : write_word(page * PAGE + WORD);
    errno = keep;
    if (!good)
      return page == first ? 0 : page * PAGE - p;
    remember(page, when, can);
  }
  return n;
}

size_t pages_readable(const void *p, size_t n) { return look((uintptr_t)p, n, CAN_READ); }
size_t pages_writable(const void *p, size_t n) { return look((uintptr_t)p, n, CAN_WRITE); }

void pages_changed(void) {
  if ((atomic_fetch_add(&generation, 1) + 1) % GENERATIONS != 0)
    return;
  for (unsigned i = 0; i < SLOTS; i++) /* the generation begins anew in the entries: nothing old may match */
    atomic_store(&known[i], 0);
}
