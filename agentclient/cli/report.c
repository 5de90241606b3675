/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.c - `svidwrap report`: asks the daemon what passed under every rule, and writes it down as text. It judges
 * nothing itself.
 */
#include "report.h"

#include "ask.h"
#include "cli.h"
#include "since.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
    "usage: svidwrap report [--since T] [--json|--html]\n"
    "\n"
    "What passed under every rule: in plaintext, by mTLS, what the policy would have denied, denied and failed, for\n"
    "each peer; and whether the rule is safe to enforce, or what stands against it. A rule is safe to enforce when\n"
    "in the window no plaintext and nothing that would be denied was seen, and some mTLS was.\n"
    "\n"
    "  --since T    the window: 90s, 15m, 24h, 7d, or an RFC 3339 time (default: 24h, or less where counting began\n"
    "               later)\n"
    "  --json       the document itself\n"
    "  --html       one page to pass around\n"
    "\n"
    "Asks the daemon of this user, or else root's, which answers root alone. Exits 69 when no daemon answers.\n";

const struct report_column report_columns[REPORT_COLUMNS] = {{"plaintext", "plaintext"},
                                                             {"mtls", "mTLS"},
                                                             {"would_deny", "would deny"},
                                                             {"denied", "denied"},
                                                             {"failed", "failed"}};

const char *report_string(const json_t *o, const char *key) {
  const char *s = json_string_value(json_object_get(o, key));
  return s ? s : "";
}

long long report_number(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }

const char *report_mode(const json_t *rule, char *buf, size_t len) {
  const char *mode = report_string(rule, "mode");
  char percent[24] = "";
  if (json_object_get(rule, "percent"))
    snprintf(percent, sizeof percent, " %lld %%", report_number(rule, "percent"));
  snprintf(buf, len, "%s%s%s", *mode ? mode : "not loaded", percent,
           json_is_true(json_object_get(rule, "policy_audit")) ? ", policy: audit" : "");
  return buf;
}

const char *report_caveat(const json_t *survey, unsigned i, char *buf, size_t len) {
  bool late = strcmp(report_string(survey, "since"), report_string(survey, "asked_since")) != 0;
  const char *trouble = report_string(survey, "state_trouble");
  if (late && i-- == 0)
    snprintf(buf, len, "counting began at %s only%s", report_string(survey, "counting_began"),
             *report_string(survey, "state_dir") ? "" : " (state_dir would keep the counts over restarts)");
  else if (*trouble && i-- == 0)
    snprintf(buf, len, "the counts are not kept: %s", trouble);
  else if (json_array_size(json_object_get(survey, "rules")) == 0 && i-- == 0)
    snprintf(buf, len, "no program that runs now has a rule, and nothing was counted");
  else
    return NULL;
  return buf;
}

static void peers_text(FILE *to, const json_t *peers) {
  size_t i;
  const json_t *p;
  int width = 20;
  json_array_foreach(peers, i, p) {
    int n = (int)strlen(report_string(p, "peer"));
    width = n > width ? n : width;
  }
  width = width > 60 ? 60 : width;
  fprintf(to, "    %-*s", width, "peer");
  for (unsigned c = 0; c < REPORT_COLUMNS; c++)
    fprintf(to, " %10s", report_columns[c].title);
  fprintf(to, "  last seen\n");
  json_array_foreach(peers, i, p) {
    fprintf(to, "    %-*s", width, report_string(p, "peer"));
    for (unsigned c = 0; c < REPORT_COLUMNS; c++)
      fprintf(to, " %10lld", report_number(p, report_columns[c].key));
    fprintf(to, "  %s", report_string(p, "last_seen"));
    if (*report_string(p, "last_reason"))
      fprintf(to, "  %s", report_string(p, "last_reason"));
    fputc('\n', to);
  }
}

void report_text(FILE *to, const json_t *survey) {
  char buf[512];
  size_t i, k;
  const json_t *rule, *note;
  fprintf(to, "Connections from %s to %s\n", report_string(survey, "since"), report_string(survey, "now"));
  for (unsigned n = 0; report_caveat(survey, n, buf, sizeof buf); n++)
    fprintf(to, "note: %s\n", buf);
  json_array_foreach(json_object_get(survey, "rules"), i, rule) {
    const char *name = report_string(rule, "rule");
    fprintf(to, "\n%s  [%s]  %s\n", *name ? name : "(no rule)", report_mode(rule, buf, sizeof buf),
            report_string(rule, "config"));
    fprintf(to, "  %s\n", report_string(json_object_get(rule, "verdict"), "text"));
    json_array_foreach(json_object_get(rule, "notes"), k, note) {
      fprintf(to, "  note: %s\n", json_string_value(note));
    }
    if (json_array_size(json_object_get(rule, "peers")) > 0)
      peers_text(to, json_object_get(rule, "peers"));
  }
}

int cli_report(int argc, char **argv) {
  enum { SINCE = 1, JSON, HTML };
  static const struct option options[] = {{"since", required_argument, NULL, SINCE},
                                          {"json", no_argument, NULL, JSON},
                                          {"html", no_argument, NULL, HTML},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  time_t now = time(NULL), since = now - 86400;
  int as = 0;
  for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
    if (c == SINCE && since_parse(optarg, now, &since) != 0) {
      fprintf(stderr,
              "svidwrap report: --since %s: neither a duration (90s, 15m, 24h, 7d) nor an RFC 3339 time of the past "
              "(2026-01-31T12:00:00Z)\n",
              optarg);
      return EX_USAGE;
    }
    if (c == 'h') {
      fputs(usage, stdout);
      return EX_OK;
    }
    if (c == '?' || ((c == JSON || c == HTML) && as && as != c)) {
      fputs(usage, stderr);
      return EX_USAGE;
    }
    as = c == JSON || c == HTML ? c : as;
  }
  if (optind < argc) {
    fputs(usage, stderr);
    return EX_USAGE;
  }
  char why[1024];
  json_t *survey = NULL, *request = json_pack("{s:s, s:I}", "verb", "report", "since", (json_int_t)since);
  int rc = ask_daemon(WIRE_ADMIN, request, &survey, why, sizeof why);
  json_decref(request);
  if (rc != EX_OK) {
    fprintf(stderr, "svidwrap report: %s\n", why);
    return rc;
  }
  if (as == JSON) {
    json_dumpf(survey, stdout, JSON_INDENT(2));
    putchar('\n');
  } else if (as == HTML) {
    report_html(stdout, survey);
  } else {
    report_text(stdout, survey);
  }
  json_decref(survey);
  if (fflush(stdout) == 0 && !ferror(stdout))
    return EX_OK;
  fprintf(stderr, "svidwrap report: cannot write: %s\n", strerror(errno));
  return EX_IOERR;
}
