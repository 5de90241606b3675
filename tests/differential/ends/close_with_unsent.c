/* SPDX-License-Identifier: Apache-2.0 */
#include "unsent.h"

SCENARIO(
    "close() with bytes that the peer has no room for yet, and the peer ends its own side first: does all come?") {
  for (int server = 0; server < 2; server++) {
    int fd[2];
    pair(&fd[0], &fd[1]);
    size_t wrote = write_until_full(fd[server]);
    CALL(close(fd[server]));
    CALL(shutdown(fd[!server], SHUT_WR));
    say_all_came(fd[!server], wrote);
    say_error(fd[!server]);
    CALL(close(fd[!server]));
  }
}
