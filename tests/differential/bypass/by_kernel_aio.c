/* SPDX-License-Identifier: Apache-2.0 */
/*
 * by_kernel_aio.c - the kernel's asynchronous I/O reads and writes a socket itself, past every hook.
 */
#include "scenario.h"

#include <linux/aio_abi.h>
#include <sys/syscall.h>

static long submit(aio_context_t context, int fd, unsigned short what, void *buf, size_t len) {
  struct iocb cb = {.aio_fildes = (uint32_t)fd, .aio_lio_opcode = what, .aio_buf = (uintptr_t)buf, .aio_nbytes = len};
  struct iocb *list[] = {&cb};
  struct io_event event = {0};
  CALL(syscall(SYS_io_submit, context, 1L, list));
  if (syscall(SYS_io_getevents, context, 1L, 1L, &event, NULL) != 1)
    give_up("no event");
  return (long)event.res;
}

SCENARIO("Does what io_submit() sends and receives on a connection stay protected?") {
  int server, client;
  aio_context_t context = 0;
  char buf[3000], back[3000];
  pair(&server, &client);
  CALL(syscall(SYS_io_setup, 4L, &context));
  fill(buf, sizeof buf, 0);
  say("submitted write %ld", submit(context, client, IOCB_CMD_PWRITE, buf, sizeof buf));
  say("read %zu", read_all(server, sizeof buf, 0, sizeof buf));
  say("wrote %zu", write_all(server, sizeof back, 0, sizeof back));
  say_wait("data", client, POLLIN);
  long n = submit(context, client, IOCB_CMD_PREAD, back, 100);
  say("submitted read %ld, same %d", n, n == 100 && same(back, 100, 0));
  CALL(syscall(SYS_io_destroy, context));
  CALL(close(client));
  CALL(close(server));
}
