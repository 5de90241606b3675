/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <linux/aio_abi.h>
#include <sys/syscall.h>

SCENARIO("io_submit(), the kernel's asynchronous I/O, on a connection: does it work, and in clear never?") {
  int s, c;
  char b[100], back[100] = "";
  aio_context_t context = 0;
  struct io_event done;
  pair(&s, &c);
  fill(b, 100, 0);
  CALL(syscall(SYS_io_setup, 8, &context));
  struct iocb w = {
      .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)c, .aio_buf = (uint64_t)b, .aio_nbytes = 100};
  struct iocb r = {
      .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)c, .aio_buf = (uint64_t)back, .aio_nbytes = 100};
  struct iocb *list[1] = {&w};
  CALL(syscall(SYS_io_submit, context, 1, list));
  CALL(syscall(SYS_io_getevents, context, 1, 1, &done, NULL));
  say("result %lld", (long long)done.res);
  say("read %zu", read_all(s, 100, 0, 100));
  say("wrote %zu", write_all(s, 100, 0, 100));
  wait_mask(c, POLLIN, POLLIN);
  list[0] = &r;
  CALL(syscall(SYS_io_submit, context, 1, list));
  CALL(syscall(SYS_io_getevents, context, 1, 1, &done, NULL));
  say("result %lld, same %d", (long long)done.res, same(back, 100, 0));
  list[0] = (struct iocb *)8;
  CALL(syscall(SYS_io_submit, context, 1, list));
  CALL(close(c));
  CALL(read(s, b, 1));
}
