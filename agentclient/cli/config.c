/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - `svidwrap config check`: a configuration told back as it was understood. And how every command
 * finds its configuration.
 */
#include "config.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage[] = "usage: svidwrap config check [FILE] [--json]\n"
                            "\n"
                            "Reads a configuration and prints its rules as understood, in the order in which they\n"
                            "are tried. FILE: else $SVIDWRAP_CONFIG, else " CONFIG_DEFAULT ".\n"
                            "Warns of rules that can never match because earlier ones hide them.\n"
                            "Exits 78 and prints FILE:LINE:COLUMN: MESSAGE when it is not valid.\n"
                            "\n"
                            "  --json   as JSON\n";

static const char *from_environment(void *arg, const char *name) {
  (void)arg;
  return getenv(name);
}

int config_absolute(const char *given, char path[PATH_MAX]) {
  char cwd[PATH_MAX];
  int n;
  if (given[0] == '/')
    n = snprintf(path, PATH_MAX, "%s", given);
  else if (getcwd(cwd, sizeof cwd))
    n = snprintf(path, PATH_MAX, "%s/%s", cwd, given);
  else
    return -1;
  if (n >= PATH_MAX) {
    errno = ENAMETOOLONG;
    return -1;
  }
  return 0;
}

struct policy *config_try(const char *given, char path[PATH_MAX], char *why, size_t why_len) {
  const char *env = getenv("SVIDWRAP_CONFIG");
  const char *name = given ? given : env && *env ? env : CONFIG_DEFAULT;
  if (config_absolute(name, path) != 0) {
    snprintf(why, why_len, "%s: %s", name, strerror(errno));
    return NULL;
  }
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) {
    snprintf(why, why_len, "%s: %s%s", path, strerror(errno),
             given ? "" : " (name a configuration with --config or SVIDWRAP_CONFIG)");
    return NULL;
  }
  struct policy *p = policy_read(path, fd, from_environment, NULL, why, why_len);
  close(fd);
  return p;
}

struct policy *config_load(const char *given, char path[PATH_MAX]) {
  char why[PATH_MAX + 1024];
  struct policy *p = config_try(given, path, why, sizeof why);
  if (!p)
    fprintf(stderr, "%s\n", why);
  return p;
}

void config_needs(const struct policy *p, struct config_needs *out) {
  *out = (struct config_needs){0};
  for (uint32_t i = 0; i < policy_rule_count(p); i++) {
    const struct policy_rule *r = policy_rule_at(p, i);
    out->shim_kept |= r->mode != RULES_OFF || r->staged;
    out->agent |= r->mode != RULES_OFF;
    out->identity |= r->mode == RULES_ENFORCE || (r->mode == RULES_CANARY && r->percent > 0);
  }
}

static void warn(void *path, unsigned line, unsigned col, const char *text) {
  fprintf(stderr, "%s:%u:%u: warning: %s\n", (const char *)path, line, col, text);
}

extern char **environ;

/* A variable that looks like an override and changed nothing: a port that no rule names, a name that is spelt
 * otherwise. */
static void warn_of_variables(const struct policy *p, const char *path) {
  for (char **e = environ; e && *e; e++) {
    size_t n = strcspn(*e, "=");
    bool ours = strncmp(*e, "SVIDWRAP_LISTEN_", 16) == 0 || strncmp(*e, "SVIDWRAP_CONNECT_", 17) == 0;
    for (uint32_t i = 0; ours && i < policy_rule_count(p); i++) {
      const struct policy_rule *r = policy_rule_at(p, i);
      const char *const by[] = {r->mode_from, r->percent_from};
      for (size_t k = 0; k < 2; k++)
        if (by[k] && strlen(by[k]) == n && strncmp(by[k], *e, n) == 0)
          ours = false;
    }
    if (ours && (*e)[n] && (*e)[n + 1])
      fprintf(stderr, "%s:1:1: warning: the environment variable %.*s changes no rule%s\n", path, (int)n, *e,
              policy_settings(p)->enforce_config ? ": the file says enforce_config" : "");
  }
}

static int check(const char *given, bool json) {
  char path[PATH_MAX];
  struct policy *p = config_load(given, path);
  if (!p)
    return EX_CONFIG;
  int rc = EX_OK;
  char *text = policy_describe(p, json);
  if (!text) {
    fprintf(stderr, "svidwrap: out of memory\n");
    rc = EX_OSERR;
  } else {
    printf("%s%s", text, json ? "\n" : "");
    if (fflush(stdout) != 0 || ferror(stdout)) {
      fprintf(stderr, "svidwrap: cannot write: %s\n", strerror(errno));
      rc = EX_IOERR;
    }
  }
  policy_warnings(p, warn, path);
  warn_of_variables(p, path);
  free(text);
  policy_unref(p);
  return rc;
}

int cli_config(int argc, char **argv) {
  static const struct option options[] = {
      {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  bool json = false;
  int c;
  while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
    if (c == 'j') {
      json = true;
    } else if (c == 'h') {
      fputs(usage, stdout);
      return EX_OK;
    } else {
      fputs(usage, stderr);
      return EX_USAGE;
    }
  }
  if (optind >= argc || strcmp(argv[optind], "check") != 0 || argc - optind > 2) {
    fputs(usage, stderr);
    return EX_USAGE;
  }
  return check(optind + 1 < argc ? argv[optind + 1] : NULL, json);
}
