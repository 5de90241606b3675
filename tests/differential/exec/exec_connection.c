/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

SCENARIO("A connection on descriptor 5, half read, goes through exec, in one number or two: does it go on there?") {
  for (int twice = 0; twice < 2; twice++) {
    int s, c;
    pair(&s, &c);
    write_all(c, 5000, 0, 5000);
    pid_t kid = fork();
    if (kid == 0) {
      close(c);
      ready_for_image(s, twice);
      start_image("image_talks", EXECVE);
    }
    close(s);
    talk_to_image(c, twice, kid);
    close(c);
  }
}
