/* SPDX-License-Identifier: Apache-2.0 */
/*
 * findings.c - the list of what was found, as text and as JSON (docs/check.schema.json); see findings.h.
 */
#include "findings.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char *const names[] = {"ok", "unknown", "cost", "cannot"};

const char *finding_status_name(enum finding_status status) { return names[status]; }

static char *copy(struct findings *f, const char *text) {
  char *s = strdup(text ? text : "");
  if (!s)
    f->out_of_memory = true;
  return s;
}

static void drop(struct finding *one) {
  free(one->subject);
  free(one->what);
  free(one->why);
  free(one->cure);
}

static void add(struct findings *f, enum finding_status status, int code, const char *id, const char *const text[4]) {
  if (f->count == f->room) {
    size_t room = f->room ? 2 * f->room : 16;
    struct finding *more = realloc(f->list, room * sizeof *more);
    if (!more) {
      f->out_of_memory = true;
      return;
    }
    f->list = more;
    f->room = room;
  }
  struct finding one = {.status = status,
                        .id = id,
                        .code = code,
                        .subject = copy(f, text[0]),
                        .what = copy(f, text[1]),
                        .why = copy(f, text[2]),
                        .cure = copy(f, text[3])};
  if (one.subject && one.what && one.why && one.cure)
    f->list[f->count++] = one;
  else
    drop(&one);
}

void findings_add(struct findings *f, enum finding_status status, const char *id, const char *subject,
                  const char *what, const char *why, const char *cure) {
  add(f, status, status == FINDING_CANNOT ? EX_DATAERR : 0, id, (const char *const[]){subject, what, why, cure});
}

void findings_refuse(struct findings *f, int code, const char *id, const char *subject, const char *what,
                     const char *why, const char *cure) {
  add(f, FINDING_CANNOT, code, id, (const char *const[]){subject, what, why, cure});
}

void findings_say(struct findings *f, enum finding_status status, const char *id, const char *subject,
                  const char *fmt, ...) {
  va_list ap;
  char *text = NULL;
  va_start(ap, fmt);
  if (vasprintf(&text, fmt, ap) < 0)
    f->out_of_memory = true;
  else
    findings_add(f, status, id, subject, text, NULL, NULL);
  va_end(ap);
  free(text);
}

enum finding_status findings_worst(const struct findings *f) {
  enum finding_status worst = f->out_of_memory ? FINDING_CANNOT : FINDING_OK;
  for (size_t i = 0; i < f->count; i++)
    worst = f->list[i].status > worst ? f->list[i].status : worst;
  return worst;
}

const struct finding *findings_refusal(const struct findings *f) {
  for (size_t i = 0; i < f->count; i++)
    if (f->list[i].status == FINDING_CANNOT)
      return &f->list[i];
  return NULL;
}

void findings_free(struct findings *f) {
  for (size_t i = 0; i < f->count; i++)
    drop(&f->list[i]);
  free(f->list);
  *f = (struct findings){0};
}

void finding_print(FILE *to, const struct finding *f) {
  fputs(f->what, to);
  if (*f->why)
    fprintf(to, ", %s", f->why);
  if (*f->cure)
    fprintf(to, "; %s", f->cure);
}

void findings_print(FILE *to, const struct findings *f) {
  for (int status = FINDING_CANNOT; status >= FINDING_OK; status--) {
    for (size_t i = 0; i < f->count; i++) {
      const struct finding *one = &f->list[i];
      if ((int)one->status != status)
        continue;
      fprintf(to, "%-8s %-14s %s%s", names[status], one->id, one->subject, *one->subject ? ": " : "");
      finding_print(to, one);
      fputc('\n', to);
    }
  }
}

/* File names may hold anything; JSON is UTF-8. */
static json_t *string(const char *text) {
  json_t *s = json_string(text);
  char *plain = s ? NULL : strdup(text);
  if (!plain)
    return s;
  for (char *c = plain; *c; c++)
    *c = (char)((unsigned char)*c < 0x80 ? *c : '?');
  s = json_string(plain);
  free(plain);
  return s;
}

void finding_set_text(json_t *object, const char *key, const char *text) {
  json_object_set_new(object, key, string(text));
}

json_t *findings_json(const struct findings *f) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < f->count; i++) {
    const struct finding *one = &f->list[i];
    json_t *o = json_object();
    json_object_set_new(o, "status", json_string(names[one->status]));
    json_object_set_new(o, "id", json_string(one->id));
    const char *const texts[] = {"subject", one->subject, "what", one->what, "why", one->why, "cure", one->cure};
    for (size_t k = 0; k < 8; k += 2)
      if (*texts[k + 1])
        json_object_set_new(o, texts[k], string(texts[k + 1]));
    if (one->status == FINDING_CANNOT)
      json_object_set_new(o, "exit", json_integer(one->code));
    json_array_append_new(array, o);
  }
  return array;
}
