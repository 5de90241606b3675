/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preloads.c - looks at the head of a file as execve() and ld.so will. It executes nothing and allocates nothing.
 */
#include "preloads.h"

#include "libc.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HEAD    4096
#define SCRIPTS 4 /* a script's interpreter may be a script; the kernel stops there, too */

/* The header of this very library. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static bool is_plain(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & (S_ISUID | S_ISGID)) &&
         fgetxattr(fd, "security.capability", NULL, 0) < 0;
}

/* "#! interpreter argument": the interpreter, ended where it is. NULL: nonsense. */
static char *interpreter(char *head, size_t n) {
  head[n < HEAD ? n : HEAD - 1] = 0;
  char *path = head + 2 + strspn(head + 2, " \t");
  path[strcspn(path, " \t\r\n")] = 0;
  return *path ? path : NULL;
}

static bool linked_by_glibc(int fd, const char *head, size_t n) {
  ElfW(Ehdr) e;
  char linker[256];
  memcpy(&e, head, sizeof e);
  if (memcmp(e.e_ident, __ehdr_start.e_ident, EI_DATA + 1) != 0 || e.e_machine != __ehdr_start.e_machine ||
      e.e_phentsize != sizeof(ElfW(Phdr)))
    return false;
  for (size_t i = 0; i < e.e_phnum && e.e_phoff + (i + 1) * sizeof(ElfW(Phdr)) <= n; i++) {
    ElfW(Phdr) p;
    memcpy(&p, head + e.e_phoff + i * sizeof p, sizeof p);
    if (p.p_type != PT_INTERP || p.p_filesz == 0 || p.p_filesz > sizeof linker)
      continue;
    ssize_t got = pread(fd, linker, p.p_filesz, (off_t)p.p_offset);
    linker[sizeof linker - 1] = 0;
    return got == (ssize_t)p.p_filesz && strstr(linker, "/ld-linux") != NULL;
  }
  return false;
}

bool preloads(const char *path) {
  char head[HEAD];
  if (getuid() != geteuid() || getgid() != getegid())
    return false; /* ld.so would take nobody's word for it */
  for (int scripts = 0; path && scripts <= SCRIPTS; scripts++) {
    int fd = (int)libc_real()->syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
      return false;
    bool plain = is_plain(fd);
    ssize_t n = plain ? pread(fd, head, sizeof head, 0) : -1;
    bool script = n > 2 && head[0] == '#' && head[1] == '!';
    bool yes = !script && n >= (ssize_t)sizeof(ElfW(Ehdr)) && linked_by_glibc(fd, head, (size_t)n);
    libc_real()->close(fd);
    if (!script)
      return yes;
    path = interpreter(head, (size_t)n);
  }
  return false;
}
