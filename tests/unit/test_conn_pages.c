/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which questions about memory does the kernel get? One a page, for as many pages as a busy server's buffers have,
 * and again once the program has changed its memory; and a bad page is never taken for a good one.
 */
#include "shim/conn_pages.h"
#include "shim/libc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct libc_table libc_table;
int libc_loaded = 1;
void libc_load(void) {}

static unsigned questions;

static long asked(long number, ...) {
  va_list ap;
  long a[6];
  questions++;
  va_start(ap, number);
  for (int i = 0; i < 6; i++)
    a[i] = va_arg(ap, long);
  va_end(ap);
  return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define PAGE    4096u
#define CLIENTS 50u
#define STRIDE  (5 * PAGE) /* a buffer of 16 KiB and its header, as an allocator puts them */
#define BYTES   (CLIENTS * STRIDE)

/* At a round address: no two of its pages share a place in the memory of answers. */
#define ROUND ((uintptr_t)4096 * PAGE)
static uint8_t *mapped(void) {
  uint8_t *p = mmap(NULL, BYTES + ROUND, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  assert_true(p != MAP_FAILED);
  return p + (ROUND - (uintptr_t)p % ROUND) % ROUND;
}

static unsigned round_of_clients(const uint8_t *p) {
  questions = 0;
  for (unsigned i = 0; i < CLIENTS; i++)
    for (unsigned page = 0; page < 5; page++)
      assert_int_equal(pages_writable(p + i * STRIDE + page * PAGE + 100, 16), 16);
  return questions;
}

static void test_pages_of_many_clients_are_remembered(void **state) {
  (void)state;
  uint8_t *p = mapped();
  assert_int_equal(round_of_clients(p), 5 * CLIENTS);
  assert_int_equal(round_of_clients(p), 0);
}

static void test_changed_memory_is_asked_for_again(void **state) {
  (void)state;
  uint8_t *p = mapped();
  round_of_clients(p);
  pages_changed();
  assert_int_equal(round_of_clients(p), 5 * CLIENTS);
}

static void test_bad_pages_are_found(void **state) {
  (void)state;
  uint8_t *p = mapped();
  mprotect(p + PAGE, PAGE, PROT_READ);
  mprotect(p + 2 * PAGE, PAGE, PROT_NONE);
  pages_changed();
  assert_int_equal(pages_writable(p, 3 * PAGE), PAGE);
  assert_int_equal(pages_readable(p, 3 * PAGE), 2 * PAGE);
  assert_int_equal(pages_readable(p + 2 * PAGE, 1), 0);
  assert_int_equal(pages_writable(p, BYTES), PAGE); /* many at once */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pages_of_many_clients_are_remembered),
      cmocka_unit_test(test_changed_memory_is_asked_for_again),
      cmocka_unit_test(test_bad_pages_are_found),
  };
  libc_table.syscall = asked;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
