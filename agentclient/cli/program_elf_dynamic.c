/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_elf_dynamic.c - the dynamic section of an ELF file: the libraries it needs and where it looks for them,
 * the versions of glibc that it wants or offers, and what its symbols give away (elf(5), the gABI, and the LSB for
 * versions). Sections are not needed: the loader does without them, too.
 */
#include "program_elf_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX  4096u
#define VERSIONS_MAX 4096u
#define NAME_MAX_LEN 256u
#define STRINGS_MAX  (16u << 20)
#define SYMBOLS_MAX  (1u << 20)

/* What the loader reads of it. Addresses, but for strsz and the counts. */
struct dynamic {
  uint64_t strtab, strsz, symtab, hash, gnu_hash, verneed, verneednum, verdef, verdefnum, rpath, runpath;
  bool has_rpath, has_runpath;
};

uint64_t elf_offset(int fd, const ElfW(Ehdr) * e, uint64_t addr) {
  ElfW(Phdr) p;
  for (unsigned i = 0; addr && i < e->e_phnum && i < ELF_HEADERS_MAX; i++) {
    if (!elf_get(fd, e->e_phoff + (uint64_t)i * sizeof p, &p, sizeof p))
      return 0;
    if (p.p_type == PT_LOAD && addr >= p.p_vaddr && addr - p.p_vaddr < p.p_filesz)
      return p.p_offset + (addr - p.p_vaddr);
  }
  return 0;
}

static bool begins(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

void elf_note_symbol(struct program_elf *elf, const char *name, bool defined, bool dynamic) {
  static const char *const own[] = {"connect", "listen",  "accept",  "accept4", "read",     "write", "send",
                                    "recv",    "sendmsg", "recvmsg", "sendto",  "recvfrom", "readv", "writev"};
  switch (name[0]) {
  case 'd':
    if (!defined && strcmp(name, "dlopen") == 0)
      elf->traits |= ELF_DLOPEN;
    else if (!defined && strcmp(name, "dlmopen") == 0)
      elf->traits |= ELF_DLMOPEN;
    break;
  case 'i':
    if (begins(name, "io_uring_"))
      elf->traits |= ELF_URING;
    else if (strcmp(name, "io_submit") == 0)
      elf->traits |= ELF_AIO;
    break;
  case 's':
    if (strcmp(name, "seccomp_load") == 0)
      elf->traits |= ELF_SECCOMP;
    break;
  case 'u':
    if (begins(name, "uv__io_uring"))
      elf->traits |= ELF_URING;
    break;
  case '_':
    if (begins(name, "__asan_init"))
      elf->traits |= ELF_ASAN;
    else if (strcmp(name, "__tsan_init") == 0 || strcmp(name, "__lsan_init") == 0 || begins(name, "__msan_init"))
      elf->traits |= ELF_TSAN;
    else if (begins(name, "_cgo_") || begins(name, "__rust_alloc"))
      elf->traits |= name[1] == 'c' ? ELF_CGO : ELF_RUST;
    break;
  case 'r':
    if (strcmp(name, "rust_eh_personality") == 0)
      elf->traits |= ELF_RUST;
    break;
  default:
    break;
  }
  for (size_t i = 0; defined && dynamic && i < sizeof own / sizeof *own; i++)
    if (strcmp(name, own[i]) == 0) {
      elf->traits |= ELF_OWN_CALLS;
      elf->own_calls++;
      snprintf(elf->own_call, sizeof elf->own_call, "%s", name);
    }
}

/* The last symbol that the buckets of a GNU hash table lead to, or 0. */
static uint32_t last_bucket(int fd, uint64_t at, uint32_t count) {
  uint32_t chunk[256], most = 0;
  while (count > 0) {
    size_t have = elf_get_some(fd, at, chunk, (count < 256 ? count : 256) * sizeof *chunk) / sizeof *chunk;
    if (have == 0)
      return most;
    for (size_t i = 0; i < have; i++)
      most = chunk[i] > most ? chunk[i] : most;
    count -= (uint32_t)have;
    at += have * sizeof *chunk;
  }
  return most;
}

/* The number of symbols: what the hash tables reach. */
static uint64_t count_symbols(int fd, const ElfW(Ehdr) * e, const struct dynamic *d) {
  uint32_t head[4], chain;
  uint64_t at = elf_offset(fd, e, d->hash);
  if (at && elf_get(fd, at, head, 8))
    return head[1];
  at = elf_offset(fd, e, d->gnu_hash);
  if (!at || !elf_get(fd, at, head, sizeof head))
    return 0;
  uint64_t buckets = at + 16 + (uint64_t)head[2] * sizeof(ElfW(Addr)), chains = buckets + (uint64_t)head[0] * 4;
  uint32_t most = last_bucket(fd, buckets, head[0] < SYMBOLS_MAX ? head[0] : SYMBOLS_MAX);
  if (most < head[1])
    return head[1]; /* none is defined: those in front are wanted of others */
  while (most < SYMBOLS_MAX && elf_get(fd, chains + (uint64_t)(most - head[1]) * 4, &chain, 4) && !(chain & 1))
    most++;
  return (uint64_t)most + 1;
}

static void read_symbols(int fd, const ElfW(Ehdr) * e, const struct dynamic *d, const char *strings, size_t strsz,
                         struct program_elf *elf) {
  uint64_t at = elf_offset(fd, e, d->symtab), left = count_symbols(fd, e, d);
  ElfW(Sym) chunk[256];
  left = left < SYMBOLS_MAX ? left : SYMBOLS_MAX;
  while (at && left > 0) {
    size_t want = left < 256 ? (size_t)left : 256;
    size_t have = elf_get_some(fd, at, chunk, want * sizeof *chunk) / sizeof *chunk;
    if (have == 0)
      return;
    for (size_t i = 0; i < have; i++) {
      unsigned bind = ELF64_ST_BIND(chunk[i].st_info), type = ELF64_ST_TYPE(chunk[i].st_info);
      if (chunk[i].st_name < strsz)
        elf_note_symbol(elf, strings + chunk[i].st_name, chunk[i].st_shndx != SHN_UNDEF,
                        bind != STB_LOCAL && (type == STT_FUNC || type == STT_GNU_IFUNC));
    }
    at += have * sizeof *chunk;
    left -= have;
  }
}

/* "GLIBC_2.36" as 2036; anything else as 0. */
static unsigned glibc_version(const char *name) {
  unsigned major, minor;
  if (sscanf(name, "GLIBC_%3u.%3u", &major, &minor) != 2)
    return 0;
  return major * 1000 + minor;
}

static void newest(unsigned *version, const char *strings, size_t strsz, uint64_t name) {
  unsigned v = name < strsz ? glibc_version(strings + name) : 0;
  if (v > *version)
    *version = v;
}

static void read_wanted(int fd, uint64_t at, uint64_t count, const char *strings, size_t strsz,
                        struct program_elf *elf) {
  ElfW(Verneed) need;
  ElfW(Vernaux) aux;
  unsigned seen = 0;
  for (; at && count > 0 && seen < VERSIONS_MAX && elf_get(fd, at, &need, sizeof need); count--) {
    bool libc = need.vn_file < strsz && begins(strings + need.vn_file, "libc.so.");
    uint64_t next = at + need.vn_aux;
    for (unsigned i = 0; i < need.vn_cnt && seen++ < VERSIONS_MAX && elf_get(fd, next, &aux, sizeof aux); i++) {
      if (libc)
        newest(&elf->glibc_wanted, strings, strsz, aux.vna_name);
      if (aux.vna_next == 0)
        break;
      next += aux.vna_next;
    }
    seen++;
    at = need.vn_next ? at + need.vn_next : 0;
  }
}

static void read_offered(int fd, uint64_t at, uint64_t count, const char *strings, size_t strsz,
                         struct program_elf *elf) {
  ElfW(Verdef) def;
  ElfW(Verdaux) aux;
  for (unsigned seen = 0; at && count > 0 && seen < VERSIONS_MAX && elf_get(fd, at, &def, sizeof def);
       count--, seen++) {
    if (elf_get(fd, at + def.vd_aux, &aux, sizeof aux))
      newest(&elf->glibc_offered, strings, strsz, aux.vda_name);
    at = def.vd_next ? at + def.vd_next : 0;
  }
}

/* A copy that lives in elf; "" where there is no room, or no such string. */
static const char *keep(struct program_elf *elf, const char *strings, size_t strsz, uint64_t off) {
  if (off >= strsz)
    return "";
  size_t n = strlen(strings + off) + 1;
  if (n > sizeof elf->names - elf->names_used)
    return "";
  char *to = elf->names + elf->names_used;
  memcpy(to, strings + off, n);
  elf->names_used += n;
  return to;
}

static void take_entry(const ElfW(Dyn) * entry, struct dynamic *d) {
  uint64_t v = entry->d_un.d_val;
  switch (entry->d_tag) {
#define TAKE(tag, field)                                                                                             \
  case tag:                                                                                                          \
    d->field = v;                                                                                                    \
    break
    TAKE(DT_STRTAB, strtab);
    TAKE(DT_STRSZ, strsz);
    TAKE(DT_SYMTAB, symtab);
    TAKE(DT_HASH, hash);
    TAKE(DT_GNU_HASH, gnu_hash);
    TAKE(DT_VERNEED, verneed);
    TAKE(DT_VERNEEDNUM, verneednum);
    TAKE(DT_VERDEF, verdef);
    TAKE(DT_VERDEFNUM, verdefnum);
#undef TAKE
  case DT_RPATH:
    d->rpath = v;
    d->has_rpath = true;
    break;
  case DT_RUNPATH:
    d->runpath = v;
    d->has_runpath = true;
    break;
  default:
    break;
  }
}

void elf_read_dynamic(int fd, const ElfW(Ehdr) * e, uint64_t off, uint64_t size, struct program_elf *elf) {
  ElfW(Dyn) entry;
  struct dynamic d = {0};
  uint64_t needed[ELF_NEEDED_MAX];
  size_t count = 0;
  elf->has_dynamic = true;
  for (uint64_t i = 0; i < ENTRIES_MAX && i < size / sizeof entry; i++) {
    if (!elf_get(fd, off + i * sizeof entry, &entry, sizeof entry) || entry.d_tag == DT_NULL)
      break;
    if (entry.d_tag == DT_NEEDED && count < ELF_NEEDED_MAX)
      needed[count++] = entry.d_un.d_val;
    else
      take_entry(&entry, &d);
  }
  size_t strsz = d.strsz < STRINGS_MAX ? (size_t)d.strsz : STRINGS_MAX;
  uint64_t at = elf_offset(fd, e, d.strtab);
  char *strings = at ? malloc(strsz + 1) : NULL;
  if (!strings)
    return;
  strsz = elf_get_some(fd, at, strings, strsz);
  strings[strsz] = '\0';
  for (size_t i = 0; i < count; i++) {
    const char *name = keep(elf, strings, strsz, needed[i]);
    if (*name)
      elf->needed[elf->needed_count++] = name;
  }
  if (d.has_rpath)
    elf->rpath = keep(elf, strings, strsz, d.rpath);
  if (d.has_runpath)
    elf->runpath = keep(elf, strings, strsz, d.runpath);
  read_wanted(fd, elf_offset(fd, e, d.verneed), d.verneednum, strings, strsz, elf);
  read_offered(fd, elf_offset(fd, e, d.verdef), d.verdefnum, strings, strsz, elf);
  read_symbols(fd, e, &d, strings, strsz, elf);
  free(strings);
}
