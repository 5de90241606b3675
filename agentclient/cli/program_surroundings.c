/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_surroundings.c - what holds for any program that is started from here: libraries that the environment has
 * the loader bring along, and whether io_uring can be put out of reach.
 */
#include "program.h"

#include "../../shim/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static struct program_elf elf; /* of one library at a time */

static bool readable(void *arg, const char *path) {
  (void)arg;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  bool good = fd >= 0 && program_elf_read(fd, &elf) == 0 && !elf.foreign && !elf.malformed;
  if (fd >= 0)
    close(fd);
  return good;
}

static void preloaded(void *arg, const char *name) {
  struct findings *out = arg;
  if (program_is_shim(name))
    return;
  if (!(strchr(name, '/') ? readable(NULL, name) : program_cache_find(name, readable, NULL)))
    findings_add(out, FINDING_UNKNOWN, "preload", name,
                 "LD_PRELOAD names it, and it is not a library that can be read",
                 "so the loader leaves it out with a warning", "take it out of LD_PRELOAD");
  else if (elf.traits & ELF_GO)
    findings_add(out, FINDING_CANNOT, "preload", name, "LD_PRELOAD names a library that is written in Go",
                 "and Go makes its system calls itself, past svidwrap", "take it out of LD_PRELOAD");
  else if (program_is_sanitizer(name))
    findings_add(out, FINDING_OK, "preload", name, "LD_PRELOAD names it, and it stays before svidwrap's library",
                 "as sanitizers must", NULL);
  else if (elf.traits & ELF_OWN_CALLS)
    findings_say(
        out, FINDING_COST, "preload", name,
        "LD_PRELOAD names it, and it brings calls that svidwrap brings, too (%s): svidwrap's are taken, and go on "
        "to it",
        elf.own_call);
  else
    findings_add(out, FINDING_OK, "preload", name, "LD_PRELOAD names it, and it is loaded behind svidwrap's library",
                 NULL, NULL);
}

/* In a child: a filter cannot be taken back. */
static void judge_guard(const struct program_setting *setting, struct findings *out) {
  char why[256] = "fork failed";
  int ends[2], status = -1;
  if (setting->io_uring_unsafe) {
    findings_add(out, FINDING_COST, "io_uring", "", "the configuration says io_uring: allow-unsafe",
                 "so a program that uses io_uring sends in PLAINTEXT that way",
                 "take it out, unless the programs do not use io_uring");
    return;
  }
  if (pipe2(ends, O_CLOEXEC) != 0)
    return;
  pid_t pid = fork();
  if (pid == 0) {
    int rc = guard_install(true, why, sizeof why);
    if (rc != 0 && write(ends[1], why, strlen(why)) < 0)
      _exit(2);
    _exit(rc != 0 ? 1 : 0);
  }
  close(ends[1]);
  if (pid > 0 && waitpid(pid, &status, 0) == pid && status != 0) {
    ssize_t n = read(ends[0], why, sizeof why - 1);
    why[n > 0 ? n : 0] = '\0';
  }
  close(ends[0]);
  if (status != 0)
    findings_refuse(out, EX_OSERR, "io_uring", "", "io_uring cannot be put out of the program's reach", why,
                    "if the program does not use it, say so with io_uring: allow-unsafe in the configuration");
  else
    findings_add(out, FINDING_OK, "io_uring", "", "io_uring is put out of reach by a seccomp filter",
                 "for which no_new_privs is set: setuid programs that it starts gain nothing by it", NULL);
}

void program_surroundings(const struct program_setting *setting, struct findings *out) {
  const char *audit = getenv("LD_AUDIT"), *list = getenv("LD_PRELOAD");
  char *more = NULL;
  size_t size = 0;
  program_preload_each(list, preloaded, out);
  FILE *f = fopen("/etc/ld.so.preload", "re");
  if (f && getdelim(&more, &size, '\0', f) > 0) {
    for (char *c = more; *c; c++)
      if (*c == '\n' || *c == '\t')
        *c = ' ';
    program_preload_each(more, preloaded, out);
  }
  free(more);
  if (f)
    fclose(f);
  if (audit && *audit)
    findings_add(out, FINDING_COST, "audit", audit, "LD_AUDIT names it, and it lives in a namespace of its own",
                 "so what it sends itself is not protected (the program's own calls are)", "unset LD_AUDIT");
  if (setting->guarded)
    judge_guard(setting, out);
}
