/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <aio.h>
#include <sched.h>
#include <sys/syscall.h>

SCENARIO("Do aio_read() and aio_write(), which read and write inside the C library, work, sealed?") {
  int s, c;
  static char b[100];
  pair(&s, &c);
  fill(b, 100, 0);
  struct aiocb cb = {.aio_fildes = c, .aio_buf = b, .aio_nbytes = 100, .aio_sigevent.sigev_notify = SIGEV_NONE};
  if (CALL(aio_write(&cb)) == 0) {
    while (aio_error(&cb) == EINPROGRESS)
      nap(5);
    say("aio_write %zd", aio_return(&cb));
    say("read %zu", read_all(s, 100, 0, 100));
  }
  struct aiocb *list[1] = {&cb};
  cb.aio_lio_opcode = LIO_WRITE;
  if (CALL(lio_listio(LIO_WAIT, list, 1, NULL)) == 0)
    say("read %zu", read_all(s, 100, 0, 100));
}
