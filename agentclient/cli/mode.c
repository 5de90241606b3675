/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mode.c - `svidwrap mode` and `svidwrap rollback`: orders to the running daemon, and what they mean for files.
 */
#include "ask.h"
#include "cli.h"
#include "config.h"
#include "report.h"
#include "rewrite.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define FILES_MAX 64

static const char mode_usage[] =
    "usage: svidwrap mode RULE MODE [--percent N] [--persist] [--config FILE]\n"
    "\n"
    "Changes the mode of a rule at once, in every program that has it.\n"
    "\n"
    "  RULE           its name (as in `svidwrap report`), the port of a listen rule (6379), or a destination of a\n"
    "                 connect rule (10.0.0.5:6379, redis.internal:6379)\n"
    "  MODE           off, permissive (listen), canary (connect) or enforce\n"
    "  --percent N    canary: so many of a hundred connections by mTLS, the others in plaintext\n"
    "  --persist      write it into the configuration file, too; comments stay. Without it the change holds until\n"
    "                 the file changes or the daemon ends\n"
    "  --config FILE  only for programs with this configuration\n";

static const char rollback_usage[] =
    "usage: svidwrap rollback [--all]\n"
    "\n"
    "Undoes the last change of rules, whether `svidwrap mode` made it or a changed file; once more, and the one\n"
    "before is undone. What `svidwrap mode --persist` wrote into a file is taken back there, too; a file that was\n"
    "changed by somebody else is left as it is.\n"
    "\n"
    "  --all   every change that the daemon remembers (the last 16), the newest first\n";

static int finish(const char *command, int rc) {
  if (fflush(stdout) == 0 && !ferror(stdout))
    return rc;
  fprintf(stderr, "svidwrap %s: cannot write: %s\n", command, strerror(errno));
  return EX_IOERR;
}

static void print_changes(const json_t *changes) {
  size_t i;
  const json_t *c;
  json_array_foreach(changes, i, c) {
    if (*report_string(c, "rule"))
      printf("%s: rule '%s': %s -> %s\n", report_string(c, "config"), report_string(c, "rule"),
             report_string(c, "old"), report_string(c, "new"));
    else
      printf("%s: other parts of the policy\n", report_string(c, "config"));
    if (*report_string(c, "variable"))
      printf("note: %s of the program decides about it again when the file changes\n", report_string(c, "variable"));
  }
}

static void print_ended(const json_t *answer) {
  long long n = report_number(answer, "ended");
  if (n > 0)
    printf("%lld live connection%s that this policy does not let in %s ended\n", n, n == 1 ? "" : "s",
           n == 1 ? "is" : "are");
}

/* -- mode -- */

/* The files that the daemon wants to see, as {path: text}. NULL and an exit code. */
static json_t *open_files(const json_t *wanted, struct rewrite *files, size_t *count, int *rc) {
  json_t *texts = json_object();
  char why[1024] = "too many files";
  for (size_t i = 0; i < json_array_size(wanted); i++) {
    const char *path = json_string_value(json_array_get(wanted, i));
    if (*count == FILES_MAX || !path || rewrite_begin(&files[(*count)++], path, why, sizeof why) != 0) {
      fprintf(stderr, "svidwrap mode: %s; nothing was changed\n", why);
      *rc = EX_CANTCREAT;
      json_decref(texts);
      return NULL;
    }
    if (json_object_set_new(texts, path, json_string(files[*count - 1].text)) != 0) {
      fprintf(stderr, "svidwrap mode: %s is not UTF-8; nothing was changed\n", path);
      *rc = EX_DATAERR;
      json_decref(texts);
      return NULL;
    }
  }
  return texts;
}

static int write_files(const json_t *wanted, const json_t *texts, struct rewrite *files) {
  int rc = EX_OK;
  char why[1024];
  for (size_t i = 0; i < json_array_size(wanted); i++) {
    const char *path = json_string_value(json_array_get(wanted, i));
    const char *text = json_string_value(json_object_get(texts, path));
    if (text && rewrite_commit(&files[i], text, why, sizeof why) == 0) {
      printf("%s: written\n", path);
    } else {
      fprintf(stderr, "svidwrap mode: the change is in force, but NOT in the file: %s\n", text ? why : path);
      rc = EX_CANTCREAT;
    }
  }
  return rc;
}

static int ask(const char *command, const json_t *request, json_t **answer) {
  char why[1024];
  int rc = ask_daemon(WIRE_ADMIN, request, answer, why, sizeof why);
  if (rc == EX_OK && !*answer)
    snprintf(why, sizeof why, "the daemon gave no answer");
  if (rc != EX_OK || !*answer)
    fprintf(stderr, "svidwrap %s: %s\n", command, why);
  return rc != EX_OK || *answer ? rc : EX_PROTOCOL;
}

static int persist(json_t *request, json_t **answer, struct rewrite *files, size_t *count) {
  json_t *wanted = json_incref(json_object_get(*answer, "files_wanted"));
  json_decref(*answer);
  *answer = NULL;
  int rc = EX_OK;
  json_t *texts = open_files(wanted, files, count, &rc);
  if (texts) {
    json_object_set_new(request, "files", texts);
    rc = ask("mode", request, answer);
  }
  if (rc == EX_OK)
    rc = write_files(wanted, json_object_get(*answer, "files"), files);
  json_decref(wanted);
  return rc;
}

static int change(json_t *request) {
  static struct rewrite files[FILES_MAX];
  size_t count = 0;
  json_t *answer = NULL;
  int rc = ask("mode", request, &answer);
  bool wrote = rc == EX_OK && json_object_get(answer, "files_wanted");
  if (wrote)
    rc = persist(request, &answer, files, &count);
  if (answer) {
    const json_t *changes = json_object_get(answer, "changes");
    print_changes(changes);
    print_ended(answer);
    if (json_array_size(changes) == 0)
      printf("the rule is in that mode already\n");
    else if (!wrote)
      printf("this holds until the file changes or the daemon ends; with --persist it is written there\n");
  }
  while (count)
    rewrite_end(&files[--count]);
  json_decref(answer);
  return finish("mode", rc);
}

int cli_mode(int argc, char **argv) {
  enum { PERCENT = 1, PERSIST, CONFIG };
  static const struct option options[] = {{"percent", required_argument, NULL, PERCENT},
                                          {"persist", no_argument, NULL, PERSIST},
                                          {"config", required_argument, NULL, CONFIG},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  long percent = -1;
  bool keep = false;
  char config[PATH_MAX] = "", *end;
  for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
    if (c == 'h') {
      fputs(mode_usage, stdout);
      return EX_OK;
    }
    if (c == PERCENT) {
      percent = strtol(optarg, &end, 10);
      if (!*optarg || *end || percent < 0 || percent > 100) {
        fprintf(stderr, "svidwrap mode: --percent %s: a number from 0 to 100\n", optarg);
        return EX_USAGE;
      }
    }
    if (c == '?' || (c == CONFIG && config_absolute(optarg, config) != 0)) {
      fputs(mode_usage, stderr);
      return EX_USAGE;
    }
    keep |= c == PERSIST;
  }
  if (argc - optind != 2) {
    fputs(mode_usage, stderr);
    return EX_USAGE;
  }
  if (percent >= 0 && strcmp(argv[optind + 1], "canary") != 0) {
    fprintf(stderr, "svidwrap mode: --percent is for canary\n");
    return EX_USAGE;
  }
  json_t *request = json_pack("{s:s, s:s, s:s, s:b}", "verb", "mode", "rule", argv[optind], "mode", argv[optind + 1],
                              "persist", keep);
  if (percent >= 0)
    json_object_set_new(request, "percent", json_integer(percent));
  if (config[0])
    json_object_set_new(request, "config", json_string(config));
  int rc = change(request);
  json_decref(request);
  return rc;
}

/* -- rollback -- */

/* Where the file holds what the order wrote, it gets the text of before. */
static int restore(const char *path, const json_t *texts) {
  struct rewrite r;
  char why[1024];
  int rc = rewrite_begin(&r, path, why, sizeof why);
  if (rc == 0 && strcmp(r.text, report_string(texts, "written")) != 0) {
    snprintf(why, sizeof why, "somebody else changed it since");
    rc = -1;
  }
  if (rc == 0)
    rc = rewrite_commit(&r, report_string(texts, "before"), why, sizeof why);
  rewrite_end(&r);
  if (rc == 0)
    printf("%s: written\n", path);
  else
    fprintf(stderr, "svidwrap rollback: it is undone, but NOT in %s: %s\n", path, why);
  return rc == 0 ? EX_OK : EX_CANTCREAT;
}

static int undo_one(long long *left_over) {
  json_t *answer = NULL, *request = json_pack("{s:s}", "verb", "rollback"), *texts, *left;
  int rc = ask("rollback", request, &answer);
  json_decref(request);
  if (rc != EX_OK)
    return rc;
  char when[64] = "";
  const char *path;
  size_t i;
  time_t at = (time_t)report_number(answer, "at");
  struct tm tm;
  if (gmtime_r(&at, &tm))
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
  printf("undone: %s of %s\n",
         strcmp(report_string(answer, "undone"), "file") == 0 ? "the changed file" : "the order", when);
  print_changes(json_object_get(answer, "changes"));
  print_ended(answer);
  json_object_foreach(json_object_get(answer, "files"), path, texts) {
    int one = restore(path, texts);
    rc = rc == EX_OK ? one : rc;
  }
  json_array_foreach(json_object_get(answer, "files_left"), i, left) {
    printf("note: %s is left as it is and says otherwise: that holds once it changes again, or for a new daemon\n",
           json_string_value(left));
  }
  *left_over = report_number(answer, "left");
  json_decref(answer);
  return rc;
}

int cli_rollback(int argc, char **argv) {
  static const struct option options[] = {
      {"all", no_argument, NULL, 'a'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  bool all = false;
  for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
    if (c != 'a') {
      fputs(rollback_usage, c == 'h' ? stdout : stderr);
      return c == 'h' ? EX_OK : EX_USAGE;
    }
    all = true;
  }
  if (optind < argc) {
    fputs(rollback_usage, stderr);
    return EX_USAGE;
  }
  long long left = 0;
  int rc;
  do
    rc = undo_one(&left);
  while (all && rc == EX_OK && left > 0);
  if (rc == EX_OK)
    printf("%lld more can be undone\n", left);
  return finish("rollback", rc);
}
