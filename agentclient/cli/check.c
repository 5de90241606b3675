/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - `svidwrap check`: what `svidwrap run` would find out about a program, told without running it. Nothing is
 * executed, no connection is made but to the agent and the daemon.
 */
#include "check.h"
#include "cli.h"
#include "config.h"
#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define WORKS_WITH_A_COST 1

static const char usage[] =
    "usage: svidwrap check [--config FILE] [--json] -- PROGRAM [ARGUMENTS]\n"
    "\n"
    "Says whether a program can be wrapped, before it is: looks at its file, for a script at its interpreter, at "
    "the\n"
    "libraries that it loads and at the environment. Nothing is executed. A line for each finding, the worst first:\n"
    "\n"
    "  cannot   it cannot be wrapped, and svidwrap run refuses it\n"
    "  cost     it works, but something is slower, or not covered\n"
    "  unknown  cannot be known before it runs\n"
    "  ok       looked at, and fine\n"
    "\n"
    "  -c, --config FILE   also: is this configuration valid, which rules would hold, is the agent there\n"
    "      --json          as JSON (check.schema.json)\n"
    "\n"
    "Exits 0: fine, 1: works with a cost, 65: cannot be wrapped, 64: usage.\n";

struct asked {
  const char *config;
  bool json;
  char **program;
};

static int parse_options(int argc, char **argv, struct asked *a) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  int c;
  while ((c = getopt_long(argc, argv, "+c:h", options, NULL)) != -1) {
    if (c == 'c') {
      a->config = optarg;
    } else if (c == 'j') {
      a->json = true;
    } else if (c == 'h') {
      fputs(usage, stdout);
      exit(EX_OK);
    } else {
      fputs(usage, stderr);
      return EX_USAGE;
    }
  }
  a->program = argv + optind;
  if (!a->program[0]) {
    fputs(usage, stderr);
    return EX_USAGE;
  }
  return EX_OK;
}

static void examine(const char *name, struct program_setting *setting, char path[PATH_MAX], struct findings *out) {
  static struct program_elf shim;
  static char self[PATH_MAX], where[PATH_MAX];
  char why[PROGRAM_WHY_MAX];
  int rc = program_shim(self, where, &shim, why, sizeof why);
  if (rc != 0)
    findings_refuse(out, rc, "svidwrap", "", why, NULL, NULL);
  else
    findings_say(out, FINDING_OK, "svidwrap", where, "the library that is preloaded");
  setting->glibc_wanted = shim.glibc_wanted;
  rc = program_find(name, setting->path_env, path, why, sizeof why);
  if (rc != 0)
    findings_refuse(out, rc, rc == PROGRAM_NOT_FOUND ? "missing" : "not-executable", "", why, NULL, NULL);
  else
    (void)program_examine(path, setting, out);
  program_surroundings(setting, out);
}

static int exit_code(const struct findings *found) {
  enum finding_status worst = findings_worst(found);
  return worst == FINDING_CANNOT ? EX_DATAERR : worst == FINDING_COST ? WORKS_WITH_A_COST : EX_OK;
}

static const char *verdict(const struct findings *found) {
  enum finding_status worst = findings_worst(found);
  return finding_status_name(worst == FINDING_UNKNOWN ? FINDING_OK : worst);
}

static int print_json(const struct asked *a, const char *path, const struct findings *found) {
  json_t *o = json_object();
  json_object_set_new(o, "version", json_string(SVIDWRAP_VERSION));
  json_object_set_new(o, "verdict", json_string(verdict(found)));
  json_object_set_new(o, "exit", json_integer(exit_code(found)));
  finding_set_text(o, "program", a->program[0]);
  if (*path)
    finding_set_text(o, "path", path);
  if (a->config)
    finding_set_text(o, "config", a->config);
  json_object_set_new(o, "findings", findings_json(found));
  char *text = json_dumps(o, JSON_INDENT(2));
  json_decref(o);
  if (text)
    puts(text);
  free(text);
  return text ? 0 : -1;
}

static void print_text(const struct asked *a, const struct findings *found) {
  static const char *const verdicts[] = {"can be wrapped", "can be wrapped", "can be wrapped, at a cost",
                                         "cannot be wrapped"};
  findings_print(stdout, found);
  printf("%s %s\n", a->program[0], verdicts[findings_worst(found)]);
}

int cli_check(int argc, char **argv) {
  struct asked a = {0};
  struct findings found = {0};
  struct program_setting setting = {.path_env = getenv("PATH"), .guarded = true};
  static char path[PATH_MAX];
  int rc = parse_options(argc, argv, &a);
  if (rc != EX_OK)
    return rc;
  if (a.config)
    check_configuration(a.config, &setting, &found);
  examine(a.program[0], &setting, path, &found);
  rc = exit_code(&found);
  if (a.json && print_json(&a, path, &found) != 0)
    rc = EX_OSERR;
  else if (!a.json)
    print_text(&a, &found);
  findings_free(&found);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "svidwrap: cannot write: %s\n", strerror(errno));
    return EX_IOERR;
  }
  return rc;
}
