/* SPDX-License-Identifier: Apache-2.0 */
/*
 * findings.h - what was found out about a program before it runs: each with what, why and what to do. `svidwrap
 * check` prints them, `svidwrap run` obeys them.
 */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* In order of their weight. */
enum finding_status {
  FINDING_OK = 0,  /* looked at, and fine */
  FINDING_UNKNOWN, /* cannot be known before it runs; fine as far as can be seen */
  FINDING_COST,    /* works, but not as well, or not all of it */
  FINDING_CANNOT,  /* cannot be wrapped: `svidwrap run` refuses */
};

struct finding {
  enum finding_status status;
  const char *id;                    /* a word that stays the same: "static"; a literal */
  int code;                          /* CANNOT: what `svidwrap run` exits with: 65, 126, 127 */
  char *subject, *what, *why, *cure; /* why and cure may be "" */
};

struct findings {
  struct finding *list;
  size_t count, room;
  bool out_of_memory;
};

/* Texts are copied; NULL is "". */
void findings_add(struct findings *f, enum finding_status status, const char *id, const char *subject,
                  const char *what, const char *why, const char *cure);
/* The same, with text made of fmt, and no why or cure. */
void findings_say(struct findings *f, enum finding_status status, const char *id, const char *subject,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* CANNOT with an exit code of its own for `run`. */
void findings_refuse(struct findings *f, int code, const char *id, const char *subject, const char *what,
                     const char *why, const char *cure);
/* CANNOT where memory ran out: what was not looked at is not fine. */
enum finding_status findings_worst(const struct findings *f);
/* The first that is CANNOT, or NULL. */
const struct finding *findings_refusal(const struct findings *f);
void findings_free(struct findings *f);

const char *finding_status_name(enum finding_status status);
/* "what, why; cure" */
void finding_print(FILE *to, const struct finding *f);
/* A line each, the worst first. */
void findings_print(FILE *to, const struct findings *f);
json_t *findings_json(const struct findings *f);
/* As JSON wants it: what is no UTF-8 is replaced. */
void finding_set_text(json_t *object, const char *key, const char *text);

#endif
