/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_elf.h - what an ELF file says about itself (elf(5)), as far as it decides whether a preloaded library
 * reaches the program. Files are somebody else's: no offset and no length in them is trusted.
 */
#ifndef CLI_PROGRAM_ELF_H
#define CLI_PROGRAM_ELF_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_NEEDED_MAX 256
#define ELF_NAMES_MAX  16384

/* What its symbols and its code show. */
enum elf_trait {
  ELF_GO = 1 << 0,         /* built by the Go toolchain, cgo or not */
  ELF_CGO = 1 << 1,        /* ... with C code in it */
  ELF_RUST = 1 << 2,       /* by rustc */
  ELF_DLOPEN = 1 << 3,     /* calls dlopen() */
  ELF_DLMOPEN = 1 << 4,    /* calls dlmopen() */
  ELF_URING = 1 << 5,      /* has or calls liburing's functions */
  ELF_AIO = 1 << 6,        /* has or calls libaio's */
  ELF_SECCOMP = 1 << 7,    /* has or calls libseccomp's */
  ELF_ASAN = 1 << 8,       /* has or calls AddressSanitizer's */
  ELF_TSAN = 1 << 9,       /* ThreadSanitizer's, or another one's that insists on being loaded first */
  ELF_OWN_CALLS = 1 << 10, /* defines connect(), write() or their like itself, for all to see */
};

struct program_elf {
  bool malformed;
  bool foreign;         /* another class, byte order or machine than ours */
  unsigned machine;     /* EM_*, also where it is foreign */
  unsigned bits;        /* 32 or 64; 0: neither */
  bool executable;      /* ET_EXEC or ET_DYN */
  bool pie;             /* ET_DYN */
  bool has_interpreter; /* PT_INTERP: dynamically linked */
  char interpreter[PATH_MAX];
  bool has_dynamic;   /* PT_DYNAMIC */
  unsigned traits;    /* enum elf_trait */
  unsigned own_calls; /* ELF_OWN_CALLS: how many, */
  char own_call[32];  /* and one of them */
  /* DT_NEEDED, RPATH and RUNPATH; "" where there is none. */
  size_t needed_count;
  const char *needed[ELF_NEEDED_MAX]; /* in names: a copied struct points into the original */
  const char *rpath, *runpath;
  /* The newest GLIBC_ version that it wants of libc.so.6, and that it offers; 0: none. 2.36 is 2036. */
  unsigned glibc_wanted, glibc_offered;
  char names[ELF_NAMES_MAX];
  size_t names_used;
};

/* 0, or -1 and errno when fd cannot be read. */
int program_elf_read(int fd, struct program_elf *elf);
/* Is io_uring_setup's number loaded right before a system call, or before a call, anywhere in the code? Reads it all.
 */
bool program_elf_makes_ring(int fd);
/* "x86-64", "AArch64", ...; "machine 1234". */
const char *program_elf_machine(unsigned machine, char room[24]);

#endif
