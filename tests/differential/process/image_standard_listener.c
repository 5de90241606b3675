/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

/* What inetd calls "wait": the listener is the standard input. */
IMAGE {
  role("image");
  serve(0, 2);
  CALL(close(0));
}
