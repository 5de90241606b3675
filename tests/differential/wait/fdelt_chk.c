/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* What FD_SET() of a fortified program calls: it ends the program for numbers that no fd_set has room for. */
long int __fdelt_chk(long int d);

SCENARIO("Does a fortified FD_SET() above FD_SETSIZE end the program, and one below it not?") {
  struct rlimit none = {0, 0};
  CALL(__fdelt_chk(FD_SETSIZE - 1));
  CALL(__fdelt_chk(0));
  setrlimit(RLIMIT_CORE, &none);
  for (int i = 0; i < 2; i++) {
    pid_t kid = fork();
    if (kid == 0) {
      dup2(open("/dev/null", O_WRONLY), 2);
      long volatile n = i ? -1 : FD_SETSIZE;
      _exit(__fdelt_chk(n) == 0);
    }
    child_status(kid);
  }
}
