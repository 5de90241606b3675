/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_elf_text.c - does the code of a program make io_uring rings without saying so in its symbols? liburing that
 * was linked in statically and stripped leaves the number of io_uring_setup, 425, as a constant right before a system
 * call. A guess: numbers computed elsewhere are not found, and none is taken for more than a hint.
 */
#include "program_elf_int.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK    (1u << 18)
#define OVERLAP  64u
#define CODE_MAX (256u << 20) /* bytes of code looked at */
#define NEAR     32u          /* bytes between the number and the call */

#if defined __x86_64__
/* mov $425,%eax ... syscall */
static bool is_setup(const uint8_t *code, size_t len) {
  static const uint8_t number[5] = {0xb8, 0xa9, 0x01, 0, 0};
  for (size_t at = 0; at + sizeof number < len;) {
    const uint8_t *hit = memmem(code + at, len - at, number, sizeof number);
    if (!hit)
      return false;
    at = (size_t)(hit - code) + sizeof number;
    for (size_t i = at; i + 1 < len && i < at + NEAR; i++)
      if (code[i] == 0x0f && code[i + 1] == 0x05)
        return true;
  }
  return false;
}
#elif defined __aarch64__
/* mov w8,#425 or mov x8,#425 ... svc #0 */
static bool is_setup(const uint8_t *code, size_t len) {
  for (size_t at = 0; at + 4 <= len; at += 4) {
    uint32_t op, next;
    memcpy(&op, code + at, 4);
    for (size_t i = at + 4; (op & 0x7fffffffu) == 0x52803528u && i + 4 <= len && i <= at + NEAR; i += 4) {
      memcpy(&next, code + i, 4);
      if (next == 0xd4000001u)
        return true;
    }
  }
  return false;
}
#else
static bool is_setup(const uint8_t *code, size_t len) { return len > SIZE_MAX - code[0]; }
#endif

bool program_elf_makes_ring(int fd) {
  ElfW(Ehdr) e;
  ElfW(Phdr) p;
  uint64_t looked_at = 0;
  bool found = false;
  uint8_t *code = elf_get(fd, 0, &e, sizeof e) && e.e_phentsize == sizeof p ? malloc(CHUNK) : NULL;
  for (unsigned i = 0; code && !found && i < e.e_phnum && i < ELF_HEADERS_MAX; i++) {
    if (!elf_get(fd, e.e_phoff + (uint64_t)i * sizeof p, &p, sizeof p))
      break;
    if (p.p_type != PT_LOAD || !(p.p_flags & PF_X))
      continue;
    for (uint64_t at = 0; !found && at < p.p_filesz && looked_at < CODE_MAX; at += CHUNK - OVERLAP) {
      uint64_t left = p.p_filesz - at;
      size_t have = elf_get_some(fd, p.p_offset + at, code, left < CHUNK ? (size_t)left : CHUNK);
      if (have == 0)
        break;
      found = is_setup(code, have);
      looked_at += have;
    }
  }
  free(code);
  return found;
}
