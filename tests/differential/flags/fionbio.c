/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

SCENARIO("Does FIONBIO switch blocking?") {
  int s, c, l, on = 1, off = 0;
  char b[10];
  pair_keep(&l, &s, &c);
  CALL(ioctl(s, FIONBIO, &on));
  CALL(read(s, b, 1));
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  CALL(ioctl(s, FIONBIO, &off));
  CALL(fcntl(s, F_GETFL) & O_NONBLOCK);
  CALL(ioctl(l, FIONBIO, &on));
  CALL(accept(l, NULL, NULL));
  CALL(fcntl(l, F_GETFL) & O_NONBLOCK);
  CALL(ioctl(s, FIOCLEX));
  CALL(fcntl(s, F_GETFD));
}
