/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_judge.c - does a preloaded library reach this ELF program? A table of what stands in its way, in the order
 * in which it is looked at; texts name the cause and what to do instead.
 */
#include "program.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef const struct program_facts *facts;

static bool changed_ids(facts f) {
  (void)f;
  return getuid() != geteuid() || getgid() != getegid();
}
static bool setuid_to_another(facts f) {
  return !f->nosuid && (f->st.st_mode & S_ISUID) && f->st.st_uid != geteuid();
}
static bool setgid_to_another(facts f) {
  return !f->nosuid && (f->st.st_mode & S_ISGID) && (f->st.st_mode & S_IXGRP) && f->st.st_gid != getegid();
}
static bool gains_capabilities(facts f) { return !f->nosuid && f->file_capabilities && getuid() != 0; }
static bool foreign(facts f) { return f->elf.foreign; }
static bool malformed(facts f) { return !f->elf.foreign && (f->elf.malformed || !f->elf.executable); }
static bool sound(facts f) { return !foreign(f) && !malformed(f); }
static bool go(facts f) { return sound(f) && (f->elf.traits & ELF_GO); }
static bool go_static(facts f) { return go(f) && !f->elf.has_interpreter; }
static bool go_cgo(facts f) { return go(f) && f->elf.has_interpreter && (f->elf.traits & ELF_CGO); }
static bool go_dynamic(facts f) { return go(f) && f->elf.has_interpreter && !(f->elf.traits & ELF_CGO); }
static bool bare(facts f) { return sound(f) && !go(f) && !f->elf.has_interpreter; }
static bool static_rust(facts f) { return bare(f) && (f->elf.traits & ELF_RUST); }
static bool static_pie(facts f) { return bare(f) && !static_rust(f) && f->elf.has_dynamic; }
static bool is_static(facts f) { return bare(f) && !static_rust(f) && !static_pie(f); }
static bool loader_begins(facts f, const char *name) {
  const char *base = strrchr(f->elf.interpreter, '/');
  return strncmp(base ? base + 1 : f->elf.interpreter, name, strlen(name)) == 0;
}
static bool musl(facts f) { return sound(f) && f->elf.has_interpreter && loader_begins(f, "ld-musl"); }
static bool not_glibc(facts f) {
  static const char *const glibc[] = {"ld-linux", "ld64.so.", "ld.so.", "ld-2."};
  for (size_t i = 0; i < sizeof glibc / sizeof *glibc; i++)
    if (loader_begins(f, glibc[i]))
      return false;
  return sound(f) && f->elf.has_interpreter && !musl(f);
}
/* One may be a function of the program's own that happens to be called so (a parser's accept()); several are a C
 * library. */
#define A_C_LIBRARY 4
static bool own_calls(facts f) {
  return f->elf.own_calls >= A_C_LIBRARY && sound(f) && f->elf.has_interpreter && !go(f) &&
         (f->elf.traits & ELF_OWN_CALLS) &&
         !(f->elf.traits & (ELF_ASAN | ELF_TSAN)); /* whose own pass everything on */
}

#define GO_WHY                                                                                                       \
  "and Go makes its system calls itself, past the C library, where nothing that is preloaded sees them (with cgo "   \
  "too)"
#define GO_CURE    "have it use the go-spiffe library, or put a wrapped proxy (nginx, haproxy) in front"
#define STATIC_WHY "so nothing can be preloaded into it"
#define LOADER_WHY "so the dynamic loader will not preload anything into it"

static const struct {
  bool (*applies)(facts);
  const char *id, *what, *why, *cure;
} checks[] = {
    {changed_ids, "changed-ids", "this process runs with changed ids (its effective and real uid or gid differ)",
     "so the dynamic loader will not preload anything", "start svidwrap from a process whose ids are equal"},
    {setuid_to_another, "setuid", "it is setuid to another user", LOADER_WHY,
     "start svidwrap as that user (sudo, runuser, User= of systemd) instead"},
    {setgid_to_another, "setgid", "it is setgid to another group", LOADER_WHY,
     "start svidwrap with that group instead"},
    {gains_capabilities, "capabilities", "it has file capabilities", LOADER_WHY,
     "remove them (setcap -r) and give svidwrap the capabilities instead (AmbientCapabilities= of systemd, setpriv "
     "--ambient-caps)"},
    {foreign, "architecture", "it is built for another architecture or word size than svidwrap", "",
     "use a build of it for this machine, or a svidwrap built for its architecture"},
    {malformed, "format", "its ELF headers make no sense (is the file complete?)", "", ""},
    {go_static, "go", "it is a Go program, statically linked", GO_WHY, GO_CURE},
    {go_cgo, "go", "it is a Go program with cgo, dynamically linked", GO_WHY, GO_CURE},
    {go_dynamic, "go", "it is a Go program, dynamically linked", GO_WHY, GO_CURE},
    {static_rust, "static", "it is a Rust program, statically linked (the musl target, or crt-static)", STATIC_WHY,
     "build it for a -gnu target without crt-static"},
    {static_pie, "static", "it is statically linked, its C library included (static-pie)", STATIC_WHY,
     "use a dynamically linked build of it"},
    {is_static, "static", "it is statically linked", STATIC_WHY, "use a dynamically linked build of it"},
    {musl, "musl", "it is built for the musl C library and svidwrap's library for glibc", "",
     "use a glibc build of it (a Debian-based image instead of an Alpine-based one)"},
    {not_glibc, "loader", "its loader is not glibc's, and svidwrap's library is made for glibc", "",
     "use a glibc build of it"},
    {own_calls, "own-calls", "it brings the calls of the C library itself (%s and others)",
     "and an executable's come before those of a preloaded library", "link it with the C library as a shared one"},
};

bool program_judge(const struct program_facts *f, struct findings *out) {
  bool refused = false;
  char room[24], text[256];
  for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
    if (!checks[i].applies(f))
      continue;
    snprintf(text, sizeof text, "%s", checks[i].what);
    if (f->elf.foreign && checks[i].applies == foreign)
      snprintf(text, sizeof text, "%s (%u-bit, %s)", checks[i].what, f->elf.bits,
               program_elf_machine(f->elf.machine, room));
    else if (checks[i].applies == own_calls)
      snprintf(text, sizeof text, "it brings the calls of the C library itself (%s and others)", f->elf.own_call);
    findings_add(out, FINDING_CANNOT, checks[i].id, f->path, text, checks[i].why, checks[i].cure);
    refused = true;
  }
  if (refused)
    return false;
  if (access(f->elf.interpreter, X_OK) != 0) {
    snprintf(text, sizeof text, "its loader %.150s: %s", f->elf.interpreter, strerror(errno));
    findings_refuse(out, PROGRAM_NOT_FOUND, "loader", f->path, text, NULL, NULL);
    return false;
  }
  if ((f->elf.traits & ELF_OWN_CALLS) && !(f->elf.traits & (ELF_ASAN | ELF_TSAN))) {
    snprintf(text, sizeof text, "it has a function %s() of its own", f->elf.own_call);
    findings_add(out, FINDING_UNKNOWN, "own-calls", f->path, text,
                 "so where it means the C library's, svidwrap is passed by", "rename it if it is a wrapper of that");
  }
  findings_say(out, FINDING_OK, "program", f->path, "an ELF program for %s, dynamically linked by %s",
               program_elf_machine(f->elf.machine, room), f->elf.interpreter);
  return true;
}
