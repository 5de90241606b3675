/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - can this program be wrapped, and what will be different?
 *
 * A preloaded library does not reach every program. One that it does not reach would talk in plaintext
 * without anybody noticing, so `svidwrap run` refuses it and says why; `svidwrap check` says it beforehand.
 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include "findings.h"
#include "program_elf.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define PROGRAM_WHY_MAX        1024
#define PROGRAM_NOT_EXECUTABLE 126
#define PROGRAM_NOT_FOUND      127

/* Finds name as execvp(3) does: along path_env (NULL: /usr/local/bin:/usr/bin:/bin), or as it is when it holds
 * a '/'. 0 and the path, or an exit code and a reason: 127 not found, 126 not executable. */
int program_find(const char *name, const char *path_env, char path[PATH_MAX], char *why, size_t why_len);

/* What the answer depends on beside the file. */
struct program_setting {
  const char *path_env;  /* for "#!/usr/bin/env NAME" */
  unsigned glibc_wanted; /* by svidwrap's library; 0: not known */
  bool guarded;          /* some rule wants protection: nothing may pass svidwrap by */
  bool io_uring_unsafe;  /* the configuration lets rings through */
};

/* Looks at the file, for a script at its interpreter, and at the libraries that it loads; adds what there is to say.
 * true: AddressSanitizer's library is among them, which insists on being the first unless it is told not to. */
bool program_examine(const char *path, const struct program_setting *setting, struct findings *out);

/* ---- its parts -------------------------------------------------------------------------------------------- */

struct program_facts {
  const char *path;
  struct stat st;
  bool nosuid; /* the file system ignores setuid and capabilities */
  bool file_capabilities;
  struct program_elf elf;
};
/* An ELF file that is to be executed. false: refused, and nothing more need be said. */
bool program_judge(const struct program_facts *f, struct findings *out);

/* Everything that the loader will load for it, as ld.so(8) finds it, at most PROGRAM_LIBRARIES_MAX. */
#define PROGRAM_LIBRARIES_MAX 1024
struct program_library {
  char path[PATH_MAX];
  const char *name; /* as it was asked for */
  const char *by;   /* path of who asked for it */
};
typedef void (*program_library_fn)(void *arg, const struct program_library *lib, const struct program_elf *elf);
/* each is called for every library that is found, missing for every other. */
void program_libraries(const char *path, const struct program_elf *elf, program_library_fn each,
                       program_library_fn missing, void *arg);
/* In /etc/ld.so.cache: calls take for every path of that name until it says true. */
bool program_cache_find(const char *name, bool (*take)(void *arg, const char *path), void *arg);

/* The libraries as a finding or more. true: as program_examine(). */
bool program_judge_libraries(const struct program_facts *f, const struct program_setting *setting,
                             struct findings *out);
/* What holds for any program here: LD_PRELOAD, LD_AUDIT, seccomp. */
void program_surroundings(const struct program_setting *setting, struct findings *out);

/* ---- svidwrap's own library ------------------------------------------------------------------------------- */

/* Where libsvidwrap.so is: beside the binary, in ../lib/svidwrap, or under the prefix; self: this binary. 0, or an
 * exit code and a reason: there is none, or one that the loader would refuse. elf may be NULL. */
int program_shim(char self[PATH_MAX], char shim[PATH_MAX], struct program_elf *elf, char *why, size_t why_len);
/* The LD_PRELOAD that a program is to have: of what there is (old, or NULL) the sanitizers, which must be first; then
 * shim; then the rest, in its order, but another copy of ours. malloc()ed, or NULL. */
char *program_preload(const char *shim, const char *old);
/* Calls fn for every library in an LD_PRELOAD. */
void program_preload_each(const char *list, void (*fn)(void *arg, const char *name), void *arg);
/* By its file name: ours; one that must be loaded first. */
bool program_is_shim(const char *name);
bool program_is_sanitizer(const char *name);

#endif
