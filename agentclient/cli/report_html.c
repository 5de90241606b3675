/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_html.c - the survey as one page: no script, nothing loaded from elsewhere. Peers and programs chose some of
 * the strings: each goes through esc().
 */
#include "report.h"

#include <stdbool.h>

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>svidwrap report</title>\n<style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1b1f24}\n"
    "h2{font-size:1.1em;margin:2em 0 .2em}small{color:#57606a;font-weight:normal}\n"
    "p{margin:.2em 0}.safe,.not{font-weight:600;padding:.2em .6em;border-radius:4px;display:inline-block}\n"
    ".safe{background:#dafbe1;color:#116329}.not{background:#ffebe9;color:#82071e}\n"
    "table{border-collapse:collapse;margin:.6em 0;width:100%}th,td{padding:.25em .6em;border-bottom:1px solid "
    "#d0d7de;"
    "text-align:left;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "td.bad{color:#82071e;font-weight:600}td.peer{word-break:break-all}\n</style></head><body>\n";

static void esc(FILE *to, const char *s) {
  for (; *s; s++) {
    switch (*s) {
    case '&':
      fputs("&amp;", to);
      break;
    case '<':
      fputs("&lt;", to);
      break;
    case '>':
      fputs("&gt;", to);
      break;
    case '"':
      fputs("&quot;", to);
      break;
    case '\'':
      fputs("&#39;", to);
      break;
    default:
      fputc(*s, to);
    }
  }
}

static void element(FILE *to, const char *open, const char *s, const char *close) {
  fputs(open, to);
  esc(to, s);
  fputs(close, to);
}

static void peers_html(FILE *to, const json_t *peers) {
  size_t i;
  const json_t *p;
  fputs("<table><tr><th>peer</th>", to);
  for (unsigned c = 0; c < REPORT_COLUMNS; c++)
    element(to, "<th class=\"n\">", report_columns[c].title, "</th>");
  fputs("<th>last seen</th><th>last reason</th></tr>\n", to);
  json_array_foreach(peers, i, p) {
    element(to, "<tr><td class=\"peer\">", report_string(p, "peer"), "</td>");
    for (unsigned c = 0; c < REPORT_COLUMNS; c++) {
      long long n = report_number(p, report_columns[c].key);
      bool against = n && (c == 0 || c == 2); /* plaintext, would deny */
      fprintf(to, "<td class=\"n%s\">%lld</td>", against ? " bad" : "", n);
    }
    element(to, "<td>", report_string(p, "last_seen"), "</td>");
    element(to, "<td>", report_string(p, "last_reason"), "</td></tr>\n");
  }
  fputs("</table>\n", to);
}

static void rule_html(FILE *to, const json_t *rule) {
  char buf[128];
  size_t k;
  const json_t *note, *verdict = json_object_get(rule, "verdict");
  const char *name = report_string(rule, "rule");
  element(to, "<h2>", *name ? name : "(no rule)", " <small>");
  esc(to, report_mode(rule, buf, sizeof buf));
  element(to, " &middot; ", report_string(rule, "config"), "</small></h2>\n");
  element(to, json_is_true(json_object_get(verdict, "safe")) ? "<p class=\"safe\">" : "<p class=\"not\">",
          report_string(verdict, "text"), "</p>\n");
  json_array_foreach(json_object_get(rule, "notes"), k, note) {
    element(to, "<p>", json_string_value(note), "</p>\n");
  }
  if (json_array_size(json_object_get(rule, "peers")) > 0)
    peers_html(to, json_object_get(rule, "peers"));
}

void report_html(FILE *to, const json_t *survey) {
  char buf[512];
  size_t i;
  const json_t *rule;
  fputs(head, to);
  element(to, "<h1>svidwrap report</h1>\n<p>Connections from ", report_string(survey, "since"), " to ");
  element(to, "", report_string(survey, "now"), "</p>\n");
  for (unsigned n = 0; report_caveat(survey, n, buf, sizeof buf); n++)
    element(to, "<p>", buf, "</p>\n");
  json_array_foreach(json_object_get(survey, "rules"), i, rule) { rule_html(to, rule); }
  fputs("</body></html>\n", to);
}
