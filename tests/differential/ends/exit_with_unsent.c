/* SPDX-License-Identifier: Apache-2.0 */
#include "unsent.h"

SCENARIO("A process ends, by exit(), _exit() and exec, with bytes unsent, and its peer ends its own side: does all "
         "come?") {
  for (int way = 0; way < 3; way++) {
    int s, c, wrote[2];
    size_t n = 0;
    pair(&s, &c);
    if (pipe2(wrote, O_CLOEXEC) != 0)
      give_up("pipe");
    pid_t kid = fork();
    if (kid == 0) {
      close(s);
      n = write_until_full(c);
      if (write(wrote[1], &n, sizeof n) != (ssize_t)sizeof n)
        _exit(9);
      fcntl(c, F_SETFD, FD_CLOEXEC);
      if (way == 2)
        execl("/bin/true", "true", NULL);
      way == 0 ? exit(5) : _exit(6);
    }
    close(c);
    if (read(wrote[0], &n, sizeof n) != (ssize_t)sizeof n)
      give_up("read");
    child_status(kid);
    CALL(shutdown(s, SHUT_WR));
    say_all_came(s, n);
    close(s);
    close(wrote[0]);
    close(wrote[1]);
  }
}
