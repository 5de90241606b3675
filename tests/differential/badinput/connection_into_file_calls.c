/* SPDX-License-Identifier: Apache-2.0 */
#include "badinput.h"

#include <sys/file.h>
#include <sys/vfs.h>

SCENARIO("What do calls that are for files answer on a connection and on a listener?") {
  int fds[3];
  pair_keep(&fds[0], &fds[1], &fds[2]);
  for (int i = 0; i < 3; i++) {
    int fd = fds[i];
    char b[16];
    struct stat st;
    struct statfs fs;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    say("-- %s", i == 0 ? "listener" : i == 1 ? "server" : "client");
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(fsync(fd));
    CALL(fdatasync(fd));
    CALL(ftruncate(fd, 10));
    CALL(fallocate(fd, 0, 0, 10));
    CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
    CALL(pread(fd, b, 10, 0));
    CALL(pwrite(fd, b, 10, 0));
    CALL(preadv(fd, &(struct iovec){b, 1}, 1, 0));
    CALL(pwritev(fd, &(struct iovec){b, 1}, 1, 0));
    CALL(fcntl(fd, F_GETLK, &lock));
    CALL(fcntl(fd, F_SETLK, &lock));
    CALL(flock(fd, LOCK_EX | LOCK_NB));
    CALL(flock(fd, LOCK_UN));
    CALL(fcntl(fd, F_GETPIPE_SZ));
    CALL(fcntl(fd, F_GET_SEALS));
    CALL(fcntl(fd, 999));
    CALL(isatty(fd));
    CALL(fstat(fd, &st));
    say("socket %d, size %ld", S_ISSOCK(st.st_mode), (long)st.st_size);
    CALL(isfdtype(fd, S_IFSOCK));
    CALL(isfdtype(fd, S_IFREG));
    CALL(fstatfs(fd, &fs));
    CALL(fchdir(fd));
    CALL(readahead(fd, 0, 10));
    CALL(sync_file_range(fd, 0, 10, 0));
    CALL(copy_file_range(fd, NULL, fd, NULL, 10, 0));
    CALL(tee(fd, fd, 10, 0));
    CALL(vmsplice(fd, &(struct iovec){b, 1}, 1, 0));
    CALL(sendfile(fd, fd, NULL, 10));
    CALL(ioctl(fd, 0x5401 /* TCGETS */, b));
    CALL(ioctl(fd, 0xdeadbeef, b));
  }
  say_alive(fds[1], fds[2]);
}
