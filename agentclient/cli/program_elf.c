/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_elf.c - the few facts about an ELF file that decide whether it can be wrapped (elf(5)).
 *
 * The file is somebody else's: every offset and length in it is checked by reading with pread(), which
 * answers short where the file ends, into buffers of fixed size.
 */
#include "program.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_MAX  1024u  /* program headers */
#define SECTIONS_MAX 16384u /* section headers; more are not looked at */
#define NOTES_MAX    65536u
#define DATA_MAX     65536u /* of a data segment, where Go's linker puts its build information first */

#if __ELF_NATIVE_CLASS == 64
#define OUR_CLASS ELFCLASS64
#else
#define OUR_CLASS ELFCLASS32
#endif
#if __BYTE_ORDER == __LITTLE_ENDIAN
#define OUR_DATA ELFDATA2LSB
#else
#define OUR_DATA ELFDATA2MSB
#endif
static const char go_magic[14] = "\xff Go buildinf:";

/* Up to len bytes at off; how many there were. */
static size_t get_some(int fd, uint64_t off, void *buf, size_t len) {
  size_t have = 0;
  if (off > INT64_MAX - len)
    return 0;
  while (have < len) {
    ssize_t n = pread(fd, (char *)buf + have, len - have, (off_t)(off + have));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    have += (size_t)n;
  }
  return have;
}

static bool get(int fd, uint64_t off, void *buf, size_t len) { return get_some(fd, off, buf, len) == len; }

/* This machine, as our own binary names it. EM_NONE, which fits no program, when that cannot be read. */
static ElfW(Half) our_machine(void) {
  ElfW(Ehdr) own;
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  bool known = fd >= 0 && get(fd, 0, &own, sizeof own);
  if (fd >= 0)
    close(fd);
  return known ? own.e_machine : EM_NONE;
}

/* Go's linker leaves a note "Go", type 4 (the build ID). */
static bool note_is_go(int fd, uint64_t off, uint64_t size) {
  static char notes[NOTES_MAX];
  size_t have = get_some(fd, off, notes, size < NOTES_MAX ? (size_t)size : NOTES_MAX), at = 0;
  while (have - at >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) n;
    memcpy(&n, notes + at, sizeof n);
    at += sizeof n;
    size_t name = ((size_t)n.n_namesz + 3) & ~(size_t)3, desc = ((size_t)n.n_descsz + 3) & ~(size_t)3;
    if (name > have - at || desc > have - at - name)
      return false;
    if (n.n_namesz == 4 && n.n_type == 4 && memcmp(notes + at, "Go\0", 4) == 0)
      return true;
    at += name + desc;
  }
  return false;
}

static bool data_is_go(int fd, uint64_t off, uint64_t size) {
  static char data[DATA_MAX];
  size_t have = get_some(fd, off, data, size < DATA_MAX ? (size_t)size : DATA_MAX);
  for (size_t at = 0; at + sizeof go_magic <= have; at += 16)
    if (memcmp(data + at, go_magic, sizeof go_magic) == 0)
      return true;
  return false;
}

static bool sections_are_go(int fd, const ElfW(Ehdr) * e) {
  ElfW(Shdr) names, s;
  if (e->e_shoff == 0 || e->e_shentsize != sizeof s || e->e_shstrndx >= e->e_shnum || e->e_shnum > SECTIONS_MAX ||
      !get(fd, e->e_shoff + (uint64_t)e->e_shstrndx * sizeof s, &names, sizeof names))
    return false;
  for (unsigned i = 0; i < e->e_shnum; i++) {
    char name[24] = "";
    if (!get(fd, e->e_shoff + (uint64_t)i * sizeof s, &s, sizeof s) || s.sh_name >= names.sh_size)
      continue;
    get_some(fd, names.sh_offset + s.sh_name, name, sizeof name - 1);
    if (strcmp(name, ".go.buildinfo") == 0 || strcmp(name, ".note.go.buildid") == 0)
      return true;
  }
  return false;
}

static void read_interpreter(int fd, const ElfW(Phdr) * p, struct program_elf *elf) {
  elf->has_interpreter = true;
  size_t len = (size_t)p->p_filesz;
  if (p->p_filesz < 2 || p->p_filesz > sizeof elf->interpreter || !get(fd, p->p_offset, elf->interpreter, len) ||
      elf->interpreter[len - 1] != '\0')
    elf->malformed = true;
  elf->interpreter[sizeof elf->interpreter - 1] = '\0';
}

static void read_segments(int fd, const ElfW(Ehdr) * e, struct program_elf *elf) {
  ElfW(Phdr) p;
  if (e->e_phentsize != sizeof p || e->e_phnum == 0 || e->e_phnum > HEADERS_MAX) {
    elf->malformed = true;
    return;
  }
  for (unsigned i = 0; i < e->e_phnum; i++) {
    if (!get(fd, e->e_phoff + (uint64_t)i * sizeof p, &p, sizeof p)) {
      elf->malformed = true;
      return;
    }
    if (p.p_type == PT_INTERP && !elf->has_interpreter)
      read_interpreter(fd, &p, elf);
    else if (p.p_type == PT_NOTE)
      elf->go = elf->go || note_is_go(fd, p.p_offset, p.p_filesz);
    else if (p.p_type == PT_LOAD && (p.p_flags & PF_W))
      elf->go = elf->go || data_is_go(fd, p.p_offset, p.p_filesz);
  }
}

int program_elf_read(int fd, struct program_elf *elf) {
  ElfW(Ehdr) e;
  memset(elf, 0, sizeof *elf);
  memset(&e, 0, sizeof e);
  errno = 0;
  size_t have = get_some(fd, 0, &e, sizeof e);
  if (have == 0 && errno != 0)
    return -1;
  if (have < EI_NIDENT || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0) {
    elf->malformed = true;
    return 0;
  }
  if (e.e_ident[EI_CLASS] != OUR_CLASS || e.e_ident[EI_DATA] != OUR_DATA ||
      (have == sizeof e && e.e_machine != our_machine())) {
    elf->foreign = true;
    return 0;
  }
  if (have != sizeof e) {
    elf->malformed = true;
    return 0;
  }
  elf->executable = e.e_type == ET_EXEC || e.e_type == ET_DYN;
  read_segments(fd, &e, elf);
  elf->go = elf->go || sections_are_go(fd, &e);
  return 0;
}
