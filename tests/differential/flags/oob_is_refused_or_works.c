/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does out-of-band data work, or say that it does not?") {
  int s, c;
  char b[10];
  pair(&s, &c);
  CALL(recv(s, b, 1, MSG_OOB));
  CALL(recv(s, b, 1, MSG_OOB | MSG_DONTWAIT));
}
