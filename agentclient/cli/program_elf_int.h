/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_elf_int.h - what the files that read ELF share: pread() that answers short where the file ends.
 */
#ifndef CLI_PROGRAM_ELF_INT_H
#define CLI_PROGRAM_ELF_INT_H

#include "program_elf.h"

#include <elf.h>
#include <link.h>

#define ELF_HEADERS_MAX 1024u /* program headers */

/* Up to len bytes at off; how many there were. */
size_t elf_get_some(int fd, uint64_t off, void *buf, size_t len);
/* All of them, or false. */
bool elf_get(int fd, uint64_t off, void *buf, size_t len);
/* The string at off, cut off at size - 1. */
void elf_get_string(int fd, uint64_t off, char *buf, size_t size);
/* Where in the file a loaded address is; 0: nowhere. */
uint64_t elf_offset(int fd, const ElfW(Ehdr) * e, uint64_t addr);

/* The dynamic section: libraries, search paths, versions, symbols. Fills in elf. */
void elf_read_dynamic(int fd, const ElfW(Ehdr) * e, uint64_t off, uint64_t size, struct program_elf *elf);
/* One symbol; dynamic: others see it. */
void elf_note_symbol(struct program_elf *elf, const char *name, bool defined, bool dynamic);

#endif
