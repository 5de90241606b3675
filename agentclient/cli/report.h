/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - the daemon's survey (observe/survey.h) written for people.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <jansson.h>
#include <stdio.h>

void report_text(FILE *to, const json_t *survey);
/* One page that needs nothing else. Every string is escaped. */
void report_html(FILE *to, const json_t *survey);

/* What both need: a string, "" where there is none; a number; the columns of a peer. */
const char *report_string(const json_t *o, const char *key);
long long report_number(const json_t *o, const char *key);
struct report_column {
  const char *key, *title;
};
#define REPORT_COLUMNS 5
extern const struct report_column report_columns[REPORT_COLUMNS];
/* "permissive, policy: audit", "canary 25 %", "not loaded". */
const char *report_mode(const json_t *rule, char *buf, size_t len);
/* What has to be known of the window: when counting began, what keeps it from being kept. NULL: no more. */
const char *report_caveat(const json_t *survey, unsigned i, char *buf, size_t len);

#endif
