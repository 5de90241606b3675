/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rewrite.c - a file gets another text all at once, keeps what it was apart from that, and whatever goes wrong
 * leaves it as it is and nothing beside it.
 */
#include "agentclient/cli/rewrite.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[128], link_path[128], why[512];
static struct rewrite r;

static void write_file(const char *text, size_t len) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, len), (ssize_t)len);
  close(fd);
}

static const char *content(void) {
  static char text[4096];
  int fd = open(path, O_RDONLY);
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  return text;
}

static unsigned files(void) {
  unsigned n = 0;
  DIR *d = opendir(dir);
  for (struct dirent *e; (e = readdir(d));)
    n += e->d_name[0] != '.' || e->d_name[1]; /* all but "." ; ".." counts as one */
  closedir(d);
  return n - 1;
}

static int setup(void **state) {
  (void)state;
  strcpy(dir, "/tmp/svidwrap-test-rewrite-XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(path, sizeof path, "%s/file.yaml", dir);
  snprintf(link_path, sizeof link_path, "%s/link.yaml", dir);
  write_file("old\n", 4);
  chmod(path, 0604);
  return symlink("file.yaml", link_path);
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  unlink(link_path);
  return rmdir(dir);
}

static void the_text_changes_and_nothing_else(void **state) {
  (void)state;
  struct stat before, after;
  assert_int_equal(stat(path, &before), 0);
  bool labels = setxattr(path, "user.label", "x", 1, 0) == 0;
  assert_int_equal(rewrite_begin(&r, link_path, why, sizeof why), 0);
  assert_string_equal(r.text, "old\n");
  assert_string_equal(content(), "old\n");
  assert_int_equal(rewrite_commit(&r, "new\n", why, sizeof why), 0);
  rewrite_end(&r);
  assert_string_equal(content(), "new\n");
  assert_int_equal(stat(path, &after), 0);
  assert_int_equal(after.st_mode, before.st_mode);
  assert_int_equal(after.st_uid, before.st_uid);
  assert_int_equal(after.st_gid, before.st_gid);
  assert_true(after.st_ino != before.st_ino);
  assert_int_equal(lstat(link_path, &after), 0);
  assert_true(S_ISLNK(after.st_mode));
  char label;
  if (labels)
    assert_int_equal(getxattr(path, "user.label", &label, 1), 1);
  assert_int_equal(files(), 2);
}

static void what_is_given_up_leaves_nothing_behind(void **state) {
  (void)state;
  assert_int_equal(rewrite_begin(&r, path, why, sizeof why), 0);
  assert_int_equal(files(), 3);
  rewrite_end(&r);
  assert_string_equal(content(), "old\n");
  assert_int_equal(files(), 2);
}

static void a_file_that_somebody_else_changed_is_left_alone(void **state) {
  (void)state;
  assert_int_equal(rewrite_begin(&r, path, why, sizeof why), 0);
  write_file("theirs\n", 7);
  assert_int_equal(rewrite_commit(&r, "ours\n", why, sizeof why), -1);
  rewrite_end(&r);
  assert_non_null(strstr(why, "somebody else"));
  assert_string_equal(content(), "theirs\n");
  assert_int_equal(files(), 2);
}

static void what_is_no_text_is_refused(void **state) {
  (void)state;
  char *large = calloc(1, 1024 * 1024 + 1);
  memset(large, '#', 1024 * 1024 + 1);
  write_file(large, 1024 * 1024 + 1);
  free(large);
  assert_int_equal(rewrite_begin(&r, path, why, sizeof why), -1);
  rewrite_end(&r);
  write_file("a\0b", 3);
  assert_int_equal(rewrite_begin(&r, path, why, sizeof why), -1);
  rewrite_end(&r);
  assert_int_equal(rewrite_begin(&r, dir, why, sizeof why), -1);
  rewrite_end(&r);
  assert_int_equal(rewrite_begin(&r, "/no/such", why, sizeof why), -1);
  assert_non_null(strstr(why, "/no/such"));
  rewrite_end(&r);
  assert_int_equal(files(), 2);
}

int main(void) {
#define WITH_FILE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      WITH_FILE(the_text_changes_and_nothing_else),
      WITH_FILE(what_is_given_up_leaves_nothing_behind),
      WITH_FILE(a_file_that_somebody_else_changed_is_left_alone),
      WITH_FILE(what_is_no_text_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
