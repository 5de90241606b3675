/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio.c - POSIX asynchronous I/O: glibc's threads read and write sockets inside, past every hook. On a number of ours
 * it is refused; a program that gets an error here uses read() and write().
 */
#include "../fdtab.h"
#include "../libc.h"
#include "../session.h"

#include <aio.h>
#include <dlfcn.h>
#include <errno.h>

static bool ours(int fd) {
  if (fdtab_plain(fd))
    return false;
  session_complain("asynchronous I/O on a protected connection is not supported: refused");
  errno = ENOTSUP;
  return true;
}

#define ONE(name, control)                                                                                           \
  HOOK int name(struct control *cb) {                                                                                \
    typedef int (*fn)(struct control *);                                                                             \
    return ours(cb->aio_fildes) ? -1 : ((fn)dlsym(RTLD_NEXT, #name))(cb);                                            \
  }
ONE(aio_read, aiocb)
ONE(aio_write, aiocb)
ONE(aio_read64, aiocb64)
ONE(aio_write64, aiocb64)

#define LIST(name, control)                                                                                          \
  HOOK int name(int mode, struct control *const list[], int n, struct sigevent *sig) {                               \
    typedef int (*fn)(int, struct control *const[], int, struct sigevent *);                                         \
    for (int i = 0; i < n; i++) {                                                                                    \
      if (list[i] && list[i]->aio_lio_opcode != LIO_NOP && ours(list[i]->aio_fildes))                                \
        return -1;                                                                                                   \
    }                                                                                                                \
    return ((fn)dlsym(RTLD_NEXT, #name))(mode, list, n, sig);                                                        \
  }
LIST(lio_listio, aiocb)
LIST(lio_listio64, aiocb64)
