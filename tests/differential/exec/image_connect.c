/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

IMAGE {
  role("image");
  int c = client_socket(0);
  CALL(connect_to(c, port));
  say("wrote %zu", write_all(c, 1000, 0, 1000));
  say("read %zu", read_all(c, 1000, 0, 1000));
}
