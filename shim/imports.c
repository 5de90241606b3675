/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imports.c - looks through the relocations of what is loaded for the names of calls. It reads what the dynamic
 * linker has read before, and nothing else.
 */
#include "imports.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

struct search {
  unsigned long long adds; /* objects ever loaded */
  bool known, found;
};

static bool within(const struct dl_phdr_info *object, Elf64_Addr address) {
  for (Elf64_Half i = 0; i < object->dlpi_phnum; i++) {
    const Elf64_Phdr *p = &object->dlpi_phdr[i];
    if (p->p_type == PT_LOAD && address - (object->dlpi_addr + p->p_vaddr) < p->p_memsz)
      return true;
  }
  return false;
}

/* The linker puts the address in place of what the file says, but for what it cannot write to. */
static const void *at(const struct dl_phdr_info *object, Elf64_Addr value) {
  if (!within(object, value))
    value += object->dlpi_addr;
  return within(object, value) ? (const void *)(uintptr_t)value : NULL;
}

static bool makes_sockets(const char *name) {
  name += strncmp(name, "__", 2) == 0 ? 2 : 0;
  return strcmp(name, "socket") == 0 || strcmp(name, "connect") == 0 || strcmp(name, "listen") == 0 ||
         strcmp(name, "accept") == 0 || strcmp(name, "accept4") == 0;
}

static bool any_of(const Elf64_Rela *rela, size_t bytes, const Elf64_Sym *symbols, const char *names) {
  for (size_t i = 0; rela && i < bytes / sizeof *rela; i++) {
    const Elf64_Sym *symbol = &symbols[ELF64_R_SYM(rela[i].r_info)];
    if (symbol->st_name != 0 && symbol->st_shndx == SHN_UNDEF && makes_sockets(names + symbol->st_name))
      return true;
  }
  return false;
}

static bool object_does(const struct dl_phdr_info *object, const Elf64_Dyn *d) {
  const Elf64_Rela *plt = NULL, *rela = NULL;
  const Elf64_Sym *symbols = NULL;
  const char *names = NULL;
  size_t plt_bytes = 0, rela_bytes = 0;
  for (; d->d_tag != DT_NULL; d++) {
    switch (d->d_tag) {
    case DT_SYMTAB:
      symbols = at(object, d->d_un.d_ptr);
      break;
    case DT_STRTAB:
      names = at(object, d->d_un.d_ptr);
      break;
    case DT_JMPREL:
      plt = at(object, d->d_un.d_ptr);
      break;
    case DT_PLTRELSZ:
      plt_bytes = d->d_un.d_val;
      break;
    case DT_RELA:
      rela = at(object, d->d_un.d_ptr);
      break;
    case DT_RELASZ:
      rela_bytes = d->d_un.d_val;
      break;
    default:
      break;
    }
  }
  if (!symbols || !names || (plt_bytes && !plt) || (rela_bytes && !rela))
    return true; /* not where it should be: who knows */
  return any_of(plt, plt_bytes, symbols, names) || any_of(rela, rela_bytes, symbols, names);
}

static int look(struct dl_phdr_info *object, size_t size, void *arg) {
  struct search *s = arg;
  (void)size;
  if (s->known && s->adds == object->dlpi_adds)
    return 1;
  if (s->known) /* the first object of a new search */
    *s = (struct search){0};
  s->adds = object->dlpi_adds;
  for (Elf64_Half i = 0; i < object->dlpi_phnum && !s->found; i++) {
    if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
      s->found =
          object_does(object, (const Elf64_Dyn *)(uintptr_t)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr));
  }
  return 0;
}

bool imports_sockets(void) {
  static struct search last; /* one thread asks: vfork.c */
  dl_iterate_phdr(look, &last);
  last.known = true;
  return last.found;
}
