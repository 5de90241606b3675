/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

SCENARIO("Are addresses cut to short buffers as natively?") {
  int s, c, l;
  pair_keep(&l, &s, &c);
  int fd[] = {l, s, c};
  for (int i = 0; i < 3; i++) {
    struct sockaddr_in a;
    socklen_t len = 4;
    memset(&a, 0x55, sizeof a);
    CALL(getsockname(fd[i], (struct sockaddr *)&a, &len));
    say("length %u, port right %d, untouched behind %d", len, a.sin_port == htons(port),
        a.sin_addr.s_addr == 0x55555555u);
    len = 0;
    CALL(getsockname(fd[i], (struct sockaddr *)&a, &len));
    say("length %u", len);
    CALL(getsockname(fd[i], NULL, NULL));
    if (i > 0) {
      len = 8;
      CALL(getpeername(fd[i], (struct sockaddr *)&a, &len));
      say("length %u", len);
    }
  }
}
