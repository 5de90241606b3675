/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

static char out[65536], in[65536];

static void across(const char *what, int from, int to, size_t n) {
  ssize_t wrote = write(from, out, n);
  say("%s: write %zd %s", what, wrote, wrote < 0 ? errno_name(errno) : "");
  size_t got = 0;
  while (wrote > 0 && got < (size_t)wrote) {
    ssize_t r = read(to, in + got, sizeof in - got);
    if (r <= 0) {
      say("%s: read %zd %s", what, r, r < 0 ? errno_name(errno) : "");
      return;
    }
    got += (size_t)r;
  }
  say("%s: the same came: %d", what, memcmp(in, out, got) == 0);
}

SCENARIO("Without any memory left to get: do established connections go on, and does all once there is some?") {
  int l, s, c;
  fill(out, sizeof out, 0);
  pair_keep(&l, &s, &c);
  limit_memory();
  across("small", c, s, 100);
  across("a record", s, c, 16384);
  across("large", c, s, sizeof out);
  unlimit_memory();
  across("large again", s, c, sizeof out);
  int c2 = client_socket(0);
  CALL(connect_to(c2, port));
  int s2 = accept(l, NULL, NULL);
  across("another", c2, s2, sizeof out);
}
