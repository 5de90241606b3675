/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("Does wait() see the program's own children only?") {
  int s, c;
  pair(&s, &c);
  CALL(waitpid(-1, NULL, WNOHANG));
  CALL(wait(NULL));
}
