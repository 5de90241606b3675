/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - can this program be wrapped?
 *
 * A preloaded library does not reach every program. One that it does not reach would talk in plaintext
 * without anybody noticing, so `svidwrap run` refuses it and says why.
 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define PROGRAM_WHY_MAX 1024

/* Finds name as execvp(3) does: along path_env (NULL: /usr/local/bin:/usr/bin:/bin), or as it is when it holds
 * a '/'. 0 and the path, or an exit code and a reason: 127 not found, 126 not executable. */
int program_find(const char *name, const char *path_env, char path[PATH_MAX], char *why, size_t why_len);

/* Looks at the file, and for a script at its interpreter (path_env is for "#!/usr/bin/env NAME"). 0: it can be
 * wrapped; else an exit code (65; 126; 127) and a reason that names the cause and what to do instead. */
int program_check(const char *path, const char *path_env, char *why, size_t why_len);

/* What program_elf_read() finds out about an ELF file. */
struct program_elf {
  bool malformed;
  bool foreign;         /* another class, byte order or machine than ours */
  bool executable;      /* ET_EXEC or ET_DYN */
  bool has_interpreter; /* PT_INTERP: dynamically linked */
  char interpreter[PATH_MAX];
  bool go; /* built by the Go toolchain, cgo or not */
};
/* 0, or -1 and errno when fd cannot be read. Never trusts an offset or a length in the file. */
int program_elf_read(int fd, struct program_elf *elf);

#endif
