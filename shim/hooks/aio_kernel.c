/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio_kernel.c - the kernel's asynchronous I/O (libaio, or its bare system call): the kernel reads and writes the
 * socket by itself, past every hook. So a protected connection that it is used on is relayed from then on.
 */
#include "../conn_pages.h"
#include "../relay.h"
#include "../shared.h"
#include "aio_kernel.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/aio_abi.h>

bool aio_kernel_refused(long count, struct iocb *const list[]) {
  int keep = errno;
  bool refused = false;
  for (long i = 0; i < count && !refused && pages_readable(list + i, sizeof list[i]) == sizeof list[i]; i++) {
    int fd = pages_readable(list[i], sizeof *list[i]) == sizeof *list[i] ? (int)list[i]->aio_fildes
                                                                         : -1; /* else EFAULT, in its turn */
    refused = fd >= 0 && (shared_refuses(fd) ||
                          (relay_needed(fd) && relay_convert(fd, "a descriptor of asynchronous I/O") != 0));
  }
  errno = keep;
  return refused;
}

/* libaio's: answers a negative errno. */
HOOK int io_submit(aio_context_t context, long count, struct iocb *list[]);
HOOK int io_submit(aio_context_t context, long count, struct iocb *list[]) {
  typedef int (*fn)(aio_context_t, long, struct iocb *[]);
  fn real = (fn)dlsym(RTLD_NEXT, "io_submit");
  if (!real)
    return -ENOSYS;
  return aio_kernel_refused(count, list) ? -EOPNOTSUPP : real(context, count, list);
}
