/* SPDX-License-Identifier: Apache-2.0 */
/*
 * since.h - a point in time as an operator gives it.
 */
#ifndef CLI_SINCE_H
#define CLI_SINCE_H

#include <time.h>

/* "90s", "15m", "24h", "7d": so long before now; or RFC 3339: "2026-01-31", "2026-01-31T12:00:00Z", "...+02:00"
 * (fractions of a second are dropped). 0, or -1: neither, or in the future. */
int since_parse(const char *text, time_t now, time_t *out);

#endif
