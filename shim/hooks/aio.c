/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio.c - POSIX asynchronous I/O: glibc's threads read and write sockets inside, past every hook. So a protected
 * connection that it is used on is relayed from then on.
 */
#include "../libc.h"
#include "../relay.h"
#include "../shared.h"

#include <aio.h>
#include <dlfcn.h>
#include <errno.h>

static bool refused(int fd) {
  if (!shared_refuses(fd) && (!relay_needed(fd) || relay_convert(fd, "a descriptor of asynchronous I/O") == 0))
    return false;
  errno = ENOTSUP;
  return true;
}

#define ONE(name, control)                                                                                           \
  HOOK int name(struct control *cb) {                                                                                \
    typedef int (*fn)(struct control *);                                                                             \
    return refused(cb->aio_fildes) ? -1 : ((fn)dlsym(RTLD_NEXT, #name))(cb);                                         \
  }
ONE(aio_read, aiocb)
ONE(aio_write, aiocb)
ONE(aio_read64, aiocb64)
ONE(aio_write64, aiocb64)

#define LIST(name, control)                                                                                          \
  HOOK int name(int mode, struct control *const list[], int n, struct sigevent *sig) {                               \
    typedef int (*fn)(int, struct control *const[], int, struct sigevent *);                                         \
    for (int i = 0; i < n; i++) {                                                                                    \
      if (list[i] && list[i]->aio_lio_opcode != LIO_NOP && refused(list[i]->aio_fildes))                             \
        return -1;                                                                                                   \
    }                                                                                                                \
    return ((fn)dlsym(RTLD_NEXT, #name))(mode, list, n, sig);                                                        \
  }
LIST(lio_listio, aiocb)
LIST(lio_listio64, aiocb64)
