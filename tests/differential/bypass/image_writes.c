/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* The new image: has a socket on 5 that another process has connected meanwhile. */
IMAGE {
  char b[100];
  role("image");
  fill(b, 100, 0);
  CALL(read(4, b, 1)); /* until it is */
  fill(b, 100, 0);
  CALL(write(5, b, 100));
}
