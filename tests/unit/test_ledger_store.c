/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ledger_store.c - counts survive a restart, a kill in the middle of writing costs what was not written yet and
 * nothing else, and a file that was changed, cut or mixed is found out or read as what it was before, never as
 * something that nobody counted.
 */
#include "agentclient/observe/ledger_file.h"
#include "agentclient/observe/ledger_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOON 1800014400

static char dir[64], path[128], why[512];

static int setup(void **state) {
  (void)state;
  strcpy(dir, "/tmp/svidwrap-test-ledger-XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(path, sizeof path, "%s/counters", dir);
  ledger_store_bound = 1024 * 1024;
  return 0;
}

static int teardown(void **state) {
  (void)state;
  char name[512];
  DIR *d = opendir(dir);
  for (struct dirent *e; d && (e = readdir(d));) {
    snprintf(name, sizeof name, "%s/%s", dir, e->d_name);
    unlink(name);
  }
  closedir(d);
  return rmdir(dir);
}

static void note(struct ledger *l, const char *peer, enum ledger_result result, time_t now) {
  struct ledger_event e = {.config = "/etc/c.yaml",
                           .rule = "listen 6379",
                           .inbound = true,
                           .peer = peer,
                           .result = result,
                           .reason = result == LEDGER_MTLS ? "" : "because",
                           .now = now};
  ledger_note(l, &e);
}

struct sums {
  uint64_t count[LEDGER_RESULTS], window;
  unsigned lines;
};

static bool sum(void *arg, const struct ledger_line *line) {
  struct sums *s = arg;
  s->lines++;
  for (int i = 0; i < LEDGER_RESULTS; i++)
    s->count[i] += line->count[i];
  assert_string_equal(line->config, "/etc/c.yaml");
  assert_string_equal(line->rule, "listen 6379");
  return true;
}

static struct sums sums(const struct ledger *l) {
  struct sums s = {0};
  ledger_each(l, sum, &s);
  return s;
}

static struct ledger_store *open_store(struct ledger *l, time_t now) {
  bool busy;
  struct ledger_store *s = ledger_store_open(l, dir, now, &busy, why, sizeof why);
  if (!s)
    print_message("%s\n", why);
  assert_non_null(s);
  return s;
}

/* Ticks until the writer has taken everything. */
static void settle(struct ledger *l, struct ledger_store *s, time_t now) {
  for (int i = 0; i < 20000 && !TAILQ_EMPTY(&l->dirty); i++) {
    ledger_store_tick(s, now);
    usleep(1000);
  }
  assert_true(TAILQ_EMPTY(&l->dirty));
}

static bool first_line(void *arg, const struct ledger_line *line) {
  *(struct ledger_line *)arg = *line;
  return false;
}

static void counts_survive(void **state) {
  (void)state;
  struct ledger *l = ledger_new(NOON);
  struct ledger_store *s = open_store(l, NOON);
  for (int i = 0; i < 300; i++) { /* some by appending, some in the last file */
    note(l, "10.0.0.1", i % 3 ? LEDGER_PLAIN : LEDGER_MTLS, NOON + i);
    if (i % 50 == 10)
      settle(l, s, NOON + i);
  }
  note(l, "10.0.0.2", LEDGER_DENIED, NOON + 1000);
  ledger_store_close(s, NOON + 1000);
  ledger_free(l);

  l = ledger_new(NOON + 2000);
  s = open_store(l, NOON + 2000);
  assert_string_equal(why, "");
  struct sums all = sums(l);
  assert_int_equal(all.lines, 2);
  assert_int_equal(all.count[LEDGER_PLAIN], 200);
  assert_int_equal(all.count[LEDGER_MTLS], 100);
  assert_int_equal(all.count[LEDGER_DENIED], 1);
  struct ledger_line line;
  ledger_each(l, first_line, &line);
  assert_string_equal(line.peer, "10.0.0.1");
  assert_int_equal(line.first, NOON);
  assert_int_equal(line.last_plain, NOON + 299);
  assert_int_equal(line.last_of[LEDGER_MTLS], NOON + 297);
  assert_string_equal(line.last_reason, "because");
  struct sums recent = {0};
  ledger_each_since(l, NOON + 1000, NOON + 2000, sum, &recent);
  assert_int_equal(recent.lines, 1);
  struct ledger_gaps g;
  ledger_gaps(l, &g);
  assert_int_equal(g.began, NOON);
  assert_int_equal(g.damaged, 0);
  ledger_store_close(s, NOON + 2000);
  ledger_free(l);
}

static void the_file_is_bounded_and_private(void **state) {
  (void)state;
  ledger_store_bound = 20000;
  struct ledger *l = ledger_new(NOON);
  struct ledger_store *s = open_store(l, NOON);
  struct stat st;
  off_t most = 0;
  char peer[16];
  for (int i = 0; i < 2000; i++) {
    snprintf(peer, sizeof peer, "10.0.0.%d", i % 20);
    note(l, peer, LEDGER_MTLS, NOON + i);
    settle(l, s, NOON + i);
    assert_int_equal(stat(path, &st), 0);
    most = st.st_size > most ? st.st_size : most;
  }
  assert_in_range(most, 1000, 100000); /* unbounded: 2000 * 120 */
  assert_int_equal(st.st_mode & 0777, 0600);
  ledger_store_close(s, NOON);
  assert_int_equal(sums(l).count[LEDGER_MTLS], 2000);
  ledger_free(l);
}

static void one_daemon_writes(void **state) {
  (void)state;
  struct ledger *l = ledger_new(NOON), *other = ledger_new(NOON);
  struct ledger_store *s = open_store(l, NOON);
  bool busy = false;
  assert_null(ledger_store_open(other, dir, NOON, &busy, why, sizeof why));
  assert_true(busy);
  assert_non_null(strstr(why, "another daemon"));
  ledger_store_close(s, NOON);
  s = open_store(other, NOON);
  ledger_store_close(s, NOON);
  ledger_free(l);
  ledger_free(other);
}

static void a_directory_that_others_may_write_is_refused(void **state) {
  (void)state;
  struct ledger *l = ledger_new(NOON);
  bool busy;
  char link[128], missing[160];
  assert_int_equal(chmod(dir, 0777), 0);
  assert_null(ledger_store_open(l, dir, NOON, &busy, why, sizeof why));
  assert_non_null(strstr(why, "chmod go-w"));
  assert_false(busy);
  assert_int_equal(chmod(dir, 0700), 0);
  snprintf(link, sizeof link, "%s/link", dir);
  assert_int_equal(symlink(dir, link), 0);
  assert_null(ledger_store_open(l, link, NOON, &busy, why, sizeof why));
  snprintf(missing, sizeof missing, "%s/no/such", dir);
  assert_null(ledger_store_open(l, missing, NOON, &busy, why, sizeof why));
  assert_non_null(strstr(why, strerror(ENOENT)));
  ledger_free(l);
}

static void what_cannot_be_written_is_told_and_written_later(void **state) {
  (void)state;
  struct ledger *l = ledger_new(NOON);
  struct ledger_store *s = open_store(l, NOON);
  note(l, "p", LEDGER_MTLS, NOON);
  settle(l, s, NOON);
  struct rlimit old, small = {100, 100};
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small.rlim_max = old.rlim_max;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  note(l, "q", LEDGER_PLAIN, NOON);
  for (int i = 0; i < 20000 && !*ledger_store_trouble(s); i++) {
    ledger_store_tick(s, NOON);
    usleep(1000);
  }
  assert_non_null(strstr(ledger_store_trouble(s), "cannot write the counters"));
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  for (int i = 0; i < 20000 && *ledger_store_trouble(s); i++) {
    ledger_store_tick(s, NOON);
    usleep(1000);
  }
  assert_string_equal(ledger_store_trouble(s), "");
  ledger_store_close(s, NOON);
  ledger_free(l);
  l = ledger_new(NOON);
  s = open_store(l, NOON);
  assert_int_equal(sums(l).count[LEDGER_MTLS], 1);
  assert_int_equal(sums(l).count[LEDGER_PLAIN], 1);
  ledger_store_close(s, NOON);
  ledger_free(l);
}

static void a_late_start_adds_to_what_was_counted_meanwhile(void **state) {
  (void)state;
  struct ledger *l = ledger_new(NOON);
  struct ledger_store *s = open_store(l, NOON);
  note(l, "p", LEDGER_MTLS, NOON);
  ledger_store_close(s, NOON);
  ledger_free(l);
  l = ledger_new(NOON + 60);
  note(l, "p", LEDGER_MTLS, NOON + 59);
  note(l, "p", LEDGER_PLAIN, NOON + 61);
  s = open_store(l, NOON + 70);
  note(l, "p", LEDGER_MTLS, NOON + 71);
  ledger_store_close(s, NOON + 71);
  assert_int_equal(sums(l).count[LEDGER_MTLS], 3);
  ledger_free(l);
  l = ledger_new(NOON + 80);
  s = open_store(l, NOON + 80);
  assert_int_equal(sums(l).count[LEDGER_MTLS], 3);
  assert_int_equal(sums(l).count[LEDGER_PLAIN], 1);
  ledger_store_close(s, NOON + 80);
  ledger_free(l);
}

/* -- bytes -- */

/* A file with a first part and appended ones; ends[i]: the length of the file after i of them. */
static uint8_t *sample(size_t *len, size_t ends[], size_t parts) {
  struct ledger *l = ledger_new(NOON);
  struct ledger_bodies b = {0};
  uint8_t digest[LEDGER_FILE_DIGEST], *file = malloc(65536);
  uint32_t ids = 0;
  assert_non_null(file);
  l->keeping = true;
  ledger_file_head(file, digest);
  *len = LEDGER_FILE_HEAD;
  for (size_t i = 0; i < parts; i++) {
    size_t n;
    note(l, "10.0.0.1", LEDGER_MTLS, NOON + (time_t)i);
    if (i % 3 == 0)
      note(l, "spiffe://example.org/web", LEDGER_WOULD_DENY, NOON + 60 * (time_t)i);
    if (i == 0)
      ids = ledger_write_all(l, &b);
    else
      ids = ledger_write_dirty(l, &b, ids, NOON + (time_t)i);
    uint8_t *framed = ledger_file_frame(&b, digest, &n);
    memcpy(file + *len, framed, n);
    *len += n;
    ends[i] = *len;
    free(framed);
    ledger_bodies_free(&b);
  }
  ledger_free(l);
  return file;
}

#define PARTS 7

static enum ledger_file_end read_back(const uint8_t *file, size_t len, struct sums *s) {
  struct ledger *l = ledger_new(NOON);
  size_t at;
  uint8_t *copy = malloc(len ? len : 1); /* of exactly this size: a sanitizer sees every step beyond */
  memcpy(copy, file, len);
  enum ledger_file_end end = ledger_file_read(l, copy, len, &at);
  assert_true(at <= len);
  *s = sums(l);
  free(copy);
  ledger_free(l);
  return end;
}

static void a_file_that_was_cut_reads_as_what_it_was_before(void **state) {
  (void)state;
  size_t len, ends[PARTS];
  uint8_t *file = sample(&len, ends, PARTS);
  for (size_t cut = 0; cut <= len; cut++) {
    struct sums s;
    enum ledger_file_end end = read_back(file, cut, &s);
    uint64_t whole = 0;
    for (size_t i = 0; i < PARTS; i++)
      whole += ends[i] <= cut;
    if (cut < LEDGER_FILE_HEAD)
      assert_int_equal(end, LEDGER_FILE_FOREIGN);
    else
      assert_true(end == LEDGER_FILE_WHOLE || end == LEDGER_FILE_TORN);
    assert_in_range(s.count[LEDGER_MTLS], whole, whole + 1);
  }
  free(file);
}

static void every_bit_that_flips_is_found_out(void **state) {
  (void)state;
  size_t len, ends[PARTS];
  uint8_t *file = sample(&len, ends, PARTS);
  for (size_t bit = 0; bit < 8 * len; bit++) {
    struct sums s;
    file[bit / 8] ^= (uint8_t)(1 << bit % 8);
    enum ledger_file_end end = read_back(file, len, &s);
    assert_true(end == LEDGER_FILE_DAMAGED || end == LEDGER_FILE_FOREIGN);
    assert_in_range(s.count[LEDGER_MTLS], 0, PARTS);
    file[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  struct sums s;
  assert_int_equal(read_back(file, len, &s), LEDGER_FILE_WHOLE);
  assert_int_equal(s.count[LEDGER_MTLS], PARTS);
  free(file);
}

static void records_that_are_missing_or_come_twice_are_found_out(void **state) {
  (void)state;
  size_t len, ends[PARTS];
  struct sums s;
  uint8_t *file = sample(&len, ends, PARTS), *other = malloc(2 * len);
  memcpy(other, file, ends[2]); /* the fourth part is missing */
  memcpy(other + ends[2], file + ends[3], len - ends[3]);
  assert_int_equal(read_back(other, len - (ends[3] - ends[2]), &s), LEDGER_FILE_DAMAGED);
  assert_int_equal(s.count[LEDGER_MTLS], 3);
  memcpy(other, file, len); /* the last part twice */
  memcpy(other + len, file + ends[PARTS - 2], len - ends[PARTS - 2]);
  assert_int_equal(read_back(other, len + len - ends[PARTS - 2], &s), LEDGER_FILE_DAMAGED);
  assert_int_equal(s.count[LEDGER_MTLS], PARTS);
  size_t other_len, other_ends[PARTS]; /* the end of another file of the same shape */
  uint8_t *stranger = sample(&other_len, other_ends, PARTS);
  assert_int_equal(other_len, len);
  memcpy(other, file, ends[3]);
  memcpy(other + ends[3], stranger + ends[3], len - ends[3]);
  assert_int_equal(read_back(other, len, &s), LEDGER_FILE_DAMAGED);
  free(stranger);
  memcpy(other, file, len); /* zeros where the machine lost power */
  memset(other + len, 0, 100);
  assert_int_equal(read_back(other, len + 100, &s), LEDGER_FILE_TORN);
  assert_int_equal(s.count[LEDGER_MTLS], PARTS);
  free(other);
  free(file);
}

static void damage_is_kept_aside_and_remembered(void **state) {
  (void)state;
  struct ledger *l = ledger_new(NOON);
  struct ledger_store *s = open_store(l, NOON);
  for (int i = 0; i < 5; i++) {
    note(l, "p", LEDGER_PLAIN, NOON + i);
    settle(l, s, NOON + i);
  }
  ledger_store_close(s, NOON);
  ledger_free(l);
  int fd = open(path, O_RDWR);
  struct stat st;
  uint8_t byte;
  assert_int_equal(fstat(fd, &st), 0);
  assert_int_equal(pread(fd, &byte, 1, st.st_size - 20), 1);
  byte ^= 1;
  assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 20), 1);
  close(fd);
  for (int again = 0; again < 2; again++) { /* it is remembered over the next restart, too */
    l = ledger_new(NOON + 100);
    s = open_store(l, NOON + 100 + again);
    if (again == 0)
      assert_non_null(strstr(why, "damaged at byte"));
    struct ledger_gaps g;
    ledger_gaps(l, &g);
    assert_int_equal(g.damaged, NOON + 100);
    assert_in_range(sums(l).count[LEDGER_PLAIN], 1, 4);
    ledger_store_close(s, NOON + 100);
    ledger_free(l);
  }
  char aside[160];
  snprintf(aside, sizeof aside, "%s.damaged", path);
  assert_int_equal(access(aside, F_OK), 0);
}

static void a_stranger_under_the_name_is_not_read(void **state) {
  (void)state;
  char target[160];
  snprintf(target, sizeof target, "%s/elsewhere", dir);
  assert_int_equal(close(open(target, O_CREAT | O_WRONLY, 0600)), 0);
  assert_int_equal(symlink(target, path), 0);
  struct ledger *l = ledger_new(NOON);
  struct ledger_store *s = open_store(l, NOON);
  assert_string_not_equal(why, "");
  ledger_store_close(s, NOON);
  ledger_free(l);
  struct stat st;
  assert_int_equal(stat(target, &st), 0);
  assert_int_equal(st.st_size, 0);
  assert_int_equal(lstat(path, &st), 0);
  assert_true(S_ISREG(st.st_mode));
}

/* A child counts and writes as fast as it can, and is killed at any moment. */
static void a_kill_costs_only_what_was_not_written(void **state) {
  (void)state;
  struct shared {
    _Atomic uint64_t noted, kept;
  } *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  uint64_t base = 0;
  ledger_store_bound = 4096;
  for (int round = 0; round < 40; round++) {
    shared->noted = shared->kept = base;
    pid_t child = fork();
    if (child == 0) {
      bool busy;
      char peer[16];
      struct ledger *l = ledger_new(NOON);
      struct ledger_store *s = ledger_store_open(l, dir, NOON, &busy, why, sizeof why);
      if (!s || why[0] || sums(l).count[LEDGER_MTLS] != base)
        _exit(1);
      for (uint64_t n = base;; n++) {
        uint64_t before = n;
        snprintf(peer, sizeof peer, "10.0.0.%d", (int)(n % 11));
        shared->noted = n + 1;
        note(l, peer, LEDGER_MTLS, NOON + (time_t)n / 100);
        while (!TAILQ_EMPTY(&l->dirty))
          ledger_store_tick(s, NOON + (time_t)n / 100);
        shared->kept = before; /* the job before the one just given has ended */
      }
    }
    for (int i = 0; i < 40000 && shared->kept < base + 5; i++)
      usleep(500);
    usleep((useconds_t)(round * 137 % 3000));
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    struct ledger *l = ledger_new(NOON);
    struct ledger_store *s = open_store(l, NOON);
    assert_string_equal(why, "");
    uint64_t have = sums(l).count[LEDGER_MTLS];
    assert_true(have >= shared->kept && have <= shared->noted);
    assert_true(have >= base);
    base = have;
    ledger_store_close(s, NOON);
    ledger_free(l);
  }
  assert_true(base >= 200);
  munmap(shared, 4096);
}

int main(void) {
#define IN_DIRECTORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      IN_DIRECTORY(counts_survive),
      IN_DIRECTORY(the_file_is_bounded_and_private),
      IN_DIRECTORY(one_daemon_writes),
      IN_DIRECTORY(a_directory_that_others_may_write_is_refused),
      IN_DIRECTORY(what_cannot_be_written_is_told_and_written_later),
      IN_DIRECTORY(a_late_start_adds_to_what_was_counted_meanwhile),
      cmocka_unit_test(a_file_that_was_cut_reads_as_what_it_was_before),
      cmocka_unit_test(every_bit_that_flips_is_found_out),
      cmocka_unit_test(records_that_are_missing_or_come_twice_are_found_out),
      IN_DIRECTORY(damage_is_kept_aside_and_remembered),
      IN_DIRECTORY(a_stranger_under_the_name_is_not_read),
      IN_DIRECTORY(a_kill_costs_only_what_was_not_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
