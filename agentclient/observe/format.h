/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.h - how times and foreign text are written into a line. For the files of this directory.
 */
#ifndef OBSERVE_FORMAT_H
#define OBSERVE_FORMAT_H

#include <stddef.h>
#include <time.h>

#define FORMAT_TIME_LEN 28 /* "2026-01-31T23:59:59.123456Z" and a NUL */

/* The present, RFC 3339, UTC, microseconds. */
const char *format_time(char buf[FORMAT_TIME_LEN]);

const char *format_time_at(char buf[FORMAT_TIME_LEN], const struct timespec *at);

/* Copies text, writing control characters and bytes that are not UTF-8 as \n, \t, \r or \xNN, so that nobody can
 * forge a line or a terminal's escape sequence. Cut off with "..." where out is too short. Returns out. */
char *format_clean(const char *text, char *out, size_t out_len);

#endif
