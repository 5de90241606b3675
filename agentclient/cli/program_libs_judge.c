/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_libs_judge.c - what a program and its libraries bring along that svidwrap does not reach, or has to treat
 * otherwise: io_uring, kernel aio, Go code, plugins, seccomp filters, another glibc.
 */
#include "program.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct sum {
  const struct program_facts *facts;
  struct findings *out;
  unsigned traits; /* of all */
  char uring[PATH_MAX], aio[PATH_MAX], seccomp[PATH_MAX], plugins[PATH_MAX];
  char libc[PATH_MAX];
  unsigned libc_offers, libraries;
  bool shared_asan;
};

static void remember(char where[PATH_MAX], const char *path) {
  if (!*where)
    snprintf(where, PATH_MAX, "%s", path);
}

static bool named(const char *name, const char *begins) { return strncmp(name, begins, strlen(begins)) == 0; }

/* The C library and what belongs to it load plugins of their own (NSS, iconv), and bring every call that there is. */
static bool is_libc(const char *name) {
  static const char *const parts[] = {"libc.so.",      "libdl.so.",     "libpthread.so.", "libm.so.",
                                      "libresolv.so.", "libstdc++.so.", "libgcc_s.so.",   "librt.so."};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (named(name, parts[i]))
      return true;
  return false;
}

static void look(struct sum *s, const char *name, const char *path, const struct program_elf *elf) {
  s->traits |= elf->traits;
  if (elf->traits & ELF_URING)
    remember(s->uring, path);
  if ((elf->traits & ELF_AIO) && !named(name, "libaio"))
    remember(s->aio, path);
  if ((elf->traits & ELF_SECCOMP) && !named(name, "libseccomp"))
    remember(s->seccomp, path);
  if ((elf->traits & (ELF_DLOPEN | ELF_DLMOPEN)) && !is_libc(name) && !program_is_sanitizer(name))
    remember(s->plugins, path);
}

static void found(void *arg, const struct program_library *lib, const struct program_elf *elf) {
  struct sum *s = arg;
  s->libraries++;
  look(s, lib->name, lib->path, elf);
  if (named(lib->name, "libc.so.")) {
    s->libc_offers = elf->glibc_offered;
    remember(s->libc, lib->path);
  }
  if (named(lib->name, "libasan.so") || named(lib->name, "libclang_rt.asan"))
    s->shared_asan = true;
  if (elf->traits & ELF_GO)
    findings_add(
        s->out, FINDING_CANNOT, "go", lib->path, "it loads a library that is written in Go",
        "and Go makes its system calls itself, past the C library, where nothing that is preloaded sees them",
        "use a build without it");
  if (named(lib->name, "libc.musl"))
    findings_add(s->out, FINDING_CANNOT, "musl", lib->path, "it loads the musl C library",
                 "and svidwrap's library is made for glibc", "use a glibc build of it");
}

static void missing(void *arg, const struct program_library *lib, const struct program_elf *elf) {
  struct sum *s = arg;
  (void)elf;
  char text[600];
  snprintf(text, sizeof text, "%s, which it needs, is not found where the loader looks", lib->name);
  findings_add(s->out, FINDING_UNKNOWN, "library", lib->by, text, "so it would not start without svidwrap either",
               "install it, or set LD_LIBRARY_PATH as the program's own start script does");
}

static void judge_glibc(const struct sum *s, const struct program_setting *setting) {
  if (!setting->glibc_wanted || !s->libc_offers)
    return;
  char text[200], why[200];
  snprintf(text, sizeof text, "its C library is glibc %u.%u", s->libc_offers / 1000, s->libc_offers % 1000);
  snprintf(why, sizeof why, "and svidwrap's library needs %u.%u or newer", setting->glibc_wanted / 1000,
           setting->glibc_wanted % 1000);
  if (s->libc_offers >= setting->glibc_wanted)
    findings_add(s->out, FINDING_OK, "glibc", s->libc, text, why, NULL);
  else
    findings_add(s->out, FINDING_CANNOT, "glibc", s->libc, text, why,
                 "run it on a newer system, or build svidwrap on one as old as this");
}

static void judge_plugins(const struct sum *s) {
  if (!*s->plugins)
    return;
  findings_add(
      s->out, FINDING_UNKNOWN, "plugins", s->plugins,
      s->traits & ELF_DLMOPEN ? "it loads libraries while it runs (dlopen, dlmopen)"
                              : "it loads libraries while it runs (dlopen)",
      "which cannot be looked at beforehand; svidwrap takes RTLD_DEEPBIND off them and refuses a namespace of "
      "their own, but one in Go or with calls of its own would pass it by",
      NULL);
}

static void judge_rings(const struct sum *s, const struct program_setting *setting) {
  if (!*s->uring || !setting->guarded)
    return;
  if (setting->io_uring_unsafe)
    findings_add(s->out, FINDING_COST, "io_uring", s->uring, "it uses io_uring, and the configuration lets it",
                 "so what it sends and receives that way leaves in PLAINTEXT", "take io_uring: allow-unsafe out");
  else
    findings_add(s->out, FINDING_COST, "io_uring", s->uring, "it uses io_uring, which svidwrap keeps out of reach",
                 "so it has to fall back to epoll, as on a kernel without io_uring",
                 "turn io_uring off in its own settings where it does not by itself");
}

bool program_judge_libraries(const struct program_facts *f, const struct program_setting *setting,
                             struct findings *out) {
  static struct sum s;
  s = (struct sum){.facts = f, .out = out};
  look(&s, "", f->path, &f->elf);
  program_libraries(f->path, &f->elf, found, missing, &s);
  findings_say(out, FINDING_OK, "libraries", f->path, "%u libraries that it loads were looked at", s.libraries);
  judge_glibc(&s, setting);
  judge_rings(&s, setting);
  if (*s.aio)
    findings_add(out, FINDING_UNKNOWN, "aio", s.aio, "it uses the kernel's asynchronous I/O (libaio)",
                 "which is fine for files; a protected connection that it is used on goes through the daemon (relay)",
                 NULL);
  if (*s.seccomp)
    findings_add(
        out, strcmp(s.seccomp, f->path) == 0 ? FINDING_COST : FINDING_UNKNOWN, "seccomp", s.seccomp,
        "it restricts its own system calls (libseccomp)",
        "and svidwrap's library needs some that it may not expect: socket, connect, sendmsg and recvmsg on unix "
        "sockets, memfd_create, mmap, dup3, fcntl, getsockopt, futex",
        "allow these, or turn its sandbox off");
  judge_plugins(&s);
  return s.shared_asan;
}
