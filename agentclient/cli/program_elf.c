/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_elf.c - the headers of an ELF file, and the marks that compilers leave (elf(5)).
 *
 * The file is somebody else's: every offset and length in it is checked by reading with pread(), which
 * answers short where the file ends, into buffers of bounded size.
 */
#include "program_elf_int.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTIONS_MAX 16384u /* section headers; more are not looked at */
#define NOTES_MAX    65536u
#define DATA_MAX     65536u /* of a data segment, where Go's linker puts its build information first */
#define COMMENT_MAX  4096u
#define SYMTAB_MAX   (64u << 20) /* bytes of symbols, and of their names */

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

size_t elf_get_some(int fd, uint64_t off, void *buf, size_t len) {
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

bool elf_get(int fd, uint64_t off, void *buf, size_t len) { return elf_get_some(fd, off, buf, len) == len; }

void elf_get_string(int fd, uint64_t off, char *buf, size_t size) {
  buf[elf_get_some(fd, off, buf, size - 1)] = '\0';
}

/* This machine, as our own binary names it. EM_NONE, which fits no program, when that cannot be read. */
static ElfW(Half) our_machine(void) {
  ElfW(Ehdr) own;
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  bool known = fd >= 0 && elf_get(fd, 0, &own, sizeof own);
  if (fd >= 0)
    close(fd);
  return known ? own.e_machine : EM_NONE;
}

const char *program_elf_machine(unsigned machine, char room[24]) {
  static const struct {
    unsigned machine;
    const char *name;
  } known[] = {{EM_X86_64, "x86-64"}, {EM_386, "x86"},      {EM_AARCH64, "AArch64"}, {EM_ARM, "ARM"},
               {EM_RISCV, "RISC-V"},  {EM_PPC64, "POWER"},  {EM_S390, "S/390"},      {EM_MIPS, "MIPS"},
               {EM_PPC, "PowerPC"},   {EM_SPARCV9, "SPARC"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].machine == machine)
      return known[i].name;
  snprintf(room, 24, "machine %u", machine);
  return room;
}

/* Go's linker leaves a note "Go", type 4 (the build ID). */
static bool note_is_go(int fd, uint64_t off, uint64_t size) {
  static char notes[NOTES_MAX];
  size_t have = elf_get_some(fd, off, notes, size < NOTES_MAX ? (size_t)size : NOTES_MAX), at = 0;
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
  size_t have = elf_get_some(fd, off, data, size < DATA_MAX ? (size_t)size : DATA_MAX);
  for (size_t at = 0; at + sizeof go_magic <= have; at += 16)
    if (memcmp(data + at, go_magic, sizeof go_magic) == 0)
      return true;
  return false;
}

/* .symtab: names of what is linked in statically, where nobody stripped them. */
static void read_symtab(int fd, const ElfW(Shdr) * symbols, const ElfW(Shdr) * names, struct program_elf *elf) {
  size_t size = names->sh_size < SYMTAB_MAX ? (size_t)names->sh_size : SYMTAB_MAX;
  char *text = malloc(size + 1);
  if (!text)
    return;
  size = elf_get_some(fd, names->sh_offset, text, size);
  text[size] = '\0';
  ElfW(Sym) chunk[512];
  uint64_t left = symbols->sh_size < SYMTAB_MAX ? symbols->sh_size : SYMTAB_MAX, at = symbols->sh_offset;
  while (left >= sizeof *chunk) {
    size_t have = elf_get_some(fd, at, chunk, left < sizeof chunk ? (size_t)left : sizeof chunk) / sizeof *chunk;
    if (have == 0)
      break;
    for (size_t i = 0; i < have; i++)
      if (chunk[i].st_name < size)
        elf_note_symbol(elf, text + chunk[i].st_name, chunk[i].st_shndx != SHN_UNDEF, false);
    at += have * sizeof *chunk;
    left -= have * sizeof *chunk;
  }
  free(text);
}

static void read_comment(int fd, const ElfW(Shdr) * s, struct program_elf *elf) {
  static const char mark[] = "rustc version";
  static char text[COMMENT_MAX];
  size_t have = elf_get_some(fd, s->sh_offset, text, s->sh_size < sizeof text ? (size_t)s->sh_size : sizeof text);
  if (memmem(text, have, mark, sizeof mark - 1))
    elf->traits |= ELF_RUST;
}

static void read_sections(int fd, const ElfW(Ehdr) * e, struct program_elf *elf) {
  ElfW(Shdr) names, s, strings;
  if (e->e_shoff == 0 || e->e_shentsize != sizeof s || e->e_shstrndx >= e->e_shnum || e->e_shnum > SECTIONS_MAX ||
      !elf_get(fd, e->e_shoff + (uint64_t)e->e_shstrndx * sizeof s, &names, sizeof names))
    return;
  for (unsigned i = 0; i < e->e_shnum; i++) {
    char name[24] = "";
    if (!elf_get(fd, e->e_shoff + (uint64_t)i * sizeof s, &s, sizeof s))
      return;
    if (s.sh_type == SHT_SYMTAB && elf->has_interpreter && s.sh_link < e->e_shnum &&
        elf_get(fd, e->e_shoff + (uint64_t)s.sh_link * sizeof s, &strings, sizeof strings))
      read_symtab(fd, &s, &strings, elf);
    if (s.sh_name >= names.sh_size)
      continue;
    elf_get_string(fd, names.sh_offset + s.sh_name, name, sizeof name);
    if (strcmp(name, ".go.buildinfo") == 0 || strcmp(name, ".note.go.buildid") == 0)
      elf->traits |= ELF_GO;
    else if (strcmp(name, ".comment") == 0)
      read_comment(fd, &s, elf);
  }
}

static void read_interpreter(int fd, const ElfW(Phdr) * p, struct program_elf *elf) {
  elf->has_interpreter = true;
  size_t len = (size_t)p->p_filesz;
  if (p->p_filesz < 2 || p->p_filesz > sizeof elf->interpreter || !elf_get(fd, p->p_offset, elf->interpreter, len) ||
      elf->interpreter[len - 1] != '\0')
    elf->malformed = true;
  elf->interpreter[sizeof elf->interpreter - 1] = '\0';
}

static void read_segments(int fd, const ElfW(Ehdr) * e, struct program_elf *elf) {
  ElfW(Phdr) p;
  if (e->e_phentsize != sizeof p || e->e_phnum == 0 || e->e_phnum > ELF_HEADERS_MAX) {
    elf->malformed = true;
    return;
  }
  for (unsigned i = 0; i < e->e_phnum; i++) {
    if (!elf_get(fd, e->e_phoff + (uint64_t)i * sizeof p, &p, sizeof p)) {
      elf->malformed = true;
      return;
    }
    bool go = false;
    if (p.p_type == PT_INTERP && !elf->has_interpreter)
      read_interpreter(fd, &p, elf);
    else if (p.p_type == PT_NOTE)
      go = note_is_go(fd, p.p_offset, p.p_filesz);
    else if (p.p_type == PT_LOAD && (p.p_flags & PF_W))
      go = data_is_go(fd, p.p_offset, p.p_filesz);
    else if (p.p_type == PT_DYNAMIC && !elf->has_dynamic)
      elf_read_dynamic(fd, e, p.p_offset, p.p_filesz, elf);
    if (go)
      elf->traits |= ELF_GO;
  }
}

int program_elf_read(int fd, struct program_elf *elf) {
  ElfW(Ehdr) e;
  memset(elf, 0, sizeof *elf);
  elf->rpath = elf->runpath = "";
  memset(&e, 0, sizeof e);
  errno = 0;
  size_t have = elf_get_some(fd, 0, &e, sizeof e);
  if (have == 0 && errno != 0)
    return -1;
  if (have < EI_NIDENT || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0) {
    elf->malformed = true;
    return 0;
  }
  /* e_machine has the same place in both classes */
  elf->machine = e.e_ident[EI_DATA] == OUR_DATA ? e.e_machine : __builtin_bswap16(e.e_machine);
  elf->bits = e.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : e.e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 0;
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
  elf->pie = e.e_type == ET_DYN;
  read_segments(fd, &e, elf);
  read_sections(fd, &e, elf);
  return 0;
}
