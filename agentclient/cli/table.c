/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - see table.h. Cells are measured in characters, not bytes; whoever fills them in has cleaned them of what
 * a terminal would obey.
 */
#include "table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cell {
  char *text;
  enum table_colour colour;
};

struct table {
  const char *const *headers;
  size_t columns, count, room;
  struct cell *cells;
};

bool table_coloured(FILE *to) {
  const char *off = getenv("NO_COLOR"), *term = getenv("TERM");
  return isatty(fileno(to)) && !(off && *off) && term && strcmp(term, "dumb") != 0;
}

void table_text(FILE *to, bool coloured, enum table_colour c, const char *text) {
  static const char *const codes[] = {"", "\033[1m", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};
  if (!coloured || c == TABLE_PLAIN)
    fputs(text, to);
  else
    fprintf(to, "%s%s\033[0m", codes[c], text);
}

struct table *table_new(const char *const *headers) {
  struct table *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  t->headers = headers;
  while (headers[t->columns])
    t->columns++;
  return t;
}

void table_cell(struct table *t, enum table_colour c, const char *fmt, ...) {
  if (!t)
    return;
  if (t->count == t->room) {
    size_t room = t->room ? t->room * 2 : 64;
    struct cell *more = realloc(t->cells, room * sizeof *more);
    if (!more)
      return;
    t->cells = more;
    t->room = room;
  }
  va_list ap;
  va_start(ap, fmt);
  char *text;
  if (vasprintf(&text, fmt, ap) < 0)
    text = NULL;
  va_end(ap);
  t->cells[t->count++] = (struct cell){text, c};
}

static size_t width(const char *text) {
  size_t n = 0;
  for (; *text; text++)
    n += ((unsigned char)*text & 0xc0) != 0x80;
  return n;
}

static const char *text_of(const struct cell *c) { return c->text && *c->text ? c->text : "-"; }

static void put(FILE *to, bool coloured, enum table_colour c, const char *text, size_t wide, bool right, bool last) {
  size_t pad = wide - width(text);
  if (right)
    fprintf(to, "%*s", (int)pad, "");
  table_text(to, coloured, c, text);
  if (!last)
    fprintf(to, "%*s", (int)(right ? 2 : pad + 2), "");
}

void table_print(const struct table *t, FILE *to, bool coloured) {
  if (!t || t->count < t->columns)
    return;
  size_t wide[32];
  for (size_t k = 0; k < t->columns; k++) {
    wide[k] = width(t->headers[k]) - (t->headers[k][0] == '>');
    for (size_t i = k; i < t->count; i += t->columns)
      if (width(text_of(&t->cells[i])) > wide[k])
        wide[k] = width(text_of(&t->cells[i]));
  }
  for (size_t k = 0; k < t->columns; k++) {
    bool right = t->headers[k][0] == '>';
    put(to, coloured, TABLE_DIM, t->headers[k] + right, wide[k], right, k + 1 == t->columns);
  }
  fputc('\n', to);
  for (size_t i = 0; i + t->columns <= t->count; i += t->columns) {
    for (size_t k = 0; k < t->columns; k++)
      put(to, coloured, t->cells[i + k].colour, text_of(&t->cells[i + k]), wide[k], t->headers[k][0] == '>',
          k + 1 == t->columns);
    fputc('\n', to);
  }
}

void table_free(struct table *t) {
  if (!t)
    return;
  for (size_t i = 0; i < t->count; i++)
    free(t->cells[i].text);
  free(t->cells);
  free(t);
}

const char *table_bytes(char *buf, uint64_t n) {
  static const char units[] = "BKMGTPE";
  size_t u = 0;
  double v = (double)n;
  while (v >= 1024 && u + 1 < sizeof units - 1) {
    v /= 1024;
    u++;
  }
  if (u == 0)
    snprintf(buf, 32, "%" PRIu64 "B", n);
  else
    snprintf(buf, 32, v < 10 ? "%.1f%c" : "%.0f%c", v, units[u]);
  return buf;
}

const char *table_duration(char *buf, int64_t ms) {
  int64_t s = ms / 1000;
  if (ms < 1000)
    snprintf(buf, 32, "%" PRId64 "ms", ms);
  else if (s < 60)
    snprintf(buf, 32, "%" PRId64 "s", s);
  else if (s < 3600)
    snprintf(buf, 32, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
  else if (s < 86400)
    snprintf(buf, 32, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
  else
    snprintf(buf, 32, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
  return buf;
}
