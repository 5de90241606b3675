/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_program_run.c - `svidwrap run` and `svidwrap config` from the outside: exit codes, messages, and what the
 * program finds when it has started.
 *
 * This binary is copied twice into a directory: as "svidwrap" it is the command line, as "report" it is the
 * program that is run, and prints what it sees.
 */
#define main svidwrap_main
#include "agentclient/cli/main.c"
#undef main

#include "agentclient/cli/ask.h"
#include "shim/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Commands that need the daemon's half of the sources. */
#define NOT_HERE(command)                                                                                            \
  int command(int argc, char **argv) { return argc + !argv; }
NOT_HERE(cli_check)
NOT_HERE(cli_status)
NOT_HERE(cli_top)
NOT_HERE(cli_whoami)
NOT_HERE(cli_report)
NOT_HERE(cli_mode)
NOT_HERE(cli_rollback)
NOT_HERE(cli_daemon)
NOT_HERE(cli_dev_agent)
bool ask_enforced(char *path, size_t len, bool *io_uring_unsafe) {
  (void)path, (void)len, (void)io_uring_unsafe;
  return false; /* no daemon */
}

static char dir[] = "/tmp/svidwrap-test-run-XXXXXX";
static char out[65536], err[65536]; /* of the latest command */
static pid_t command_pid;

static char *in_dir(const char *name) {
  static char paths[8][256];
  static unsigned turn;
  char *p = paths[turn++ % 8];
  snprintf(p, 256, "%s/%s", dir, name);
  return p;
}

static void copy(const char *from, const char *to) {
  char buf[65536];
  ssize_t n;
  int in = open(from, O_RDONLY | O_CLOEXEC), o = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  assert_true(in >= 0 && o >= 0);
  while ((n = read(in, buf, sizeof buf)) > 0)
    assert_int_equal(write(o, buf, (size_t)n), n);
  close(in);
  close(o);
}

static char *config(const char *text) {
  char *path = in_dir("c.yaml");
  FILE *f = fopen(path, "we");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
  return path;
}

static void read_back(FILE *f, char *buf, size_t size) {
  rewind(f);
  buf[fread(buf, 1, size - 1, f)] = '\0';
  fclose(f);
}

/* Runs the command line; its exit code. Output goes to files, so that nothing can fill up. */
static int svidwrap(char *const argv[]) {
  FILE *o = tmpfile(), *e = tmpfile();
  assert_true(o && e);
  command_pid = fork();
  if (command_pid == 0) {
    dup2(fileno(o), 1);
    dup2(fileno(e), 2);
    alarm(60);
    execv(in_dir("svidwrap"), argv);
    _exit(99);
  }
  int status = 0;
  assert_int_equal(waitpid(command_pid, &status, 0), command_pid);
  read_back(o, out, sizeof out);
  read_back(e, err, sizeof err);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}
#define SVIDWRAP(...) svidwrap((char *[]){(char *)(uintptr_t) "svidwrap", __VA_ARGS__, NULL})
#define S(text)       ((char *)(uintptr_t)(text))

static void said(const char *where, const char *what) {
  if (!strstr(where, what))
    fail_msg("wanted '%s' in '%s'", what, where);
}

static int setup(void **state) {
  (void)state;
  if (!mkdtemp(dir))
    return -1;
  copy("/proc/self/exe", in_dir("svidwrap"));
  copy("/proc/self/exe", in_dir("report"));
  copy("/proc/self/exe", in_dir("libsvidwrap.so")); /* the loader complains and goes on: it is a program */
  setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
  unsetenv("SVIDWRAP_CONFIG");
  unsetenv("SPIFFE_ENDPOINT_SOCKET");
  unsetenv("LD_PRELOAD");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  static const char *const names[] = {"svidwrap", "report", "libsvidwrap.so", "c.yaml", "text"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    unlink(in_dir(names[i]));
  return rmdir(dir);
}

#define AGENT "workload_api: {socket: 'unix:///tmp/agent.sock'}\n"
#define RULE  "listen: [{port: 6379, allow: [spiffe://d/a]}]\n"

static void usage_errors_exit_64_and_help_exits_0(void **state) {
  (void)state;
  static char *const nothing[] = {S("svidwrap"), NULL};
  assert_int_equal(svidwrap(nothing), 64);
  assert_int_equal(SVIDWRAP(S("rnu")), 64);
  said(err, "there is no command 'rnu'");
  assert_int_equal(SVIDWRAP(S("help")), 0);
  said(out, "dev-agent");
  assert_int_equal(SVIDWRAP(S("help"), S("run")), 0);
  said(out, "usage: svidwrap run");
  assert_int_equal(SVIDWRAP(S("run"), S("--help")), 0);
  assert_int_equal(SVIDWRAP(S("run")), 64);
  assert_int_equal(SVIDWRAP(S("run"), S("--nonsense"), S("true")), 64);
  assert_int_equal(SVIDWRAP(S("run"), S("--wait"), S("30"), S("true")), 64);
  said(err, "--wait 30: expected a duration");
  assert_int_equal(SVIDWRAP(S("config")), 64);
  assert_int_equal(SVIDWRAP(S("config"), S("chek")), 64);
  assert_int_equal(SVIDWRAP(S("--version")), 0);
  said(out, "svidwrap " SVIDWRAP_VERSION);
}

static void a_bad_configuration_exits_78_with_its_place(void **state) {
  (void)state;
  char want[512];
  char *path = config(AGENT "listen:\n  - port: 6379\n");
  snprintf(want, sizeof want, "%s:3:5: a rule with mode: enforce needs allow:", path);
  assert_int_equal(SVIDWRAP(S("run"), S("--config"), path, S("--"), in_dir("report")), 78);
  assert_memory_equal(err, want, strlen(want));
  assert_int_equal(SVIDWRAP(S("config"), S("check"), path), 78);
  assert_memory_equal(err, want, strlen(want));
  assert_int_equal(SVIDWRAP(S("run"), S("--config"), in_dir("none.yaml"), S("--"), in_dir("report")), 78);
  said(err, "none.yaml: No such file or directory");
}

static void every_mode_and_host_names_are_accepted(void **state) {
  (void)state;
  char *path = config(AGENT "connect: [{to: redis.test:6379, mode: canary, percent: 5, allow: [spiffe://d/a]}]\n"
                            "listen: [{port: 1, mode: permissive, allow: [spiffe://d/a]}]\n");
  assert_int_equal(SVIDWRAP(S("config"), S("check"), path), 0);
  said(out, "redis.test:6379");
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), path, in_dir("report")), 0);
}

static void a_hidden_rule_is_a_warning_and_no_error(void **state) {
  (void)state;
  char *path = config(AGENT "listen:\n- {port: 1-9, mode: off}\n- {port: 5, mode: off}\n");
  assert_int_equal(SVIDWRAP(S("config"), S("check"), path), 0);
  said(err, "c.yaml:4:3: warning: rule 'listen 5' never matches: rule 'listen 1-9' (line 3) hides all of it");
  assert_int_equal(SVIDWRAP(S("config"), S("check"), S("--json"), path), 0);
  said(out, "\"warnings\": [");
}

static void a_variable_that_changes_no_rule_is_a_warning(void **state) {
  (void)state;
  setenv("SVIDWRAP_LISTEN_6379_MODE", "permissive", 1);
  setenv("SVIDWRAP_LISTEN_6380_MODE", "off", 1);
  assert_int_equal(SVIDWRAP(S("config"), S("check"), config(AGENT RULE)), 0);
  said(out, "SVIDWRAP_LISTEN_6379_MODE");
  said(err, "warning: the environment variable SVIDWRAP_LISTEN_6380_MODE changes no rule\n");
  assert_null(strstr(err, "SVIDWRAP_LISTEN_6379_MODE"));
  unsetenv("SVIDWRAP_LISTEN_6380_MODE");
  assert_int_equal(SVIDWRAP(S("config"), S("check"), config("enforce_config: true\n" RULE)), 0);
  said(err, "SVIDWRAP_LISTEN_6379_MODE changes no rule: the file says enforce_config");
  unsetenv("SVIDWRAP_LISTEN_6379_MODE");
}

static void explain_says_by_its_exit_code_what_it_decided(void **state) {
  (void)state;
  char *path = config(RULE);
  assert_int_equal(SVIDWRAP(S("explain"), S("-c"), path, S("--from"), S("spiffe://d/nobody"), S("--to"), S("6379")),
                   1);
  said(out, "inbound: denied");
  assert_int_equal(SVIDWRAP(S("explain"), S("-c"), path, S("--from"), S("spiffe://d/a"), S("--to"), S("6379")), 0);
  said(out, "inbound: allowed");
  assert_int_equal(SVIDWRAP(S("explain"), S("-c"), path, S("--from"), S("spiffe://d/a"), S("--to"), S("x")), 64);
  said(err, "--to 'x' is neither a port");
  assert_int_equal(SVIDWRAP(S("explain"), S("-c"), path, S("--from"), S("spiffe://d"), S("--to"), S("6379")), 64);
  said(err, "--from 'spiffe://d' is no workload's SPIFFE ID");
  assert_int_equal(SVIDWRAP(S("explain"), S("-c"), path, S("--to"), S("6379")), 64);
  path = config("listen: [{port: 1}]\n");
  assert_int_equal(SVIDWRAP(S("explain"), S("-c"), path, S("--from"), S("spiffe://d/a"), S("--to"), S("6379")), 78);
}

static void what_cannot_be_written_exits_78_and_leaves_nothing_behind(void **state) {
  (void)state;
  char text[1024];
  snprintf(text, sizeof text, AGENT RULE "audit: {to: '%s/none/a.log'}\n", dir);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(text), in_dir("report")), 78);
  said(err, "c.yaml: audit.to: ");
  said(err, "/none/a.log cannot be written: No such file or directory; make the directory");
  snprintf(text, sizeof text, AGENT RULE "log: {to: '%s'}\n", dir);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(text), in_dir("report")), 78);
  said(err, "cannot be written: Is a directory");
  snprintf(text, sizeof text,
           AGENT "listen: [{port: 1, mode: off, allow: [spiffe://d/a]}]\naudit: {to: '%s/none/a'}\n", dir);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(text), in_dir("report")), 78);
  snprintf(text, sizeof text, AGENT RULE "audit: {to: '%s/new.log'}\n", dir);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(text), in_dir("report")), 0);
  assert_int_equal(access(in_dir("new.log"), F_OK), -1);
}

static void the_agent_must_be_named_once_and_well(void **state) {
  (void)state;
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(RULE), in_dir("report")), 78);
  said(err, "no SPIFFE agent is named");
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(AGENT RULE), S("-a"), S("/other"), in_dir("report")), 78);
  said(err, "is not what --agent says (unix:///other)");
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(RULE), S("-a"), S("tcp://host:1"), in_dir("report")), 78);
  said(err, "the agent's address tcp://host:1");
}

static void programs_that_cannot_be_run_exit_as_in_a_shell(void **state) {
  (void)state;
  char *path = config(AGENT RULE);
  int fd = open(in_dir("text"), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  assert_int_equal(write(fd, "words\n", 6), 6);
  close(fd);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), path, in_dir("none")), 127);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), path, S("svidwrap-no-such-program")), 127);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), path, in_dir("text")), 126);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), path, dir), 126);
}

static void a_program_that_the_preload_would_not_reach_exits_65(void **state) {
  (void)state;
  if (geteuid() != 0) {
    print_message("needs root\n");
    skip();
  }
  char *path = config(AGENT RULE);
  assert_int_equal(chown(in_dir("report"), 65534, 0), 0);
  assert_int_equal(chmod(in_dir("report"), 04755), 0);
  int rc = SVIDWRAP(S("run"), S("-c"), path, in_dir("report"));
  assert_int_equal(chown(in_dir("report"), 0, 0), 0);
  assert_int_equal(rc, 65);
  said(err, "setuid to another user");
  assert_string_equal(out, "");
}

static void the_program_is_this_very_process_with_its_arguments_and_exit_code(void **state) {
  (void)state;
  char want[64];
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(AGENT RULE), in_dir("report"), S("--config"), S("x y"), S("7")),
                   7);
  snprintf(want, sizeof want, "pid %d\n", (int)command_pid);
  said(out, want);
  said(out, "arg --config\narg x y\narg 7\n");
}

/* The loader would only warn, and start the program in plaintext. */
static void a_library_that_cannot_be_preloaded_exits_72(void **state) {
  (void)state;
  char *path = config(AGENT RULE), *lib = in_dir("libsvidwrap.so"), away[256];
  snprintf(away, sizeof away, "%s", in_dir("away"));
  assert_int_equal(rename(lib, away), 0);
  int missing = SVIDWRAP(S("run"), S("-c"), path, in_dir("report"));
  int fd = open(lib, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  assert_int_equal(write(fd, "words\n", 6), 6);
  close(fd);
  int text = SVIDWRAP(S("run"), S("-c"), path, in_dir("report"));
  assert_int_equal(rename(away, lib), 0);
  assert_int_equal(text, 72);
  said(err, "is not a library for this machine");
  assert_string_equal(out, "");
  if (access(SVIDWRAP_PREFIX "/lib/svidwrap/libsvidwrap.so", F_OK) != 0)
    assert_int_equal(missing, 72);
}

static void the_environment_leads_to_the_shim_and_the_daemon(void **state) {
  (void)state;
  char want[512];
  setenv("LD_PRELOAD", "libm.so.6 /elsewhere/libsvidwrap.so", 1);
  setenv("SVIDWRAP_WAIT_MS", "1", 1);
  int rc = SVIDWRAP(S("run"), S("-c"), config(AGENT RULE), S("--"), in_dir("report"), S("0"));
  unsetenv("LD_PRELOAD");
  unsetenv("SVIDWRAP_WAIT_MS");
  assert_int_equal(rc, 0);
  snprintf(want, sizeof want, "\nLD_PRELOAD=%s:libm.so.6\n", in_dir("libsvidwrap.so"));
  said(out, want);
  snprintf(want, sizeof want, "\nSVIDWRAP_CONFIG=%s\n", in_dir("c.yaml"));
  said(out, want);
  snprintf(want, sizeof want, "\nSVIDWRAP_BIN=%s\n", in_dir("svidwrap"));
  said(out, want);
  said(out, "\nSVIDWRAP_WAIT_MS=30000\n");
}

static void options_reach_the_program_as_variables(void **state) {
  (void)state;
  char *path = config(RULE);
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), path, S("--agent=/run/a b%.sock"), S("-w0"), in_dir("report"), S("0")),
                   0);
  said(out, "\nSPIFFE_ENDPOINT_SOCKET=unix:///run/a b%25.sock\n");
  assert_null(strstr(out, "SVIDWRAP_WAIT_MS"));
  assert_int_equal(chdir(dir), 0);
  assert_int_equal(SVIDWRAP(S("run"), S("-cc.yaml"), S("-aa.sock"), S("-w500ms"), S("./report"), S("0")), 0);
  char want[512];
  snprintf(want, sizeof want, "\nSPIFFE_ENDPOINT_SOCKET=unix://%s/a.sock\n", dir);
  said(out, want);
  snprintf(want, sizeof want, "\nSVIDWRAP_CONFIG=%s/c.yaml\n", dir);
  said(out, want);
  said(out, "\nSVIDWRAP_WAIT_MS=500\n");
  assert_int_equal(chdir("/"), 0);
}

static void io_uring_is_out_of_reach_unless_the_configuration_says_otherwise(void **state) {
  (void)state;
  if (guard_active()) {
    print_message("io_uring is out of reach here already\n");
    skip();
  }
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(AGENT RULE), in_dir("report"), S("0")), 0);
  said(out, "guard 1\n");
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config(AGENT RULE "io_uring: allow-unsafe"), in_dir("report"), S("0")),
                   0);
  said(out, "guard 0\n");
  said(out, "\nSVIDWRAP_IO_URING=allow-unsafe\n");
}

static void a_configuration_without_rules_runs_with_a_warning_and_waits_for_nothing(void **state) {
  (void)state;
  assert_int_equal(SVIDWRAP(S("run"), S("-c"), config("listen: [{port: 1, mode: off}]"), in_dir("report"), S("0")),
                   0);
  said(err, "has no rule that is not off: nothing will be protected");
  assert_null(strstr(out, "SVIDWRAP_WAIT_MS"));
}

static void only_rules_that_insist_on_an_identity_are_waited_for(void **state) {
  (void)state;
#define WAITS(rules) SVIDWRAP(S("run"), S("-c"), config(AGENT rules), in_dir("report"), S("0"))
  assert_int_equal(WAITS("listen: [{port: 1, mode: permissive, allow: ['spiffe://d/**']}]"), 0);
  assert_null(strstr(out, "SVIDWRAP_WAIT_MS"));
  assert_int_equal(WAITS("connect: [{to: '*:1', mode: canary, percent: 0, allow: ['spiffe://d/**']}]"), 0);
  assert_null(strstr(out, "SVIDWRAP_WAIT_MS"));
  assert_int_equal(WAITS("connect: [{to: '*:1', mode: canary, percent: 1, allow: ['spiffe://d/**']}]"), 0);
  said(out, "\nSVIDWRAP_WAIT_MS=30000\n");
  assert_int_equal(WAITS("listen: [{port: 1, mode: off, allow: ['spiffe://d/**']}]"), 0);
  assert_null(strstr(err, "nothing will be protected"));
  assert_null(strstr(out, "SVIDWRAP_WAIT_MS"));
  if (!guard_active())
    said(out, "guard 1\n"); /* there will be no other chance */
}

static void config_check_prints_rules_as_text_and_json(void **state) {
  (void)state;
  char *path = config(AGENT RULE);
  assert_int_equal(SVIDWRAP(S("config"), S("check"), path), 0);
  said(out, "rule 0 (line 2): listen 6379");
  assert_int_equal(SVIDWRAP(S("config"), S("check"), S("--json"), path), 0);
  said(out, "\"spiffe://d/a\"");
  setenv("SVIDWRAP_CONFIG", path, 1);
  assert_int_equal(SVIDWRAP(S("config"), S("check")), 0);
  unsetenv("SVIDWRAP_CONFIG");
}

static int report(int argc, char **argv) {
  printf("pid %d\nguard %d\n", (int)getpid(), guard_active());
  for (int i = 1; i < argc; i++)
    printf("arg %s\n", argv[i]);
  for (char **e = environ; *e; e++)
    printf("%s\n", *e);
  return argc > 1 ? atoi(argv[argc - 1]) : 0;
}

int main(int argc, char **argv) {
  const char *base = strrchr(argv[0], '/');
  base = base ? base + 1 : argv[0];
  if (strcmp(base, "svidwrap") == 0)
    return svidwrap_main(argc, argv);
  if (strcmp(base, "report") == 0)
    return report(argc, argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(usage_errors_exit_64_and_help_exits_0),
      cmocka_unit_test(a_bad_configuration_exits_78_with_its_place),
      cmocka_unit_test(every_mode_and_host_names_are_accepted),
      cmocka_unit_test(a_hidden_rule_is_a_warning_and_no_error),
      cmocka_unit_test(explain_says_by_its_exit_code_what_it_decided),
      cmocka_unit_test(what_cannot_be_written_exits_78_and_leaves_nothing_behind),
      cmocka_unit_test(a_variable_that_changes_no_rule_is_a_warning),
      cmocka_unit_test(the_agent_must_be_named_once_and_well),
      cmocka_unit_test(programs_that_cannot_be_run_exit_as_in_a_shell),
      cmocka_unit_test(a_program_that_the_preload_would_not_reach_exits_65),
      cmocka_unit_test(the_program_is_this_very_process_with_its_arguments_and_exit_code),
      cmocka_unit_test(a_library_that_cannot_be_preloaded_exits_72),
      cmocka_unit_test(the_environment_leads_to_the_shim_and_the_daemon),
      cmocka_unit_test(options_reach_the_program_as_variables),
      cmocka_unit_test(io_uring_is_out_of_reach_unless_the_configuration_says_otherwise),
      cmocka_unit_test(a_configuration_without_rules_runs_with_a_warning_and_waits_for_nothing),
      cmocka_unit_test(only_rules_that_insist_on_an_identity_are_waited_for),
      cmocka_unit_test(config_check_prints_rules_as_text_and_json),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
