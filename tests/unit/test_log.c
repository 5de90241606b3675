/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log.c - a log line arrives whole where it was sent, cannot be forged from inside, and never makes
 * the one who writes it wait.
 */
#include "agentclient/observe/format.h"
#include "agentclient/observe/log.h"
#include "agentclient/observe/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/svidwrap-test-log-XXXXXX";
static char path[64], other[64], sock_path[64];

static int make_dir(void **state) {
  (void)state;
  if (!mkdtemp(dir))
    return -1;
  snprintf(path, sizeof path, "%s/log", dir);
  snprintf(other, sizeof other, "%s/old", dir);
  snprintf(sock_path, sizeof sock_path, "%s/dev-log", dir);
  return 0;
}

static int remove_dir(void **state) {
  (void)state;
  unlink(path);
  unlink(other);
  unlink(sock_path);
  return rmdir(dir);
}

static char *slurp(const char *file, char *buf, size_t len) {
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  ssize_t n = read(fd, buf, len - 1);
  assert_true(n >= 0);
  buf[n] = '\0';
  close(fd);
  return buf;
}

static struct log *open_log(const char *to, enum policy_log_format format, enum policy_log_level level) {
  char why[256] = "";
  struct log *l = log_open(to, format, level, false, why, sizeof why);
  if (!l)
    fail_msg("%s", why);
  return l;
}

static void a_file_is_made_for_its_owner_and_group_and_appended_to(void **state) {
  (void)state;
  char buf[512];
  struct stat st;
  mode_t old = umask(0);
  unlink(path);
  for (int i = 0; i < 2; i++) {
    struct log *l = open_log(path, POLICY_LOG_TEXT, POLICY_LOG_INFO);
    log_info(l, "line %d", i);
    log_unref(l);
  }
  umask(old);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0640);
  slurp(path, buf, sizeof buf);
  assert_non_null(strstr(buf, "] info: line 0\n"));
  assert_non_null(strstr(buf, "] info: line 1\n"));
}

static void lines_above_the_level_are_left_out(void **state) {
  (void)state;
  char buf[512];
  unlink(path);
  struct log *l = open_log(path, POLICY_LOG_TEXT, POLICY_LOG_WARNING);
  log_error(l, "e");
  log_warning(l, "w");
  log_info(l, "i");
  log_debug(l, "d");
  log_unref(l);
  slurp(path, buf, sizeof buf);
  assert_non_null(strstr(buf, "error: e\n"));
  assert_non_null(strstr(buf, "warning: w\n"));
  assert_null(strstr(buf, "info"));
  assert_null(strstr(buf, "debug"));
}

static void control_characters_cannot_forge_a_line(void **state) {
  (void)state;
  char buf[512];
  unlink(path);
  struct log *l = open_log(path, POLICY_LOG_TEXT, POLICY_LOG_INFO);
  log_info(l, "peer said %s", "hi\nerror: forged\r\x1b[2J\x7f\xc2\x9b\xff caf\xc3\xa9");
  log_unref(l);
  slurp(path, buf, sizeof buf);
  assert_non_null(strstr(buf, "hi\\nerror: forged\\r\\x1b[2J\\x7f\\xc2\\x9b\\xff caf\xc3\xa9\n"));
  assert_ptr_equal(strchr(buf, '\n'), buf + strlen(buf) - 1);
}

static void a_json_line_is_one_object_whatever_the_text_holds(void **state) {
  (void)state;
  char buf[512];
  unlink(path);
  struct log *l = open_log(path, POLICY_LOG_JSON, POLICY_LOG_INFO);
  log_warning(l, "a \"quoted\" \\ \xff");
  log_unref(l);
  json_t *o = json_loads(slurp(path, buf, sizeof buf), 0, NULL);
  assert_non_null(o);
  assert_string_equal(json_string_value(json_object_get(o, "level")), "warning");
  assert_string_equal(json_string_value(json_object_get(o, "message")), "a \"quoted\" \\ \\xff");
  assert_int_equal(json_integer_value(json_object_get(o, "pid")), getpid());
  assert_int_equal(strlen(json_string_value(json_object_get(o, "timestamp"))), 27);
  json_decref(o);
}

static void a_text_that_is_too_long_is_cut_between_characters(void **state) {
  (void)state;
  char out[16];
  assert_string_equal(format_clean("0123456789abcdef", out, sizeof out), "0123456789ab...");
  assert_string_equal(format_clean("0123456789a\xc3\xa9xyz", out, sizeof out), "0123456789a...");
  assert_string_equal(format_clean("0123456789a\n\n\n", out, sizeof out), "0123456789a...");
  assert_string_equal(format_clean("0123456789ab", out, sizeof out), "0123456789ab");
  assert_string_equal(format_clean("", out, sizeof out), "");
}

static void a_path_that_cannot_be_opened_is_told_with_its_cause(void **state) {
  (void)state;
  char why[256] = "";
  assert_null(log_open("/nonexistent/x.log", POLICY_LOG_TEXT, POLICY_LOG_INFO, false, why, sizeof why));
  assert_string_equal(why, "log: /nonexistent/x.log: No such file or directory");
  assert_null(log_open("/tmp", POLICY_LOG_TEXT, POLICY_LOG_INFO, false, why, sizeof why));
  assert_string_equal(why, "log: /tmp: Is a directory");
}

static void reopening_writes_to_the_new_file_and_keeps_the_old_when_it_cannot(void **state) {
  (void)state;
  char buf[512];
  unlink(path);
  struct log *l = open_log(path, POLICY_LOG_TEXT, POLICY_LOG_INFO);
  log_info(l, "before");
  assert_int_equal(rename(path, other), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  log_reopen(l);
  log_info(l, "still here");
  assert_int_equal(rmdir(path), 0);
  log_reopen(l);
  log_info(l, "after");
  log_unref(l);
  slurp(other, buf, sizeof buf);
  assert_non_null(strstr(buf, "before"));
  assert_non_null(strstr(buf, "cannot be opened again"));
  assert_non_null(strstr(buf, "still here"));
  slurp(path, buf, sizeof buf);
  assert_non_null(strstr(buf, "after"));
  assert_null(strstr(buf, "still"));
}

/* A pipe that nobody reads, as stderr: were the writer to wait, this test would never end. */
static void a_full_pipe_never_blocks_and_lost_lines_are_counted(void **state) {
  (void)state;
  int p[2], saved = dup(STDERR_FILENO);
  static char buf[1 << 20];
  assert_int_equal(pipe2(p, O_CLOEXEC), 0);
  assert_true(dup2(p[1], STDERR_FILENO) >= 0);
  alarm(60);
  struct log *l = open_log("stderr", POLICY_LOG_TEXT, POLICY_LOG_INFO);
  for (int i = 0; i < 5000; i++)
    log_info(l, "line %d %0100d", i, 0);
  int flags = fcntl(p[1], F_GETFL);
  size_t got = (size_t)read(p[0], buf, sizeof buf - 1);
  log_info(l, "there is room again");
  got += (size_t)read(p[0], buf + got, sizeof buf - 1 - got);
  buf[got] = '\0';
  dup2(saved, STDERR_FILENO);
  alarm(0);
  log_unref(l);
  close(saved);
  close(p[0]);
  close(p[1]);
  assert_int_equal(flags & O_NONBLOCK, 0);
  const char *told = strstr(buf, " lines were lost");
  assert_non_null(told);
  assert_non_null(strstr(told, "there is room again\n"));
  int whole = 0;
  for (const char *s = buf; (s = strstr(s, "info: line ")); s++)
    whole++;
  while (told[-1] >= '0' && told[-1] <= '9')
    told--;
  assert_int_equal(whole + atoi(told), 5000);
}

/* As on a full disk: the file may grow to 600 bytes and no further. */
static void a_line_that_was_cut_off_does_not_spoil_the_next(void **state) {
  (void)state;
  char buf[2048];
  unlink(path);
  struct log *l = open_log(path, POLICY_LOG_TEXT, POLICY_LOG_INFO);
  struct rlimit old, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = (struct rlimit){600, old.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  log_info(l, "%0500d", 1);
  log_info(l, "%0500d", 2);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  log_raw(l, "{\"whole\":1}");
  log_unref(l);
  slurp(path, buf, sizeof buf);
  assert_non_null(strstr(buf, "\n{\"timestamp\":"));
  assert_non_null(strstr(buf, "\"event\":\"lines_lost\",\"lines\":1,\"reason\":\"File too large\"}"));
  assert_non_null(strstr(buf, "\n{\"whole\":1}\n"));
}

static void a_file_that_logrotate_moved_is_left_for_the_new_one(void **state) {
  (void)state;
  char buf[512];
  unlink(path);
  struct log *l = open_log(path, POLICY_LOG_TEXT, POLICY_LOG_INFO);
  assert_int_equal(log_raw(l, "before"), 0);
  assert_int_equal(rename(path, other), 0);
  assert_int_equal(log_raw(l, "after"), 0);
  unlink(path);
  assert_int_equal(log_raw(l, "deleted, and made again"), 0);
  log_unref(l);
  assert_string_equal(slurp(other, buf, sizeof buf), "before\n");
  assert_string_equal(slurp(path, buf, sizeof buf), "deleted, and made again\n");
}

/* Written to a file that no directory names any more, a line would be gone without anybody noticing. */
static void a_directory_that_is_gone_loses_lines_and_says_so_when_it_is_back(void **state) {
  (void)state;
  char sub[80], file[96], away[96], buf[512], why[256] = "";
  snprintf(sub, sizeof sub, "%s/sub", dir);
  snprintf(file, sizeof file, "%s/audit.log", sub);
  snprintf(away, sizeof away, "%s/moved", dir);
  assert_int_equal(mkdir(sub, 0700), 0);
  struct log *l = open_log(file, POLICY_LOG_TEXT, POLICY_LOG_INFO);
  assert_true(log_ready(l, why, sizeof why));
  unlink(file);
  assert_int_equal(rename(sub, away), 0);
  assert_int_equal(log_raw(l, "one"), -1);
  assert_int_equal(log_raw(l, "two"), -1);
  assert_false(log_ready(l, why, sizeof why));
  assert_non_null(strstr(why, "/sub/audit.log: No such file or directory"));
  assert_int_equal(rename(away, sub), 0);
  assert_true(log_ready(l, why, sizeof why));
  assert_int_equal(log_raw(l, "three"), 0);
  log_unref(l);
  slurp(file, buf, sizeof buf);
  assert_non_null(
      strstr(buf, "\"event\":\"lines_lost\",\"lines\":2,\"reason\":\"No such file or directory\"}\nthree\n"));
  unlink(file);
  rmdir(sub);
}

static void a_fifo_without_reader_is_refused_and_one_that_loses_him_goes_on_later(void **state) {
  (void)state;
  char why[256] = "", buf[512];
  unlink(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  signal(SIGPIPE, SIG_IGN);
  assert_null(log_open(path, POLICY_LOG_TEXT, POLICY_LOG_INFO, false, why, sizeof why));
  assert_non_null(strstr(why, "nobody reads this FIFO"));
  int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  struct log *l = open_log(path, POLICY_LOG_TEXT, POLICY_LOG_INFO);
  close(reader);
  alarm(60);
  assert_int_equal(log_raw(l, "nobody hears this"), -1);
  assert_false(log_ready(l, why, sizeof why));
  reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  assert_int_equal(log_raw(l, "heard"), 0);
  alarm(0);
  ssize_t n = read(reader, buf, sizeof buf - 1);
  assert_true(n > 0);
  buf[n] = 0;
  assert_non_null(strstr(buf, "\"lines\":1,\"reason\":\"Broken pipe\"}\nheard\n"));
  close(reader);
  log_unref(l);
  unlink(path);
}

static int listen_syslog(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  snprintf(un.sun_path, sizeof un.sun_path, "%s", sock_path);
  unlink(sock_path);
  assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
  return fd;
}

static void syslog_gets_a_priority_a_name_and_no_second_time(void **state) {
  (void)state;
  char buf[512], name[64];
  sink_syslog_path = sock_path;
  int fd = listen_syslog();
  struct log *l = open_log("auto", POLICY_LOG_TEXT, POLICY_LOG_INFO); /* not in the foreground: syslog */
  log_warning(l, "hello");
  ssize_t n = recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT);
  assert_true(n > 0);
  buf[n] = '\0';
  assert_memory_equal(buf, "<28>", 4); /* daemon.warning */
  snprintf(name, sizeof name, " svidwrap[%d]: warning: hello", (int)getpid());
  assert_string_equal(buf + 4 + 15, name);
  log_unref(l);
  close(fd);
}

static void syslog_is_found_again_after_a_restart_and_never_blocks(void **state) {
  (void)state;
  char buf[512];
  sink_syslog_path = sock_path;
  unlink(sock_path);
  struct log *l = open_log("syslog", POLICY_LOG_TEXT, POLICY_LOG_INFO);
  log_info(l, "nobody listens yet");
  int fd = listen_syslog();
  log_info(l, "one");
  assert_true(recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0); /* that a line was lost */
  assert_true(recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0);
  close(fd);
  fd = listen_syslog();
  alarm(60);
  for (int i = 0; i < 5000; i++)
    log_info(l, "line %d", i);
  alarm(0);
  assert_true(recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0);
  log_unref(l);
  close(fd);
}

static void *replace_default(void *arg) {
  struct log *l = arg;
  for (int i = 0; i < 2000; i++)
    log_set_default(i % 2 ? l : NULL);
  return NULL;
}

static void the_default_may_be_replaced_while_others_write(void **state) {
  (void)state;
  pthread_t t;
  unlink(path);
  int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  dup2(null, STDERR_FILENO);
  struct log *l = open_log(path, POLICY_LOG_TEXT, POLICY_LOG_INFO);
  assert_int_equal(pthread_create(&t, NULL, replace_default, l), 0);
  log_unref(log_ref(l));
  for (int i = 0; i < 2000; i++)
    log_info(NULL, "x");
  pthread_join(t, NULL);
  log_set_default(l);
  assert_ptr_equal(log_default(), l);
  log_set_default(NULL);
  log_unref(l);
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(null);
}

/* To a syslog that is not there, so that calls inside fail. */
static void errno_survives_a_line(void **state) {
  (void)state;
  sink_syslog_path = "/nonexistent/dev-log";
  struct log *l = open_log("syslog", POLICY_LOG_JSON, POLICY_LOG_INFO);
  errno = EXDEV;
  log_info(l, "x");
  assert_int_equal(errno, EXDEV);
  log_raw(l, "y");
  assert_int_equal(errno, EXDEV);
  log_unref(l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_is_made_for_its_owner_and_group_and_appended_to),
      cmocka_unit_test(lines_above_the_level_are_left_out),
      cmocka_unit_test(control_characters_cannot_forge_a_line),
      cmocka_unit_test(a_json_line_is_one_object_whatever_the_text_holds),
      cmocka_unit_test(a_text_that_is_too_long_is_cut_between_characters),
      cmocka_unit_test(a_path_that_cannot_be_opened_is_told_with_its_cause),
      cmocka_unit_test(reopening_writes_to_the_new_file_and_keeps_the_old_when_it_cannot),
      cmocka_unit_test(a_full_pipe_never_blocks_and_lost_lines_are_counted),
      cmocka_unit_test(a_line_that_was_cut_off_does_not_spoil_the_next),
      cmocka_unit_test(a_file_that_logrotate_moved_is_left_for_the_new_one),
      cmocka_unit_test(a_directory_that_is_gone_loses_lines_and_says_so_when_it_is_back),
      cmocka_unit_test(a_fifo_without_reader_is_refused_and_one_that_loses_him_goes_on_later),
      cmocka_unit_test(syslog_gets_a_priority_a_name_and_no_second_time),
      cmocka_unit_test(syslog_is_found_again_after_a_restart_and_never_blocks),
      cmocka_unit_test(the_default_may_be_replaced_while_others_write),
      cmocka_unit_test(errno_survives_a_line),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
