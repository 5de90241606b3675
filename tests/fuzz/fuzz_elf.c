/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF reader of `svidwrap run` and `check`: any bytes as a program. What it keeps must lie within its own memory
 * and end somewhere, and nothing may be followed for ever.
 */
#include "agentclient/cli/program.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void inside(const struct program_elf *elf, const char *text) {
  if (*text && (text < elf->names || text >= elf->names + sizeof elf->names ||
                !memchr(text, 0, sizeof elf->names - (size_t)(text - elf->names))))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct program_elf elf;
  static int fd = -1;
  if (fd < 0)
    fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
    return 0;
  if (program_elf_read(fd, &elf) != 0)
    return 0;
  if (elf.needed_count > ELF_NEEDED_MAX || elf.names_used > sizeof elf.names ||
      !memchr(elf.interpreter, 0, sizeof elf.interpreter))
    abort();
  for (size_t i = 0; i < elf.needed_count; i++)
    inside(&elf, elf.needed[i]);
  inside(&elf, elf.rpath);
  inside(&elf, elf.runpath);
  (void)program_elf_makes_ring(fd);
  struct program_facts facts = {.path = "program", .elf = elf};
  struct findings found = {0};
  if (!program_judge(&facts, &found) && !findings_refusal(&found))
    abort();
  findings_free(&found);
  return 0;
}
