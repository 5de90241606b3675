/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_program.c - programs that a preloaded library would not reach are refused, before they could talk in
 * plaintext, and the reason names the cause. ELF files are made here, byte by byte, so that no compiler for
 * another language or machine is needed.
 */
#include "agentclient/cli/program.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/svidwrap-test-program-XXXXXX";
static char loader[PATH_MAX]; /* this machine's */
static ElfW(Half) machine;

/* An ELF file in the making: a header, program headers, then what they point to. */
#define IMAGE_MAX 8192
struct image {
  union {
    uint8_t bytes[IMAGE_MAX];
    ElfW(Ehdr) head;
  };
  size_t used;
};

static void add_segment(struct image *im, ElfW(Word) type, ElfW(Word) flags, const void *data, size_t len) {
  ElfW(Phdr) p = {.p_type = type, .p_flags = flags, .p_offset = im->used, .p_filesz = len, .p_memsz = len};
  memcpy(im->bytes + sizeof im->head + im->head.e_phnum * sizeof p, &p, sizeof p);
  im->head.e_phnum++;
  memcpy(im->bytes + im->used, data, len);
  im->used += (len + 15) & ~(size_t)15;
}

static void start(struct image *im) {
  memset(im, 0, sizeof *im);
  memcpy(im->head.e_ident, ELFMAG, SELFMAG);
  im->head.e_ident[EI_CLASS] = __ELF_NATIVE_CLASS == 64 ? ELFCLASS64 : ELFCLASS32;
  im->head.e_ident[EI_DATA] = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
  im->head.e_ident[EI_VERSION] = EV_CURRENT;
  im->head.e_type = ET_DYN;
  im->head.e_machine = machine;
  im->head.e_phoff = sizeof im->head;
  im->head.e_phentsize = sizeof(ElfW(Phdr));
  im->used = 1024; /* room for program headers */
}

/* A dynamically linked program, as far as its headers go. */
static void start_dynamic(struct image *im) {
  start(im);
  add_segment(im, PT_INTERP, PF_R, loader, strlen(loader) + 1);
}

static void start_static(struct image *im) {
  start(im);
  add_segment(im, PT_LOAD, PF_R | PF_X, "code", 4);
}

static char *in_dir(const char *name) {
  static char paths[4][PATH_MAX];
  static unsigned turn;
  char *p = paths[turn++ % 4];
  snprintf(p, PATH_MAX, "%s/%s", dir, name);
  return p;
}

static char *write_file(const char *name, const void *data, size_t len, mode_t mode) {
  char *path = in_dir(name);
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, len), len);
  assert_int_equal(fchmod(fd, mode), 0);
  close(fd);
  return path;
}

static char *write_image(const struct image *im) { return write_file("program", im->bytes, im->used, 0755); }
static char *write_text(const char *name, const char *text) { return write_file(name, text, strlen(text), 0755); }

/* The exit code of `svidwrap run`, and its reason: of the first finding that refuses. */
static int examine(const char *path, char *why, size_t size) {
  struct findings found = {0};
  struct program_setting setting = {.path_env = dir, .guarded = true};
  program_examine(path, &setting, &found);
  const struct finding *no = findings_refusal(&found);
  int code = no ? no->code : 0;
  *why = '\0';
  if (no)
    snprintf(why, size, "%s: %s, %s; %s", no->subject, no->what, no->why, no->cure);
  findings_free(&found);
  return code;
}

static void judged(const char *path, int code, const char *says) {
  char why[PROGRAM_WHY_MAX] = "";
  int got = examine(path, why, sizeof why);
  if (got != code || !strstr(why, says))
    fail_msg("%s: exit %d, wanted %d; said '%s', wanted '%s'", path, got, code, why, says);
}

static int setup(void **state) {
  (void)state;
  static struct program_elf elf;
  ElfW(Ehdr) own;
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (!mkdtemp(dir) || fd < 0 || read(fd, &own, sizeof own) != sizeof own || program_elf_read(fd, &elf) != 0)
    return -1;
  close(fd);
  machine = own.e_machine;
  snprintf(loader, sizeof loader, "%s", elf.interpreter);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  static const char *const names[] = {"program", "s1", "s2", "s3", "a/tool", "b/tool", "a", "b"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    remove(in_dir(names[i]));
  return rmdir(dir);
}

static void an_ordinary_program_is_accepted(void **state) {
  (void)state;
  struct image im;
  static struct program_elf elf;
  start_dynamic(&im);
  judged(write_image(&im), 0, "");
  judged("/proc/self/exe", 0, "");
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  assert_int_equal(program_elf_read(fd, &elf), 0);
  close(fd);
  assert_true(elf.executable && elf.has_interpreter && !(elf.traits & ELF_GO) && !elf.foreign && !elf.malformed);
  im.head.e_type = ET_EXEC;
  judged(write_image(&im), 0, "");
}

static void a_static_program_is_refused_pie_or_not(void **state) {
  (void)state;
  struct image im;
  start_static(&im);
  judged(write_image(&im), 65, "statically linked");
  im.head.e_type = ET_EXEC;
  judged(write_image(&im), 65, "statically linked");
}

static void a_go_program_is_refused_by_its_note(void **state) {
  (void)state;
  struct image im;
  struct {
    ElfW(Nhdr) other;
    char other_name[4], other_desc[4];
    ElfW(Nhdr) go;
    char go_name[4], go_desc[8];
  } notes = {{4, 3, 3}, "GNU", "abc", {4, 7, 4}, "Go\0", "buildid"};
  start_dynamic(&im);
  add_segment(&im, PT_NOTE, PF_R, &notes, sizeof notes);
  judged(write_image(&im), 65, "Go program");
  notes.go.n_type = 3;
  start_dynamic(&im);
  add_segment(&im, PT_NOTE, PF_R, &notes, sizeof notes);
  judged(write_image(&im), 0, "");
}

static void a_go_program_without_notes_and_sections_is_refused_by_its_data(void **state) {
  (void)state;
  struct image im;
  uint8_t data[64] = {0};
  memcpy(data + 32, "\xff Go buildinf:", 14);
  start_dynamic(&im);
  add_segment(&im, PT_LOAD, PF_R | PF_W, data, sizeof data);
  judged(write_image(&im), 65, "Go program");
}

static void a_go_program_is_refused_by_its_sections(void **state) {
  (void)state;
  static const char *const names[] = {".go.buildinfo", ".note.go.buildid", ".data"};
  for (size_t i = 0; i < 3; i++) {
    struct image im;
    char strings[32] = "";
    ElfW(Shdr) sections[2] = {{.sh_name = 1}, {.sh_type = SHT_STRTAB}};
    start_dynamic(&im);
    snprintf(strings + 1, sizeof strings - 1, "%s", names[i]);
    sections[1].sh_offset = im.used;
    sections[1].sh_size = sizeof strings;
    memcpy(im.bytes + im.used, strings, sizeof strings);
    im.used += sizeof strings;
    im.head.e_shoff = im.used;
    im.head.e_shnum = 2;
    im.head.e_shentsize = sizeof *sections;
    im.head.e_shstrndx = 1;
    memcpy(im.bytes + im.used, sections, sizeof sections);
    im.used += sizeof sections;
    judged(write_image(&im), i < 2 ? 65 : 0, i < 2 ? "Go program" : "");
  }
}

static void a_program_for_another_c_library_is_refused(void **state) {
  (void)state;
  struct image im;
  static const char musl[] = "/lib/ld-musl-x86_64.so.1";
  start(&im);
  add_segment(&im, PT_INTERP, PF_R, musl, sizeof musl);
  judged(write_image(&im), 65, "musl");
  static const char other[] = "/system/bin/linker64";
  start(&im);
  add_segment(&im, PT_INTERP, PF_R, other, sizeof other);
  judged(write_image(&im), 65, "its loader is not glibc's");
}

static void another_class_byte_order_or_machine_is_refused(void **state) {
  (void)state;
  struct image im;
  start_dynamic(&im);
  im.head.e_machine = machine == EM_AARCH64 ? EM_X86_64 : EM_AARCH64;
  judged(write_image(&im), 65, "another architecture");
  start_dynamic(&im);
  im.head.e_ident[EI_CLASS] = __ELF_NATIVE_CLASS == 64 ? ELFCLASS32 : ELFCLASS64;
  judged(write_image(&im), 65, "another architecture");
  start_dynamic(&im);
  im.head.e_ident[EI_DATA] = ELFDATA2MSB + ELFDATA2LSB - im.head.e_ident[EI_DATA];
  judged(write_image(&im), 65, "another architecture");
}

static void a_missing_loader_is_not_found(void **state) {
  (void)state;
  struct image im;
  static const char none[] = "/nonexistent/ld-linux.so.2";
  start(&im);
  add_segment(&im, PT_INTERP, PF_R, none, sizeof none);
  judged(write_image(&im), 127, "its loader /nonexistent/ld-linux.so.2: No such file");
}

static void setuid_setgid_and_capabilities_are_refused_unless_nothing_changes(void **state) {
  (void)state;
  struct image im;
  char why[PROGRAM_WHY_MAX];
  start_dynamic(&im);
  char *path = write_image(&im);
  assert_int_equal(chmod(path, 04755), 0);
  judged(path, 0, ""); /* setuid to the user who runs it already */
  if (geteuid() != 0) {
    print_message("the rest needs root\n");
    skip();
  }
  assert_int_equal(chown(path, 65534, 0), 0);
  assert_int_equal(chmod(path, 04755), 0);
  judged(path, 65, "setuid to another user");
  assert_int_equal(chown(path, 0, 65534), 0);
  assert_int_equal(chmod(path, 02755), 0);
  judged(path, 65, "setgid to another group");
  assert_int_equal(chmod(path, 02745), 0); /* without group execution it means mandatory locking */
  judged(path, 0, "");
  uint32_t caps[5] = {0x02000000, 1u << 10, 0, 0, 0}; /* VFS_CAP_REVISION_2: CAP_NET_BIND_SERVICE */
  assert_int_equal(chmod(path, 0755), 0);
  if (setxattr(path, "security.capability", caps, sizeof caps, 0) != 0) {
    print_message("no file capabilities on this file system\n");
    skip();
  }
  judged(path, 0, ""); /* root has them anyway, and the loader still preloads */
  pid_t pid = fork();
  if (pid == 0) {
    /* the directory is root's alone: the open file stands for the path */
    int fd = open(path, O_RDONLY);
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (chmod(dir, 0755) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
      _exit(2);
    _exit(examine(path, why, sizeof why) == 65 && strstr(why, "file capabilities") ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

static void a_process_with_changed_ids_is_refused(void **state) {
  (void)state;
  if (geteuid() != 0) {
    print_message("needs root\n");
    skip();
  }
  pid_t pid = fork();
  if (pid == 0) {
    char why[PROGRAM_WHY_MAX];
    if (setresuid((uid_t)-1, 65534, (uid_t)-1) != 0)
      _exit(2);
    _exit(examine("/bin/ls", why, sizeof why) == 65 && strstr(why, "changed ids") ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

static void a_script_is_judged_by_its_interpreter(void **state) {
  (void)state;
  struct image im;
  char line[PATH_MAX + 64];
  start_static(&im);
  snprintf(line, sizeof line, "#!%s -x\n", write_image(&im));
  judged(write_text("s1", line), 65, "statically linked");
  judged(write_text("s1", "#! /bin/sh -e\necho\n"), 0, "");
  judged(write_text("s1", "#!/nonexistent/sh\n"), 127, "/nonexistent/sh");
  judged(write_text("s1", "#!\n"), 126, "names no interpreter");
  judged(write_text("s1", "#!/bin/sh\r\n"), 127, "s1: its interpreter");
  judged(write_text("s1", "echo hello\n"), 126, "neither an ELF program nor a script");
  judged(write_text("s1", ""), 126, "neither an ELF program nor a script");
}

static void env_in_a_script_is_looked_through(void **state) {
  (void)state;
  struct image im;
  start_static(&im); /* found in PATH as "program" */
  write_image(&im);
  static const char *const lines[] = {
      "#!/usr/bin/env program\n",        "#!/usr/bin/env -S program -u\n",      "#!/usr/bin/env -Sprogram\n",
      "#!/usr/bin/env -i A=b program\n", "#!/usr/bin/env -S -u HOME program x", "#! /usr/bin/env\tprogram\n"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    judged(write_text("s1", lines[i]), 65, "statically linked");
  judged(write_text("s1", "#!/usr/bin/env nonesuch\n"), 127, "nonesuch: not found in PATH");
}

static void scripts_of_scripts_are_followed_and_loops_end(void **state) {
  (void)state;
  struct image im;
  char line[PATH_MAX + 8];
  start_static(&im);
  snprintf(line, sizeof line, "#!%s\n", write_image(&im));
  snprintf(line, sizeof line, "#!%s\n", write_text("s1", line));
  judged(write_text("s2", line), 65, "statically linked");
  snprintf(line, sizeof line, "#!%s\n", in_dir("s3"));
  judged(write_text("s3", line), 126, "too many times over");
}

/* Every field that points or counts, at its worst; and the file cut off at every length. */
static void a_hostile_elf_file_is_judged_without_harm(void **state) {
  (void)state;
  struct image good, im;
  static struct program_elf elf;
  static const uint8_t note[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 'G', 'o', 0, 0};
  start_dynamic(&good);
  add_segment(&good, PT_NOTE, PF_R, note, sizeof note);
  add_segment(&good, PT_LOAD, PF_W, note, sizeof note);
  judged(write_image(&good), 0, "");
  for (size_t len = 0; len < good.used; len++) {
    int fd = open(write_file("program", good.bytes, len, 0755), O_RDONLY | O_CLOEXEC);
    assert_int_equal(program_elf_read(fd, &elf), 0);
    close(fd);
  }
  for (size_t at = EI_NIDENT; at < 1024; at++) {
    im = good;
    im.bytes[at] ^= 0xff;
    int fd = open(write_image(&im), O_RDONLY | O_CLOEXEC);
    assert_int_equal(program_elf_read(fd, &elf), 0);
    close(fd);
  }
  im = good;
  im.head.e_phoff = (ElfW(Off)) - 1;
  judged(write_image(&im), 65, "make no sense");
  im = good;
  im.head.e_phnum = 0xffff;
  judged(write_image(&im), 65, "make no sense");
  im = good;
  memset(im.bytes + im.head.e_phoff + offsetof(ElfW(Phdr), p_filesz), 0xff, sizeof(ElfW(Xword)));
  judged(write_image(&im), 65, "make no sense");
  im = good;
  im.head.e_type = ET_CORE;
  judged(write_image(&im), 65, "make no sense");
}

static void a_program_is_found_as_a_shell_finds_it(void **state) {
  (void)state;
  char path[PATH_MAX], why[PROGRAM_WHY_MAX], both[2 * PATH_MAX + 2];
  assert_int_equal(mkdir(in_dir("a"), 0700), 0);
  assert_int_equal(mkdir(in_dir("b"), 0700), 0);
  write_file("a/tool", "x", 1, 0644);
  snprintf(both, sizeof both, "%s:%s", in_dir("a"), in_dir("b"));
  assert_int_equal(program_find("tool", both, path, why, sizeof why), 126);
  assert_non_null(strstr(why, "Permission denied"));
  write_file("b/tool", "x", 1, 0755);
  assert_int_equal(program_find("tool", both, path, why, sizeof why), 0);
  assert_string_equal(path, in_dir("b/tool"));
  assert_int_equal(program_find(in_dir("b/tool"), "", path, why, sizeof why), 0);
  assert_int_equal(program_find(in_dir("a/tool"), both, path, why, sizeof why), 126);
  assert_int_equal(program_find("nonesuch", both, path, why, sizeof why), 127);
  assert_int_equal(program_find("", both, path, why, sizeof why), 127);
  assert_int_equal(program_find(in_dir("a"), both, path, why, sizeof why), 126);
  assert_int_equal(program_find(in_dir("c/tool"), both, path, why, sizeof why), 127);
  assert_int_equal(program_find("sh", NULL, path, why, sizeof why), 0);
  char cwd[PATH_MAX];
  assert_non_null(getcwd(cwd, sizeof cwd));
  assert_int_equal(chdir(in_dir("b")), 0);
  assert_int_equal(program_find("tool", "", path, why, sizeof why), 0);
  assert_string_equal(path, "./tool");
  assert_int_equal(chdir(cwd), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_ordinary_program_is_accepted),
      cmocka_unit_test(a_static_program_is_refused_pie_or_not),
      cmocka_unit_test(a_go_program_is_refused_by_its_note),
      cmocka_unit_test(a_go_program_without_notes_and_sections_is_refused_by_its_data),
      cmocka_unit_test(a_go_program_is_refused_by_its_sections),
      cmocka_unit_test(a_program_for_another_c_library_is_refused),
      cmocka_unit_test(another_class_byte_order_or_machine_is_refused),
      cmocka_unit_test(a_missing_loader_is_not_found),
      cmocka_unit_test(setuid_setgid_and_capabilities_are_refused_unless_nothing_changes),
      cmocka_unit_test(a_process_with_changed_ids_is_refused),
      cmocka_unit_test(a_script_is_judged_by_its_interpreter),
      cmocka_unit_test(env_in_a_script_is_looked_through),
      cmocka_unit_test(scripts_of_scripts_are_followed_and_loops_end),
      cmocka_unit_test(a_hostile_elf_file_is_judged_without_harm),
      cmocka_unit_test(a_program_is_found_as_a_shell_finds_it),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
