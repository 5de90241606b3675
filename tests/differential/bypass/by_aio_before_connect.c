/* SPDX-License-Identifier: Apache-2.0 */
#include "bypass.h"

#include <aio.h>

SCENARIO(
    "aio_write() on a number that was passed before the socket was connected by another: does it cross in clear?") {
  int l = listen_on(0, 8), c = client_socket(0), d = passed(c);
  static char b[100];
  CALL(connect_to(c, port));
  int s = accept(l, NULL, NULL);
  fill(b, 100, 0);
  struct aiocb cb = {.aio_fildes = d, .aio_buf = b, .aio_nbytes = 100, .aio_sigevent.sigev_notify = SIGEV_NONE};
  if (CALL(aio_write(&cb)) == 0) {
    while (aio_error(&cb) == EINPROGRESS)
      nap(5);
  }
  close(d);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
