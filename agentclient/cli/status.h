/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - the daemon's status document, for people. For `svidwrap status` and `svidwrap top`.
 */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct status_view {
  bool coloured;
  const json_t *before; /* top: the document of the last refresh, for rates; NULL: none yet */
  double seconds;       /* since then */
  bool top;             /* busiest connections first, with rates */
};
void status_print(FILE *to, const json_t *root, const struct status_view *view);

#endif
