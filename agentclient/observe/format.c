/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.c - times and foreign text for log and audit lines; see format.h.
 */
#include "format.h"

#include "../policy/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *format_time_at(char buf[FORMAT_TIME_LEN], const struct timespec *at) {
  struct tm tm;
  char seconds[32];
  gmtime_r(&at->tv_sec, &tm);
  strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm);
  snprintf(buf, FORMAT_TIME_LEN, "%.19s.%06uZ", seconds, (unsigned)(at->tv_nsec / 1000) % 1000000u);
  return buf;
}

const char *format_time(char buf[FORMAT_TIME_LEN]) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return format_time_at(buf, &now);
}

static size_t escape(unsigned char c, char out[5]) {
  const char *named = c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : NULL;
  return (size_t)(named ? snprintf(out, 5, "%s", named) : snprintf(out, 5, "\\x%02x", c));
}

/* Where text may be cut so that no UTF-8 sequence is. */
static size_t whole(const char *text, size_t len, size_t want) {
  while (want > 0 && want < len && ((unsigned char)text[want] & 0xc0) == 0x80)
    want--;
  return want;
}

char *format_clean(const char *text, char *out, size_t out_len) {
  static const char dots[] = "...";
  size_t left = strlen(text), at = 0, room = out_len - sizeof dots;
  while (left > 0) {
    char esc[5];
    size_t n = text_clean(text, left, "");
    const char *piece = text;
    size_t piece_len = n, used = n;
    if (n == 0) {
      piece = esc;
      piece_len = escape((unsigned char)*text, esc);
      used = 1;
    }
    if (piece_len > room - at) {
      if (n > 0) {
        n = whole(text, left, room - at);
        memcpy(out + at, text, n);
        at += n;
      }
      memcpy(out + at, dots, sizeof dots - 1);
      at += sizeof dots - 1;
      break;
    }
    memcpy(out + at, piece, piece_len);
    at += piece_len;
    text += used;
    left -= used;
  }
  out[at] = '\0';
  return out;
}
