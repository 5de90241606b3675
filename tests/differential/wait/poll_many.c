/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

SCENARIO("Does poll() answer for many descriptors, wrong ones included?") {
  int s, c, l;
  pair_keep(&l, &s, &c);
  struct pollfd p[5] = {{.fd = l, .events = POLLIN},
                        {.fd = s, .events = POLLIN},
                        {.fd = c, .events = POLLIN | POLLOUT},
                        {.fd = -1, .events = POLLIN},
                        {.fd = 9999, .events = POLLIN}};
  CALL(poll(p, 4, 0));
  for (int i = 0; i < 4; i++)
    say("%d: %d", i, p[i].revents);
  write_all(c, 1, 0, 1);
  wait_mask(s, POLLIN, POLLIN);
  CALL(poll(p, 5, 5000));
  for (int i = 0; i < 5; i++)
    say("%d: %d", i, p[i].revents);
  p[2].events = 0;
  CALL(poll(&p[2], 1, 30));
  CALL(poll(NULL, 0, 10));
  CALL(poll(p, 1, 30));
}
