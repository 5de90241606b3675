/* SPDX-License-Identifier: Apache-2.0 */
/*
 * since.c - durations and RFC 3339 times. A time without a zone is refused: nobody knows which one was meant.
 */
#include "since.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int duration(const char *text, time_t *seconds) {
  static const struct {
    char unit;
    time_t seconds;
  } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
  char *end;
  if (!isdigit((unsigned char)*text))
    return -1;
  unsigned long long n = strtoull(text, &end, 10);
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (end[0] == units[i].unit && !end[1] && n <= 1000000000u) {
      *seconds = (time_t)n * units[i].seconds;
      return 0;
    }
  return -1;
}

/* "Z", "+hh:mm", "-hh:mm": seconds east of UTC. */
static int zone(const char *text, long *east) {
  unsigned h, m;
  int used = 0;
  if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
    *east = 0;
    return 0;
  }
  if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2u:%2u%n", &h, &m, &used) != 2 || used != 5 || text[6] ||
      h > 23 || m > 59)
    return -1;
  *east = (long)(h * 3600 + m * 60) * (*text == '-' ? -1 : 1);
  return 0;
}

static int moment(const char *text, time_t *out) {
  struct tm tm = {0};
  long east = 0;
  const char *rest = strptime(text, "%Y-%m-%d", &tm);
  if (!rest || rest - text != 10)
    return -1;
  if (*rest) {
    if (*rest != 'T' && *rest != 't' && *rest != ' ')
      return -1;
    const char *clock = rest + 1;
    rest = strptime(clock, "%H:%M:%S", &tm);
    if (!rest || rest - clock != 8)
      return -1;
    if (*rest == '.')
      rest += 1 + strspn(rest + 1, "0123456789");
    if (zone(rest, &east) != 0)
      return -1;
  }
  *out = timegm(&tm) - east;
  return 0;
}

int since_parse(const char *text, time_t now, time_t *out) {
  time_t t;
  if (duration(text, &t) == 0)
    t = now - t;
  else if (moment(text, &t) != 0)
    return -1;
  if (t > now)
    return -1;
  *out = t < 0 ? 0 : t;
  return 0;
}
