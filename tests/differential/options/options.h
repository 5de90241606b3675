/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_OPTIONS_H
#define DIFFERENTIAL_OPTIONS_H

#include "scenario.h"

static inline void ask(const char *what, int fd, int level, int name) {
  int v = -1;
  socklen_t len = sizeof v;
  int r = getsockopt(fd, level, name, &v, &len);
  if (r != 0)
    say("%s: %s", what, errno_name(errno));
  else
    say("%s: %d (%u)", what, v, len);
}

#endif
