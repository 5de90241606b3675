/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <sys/mman.h>

/* Shells and programs that know files only. A socket cannot be opened a second time, whichever name leads to it. */
static void by_every_path(const char *what, int fd) {
  char path[64];
  static const char *const forms[] = {"/proc/self/fd/%d", "/dev/fd/%d"};
  say("-- %s", what);
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, forms[i], fd);
    CALL(open(path, O_RDWR));
    CALL(open(path, O_RDONLY | O_NONBLOCK));
    CALL(creat(path, 0600));
    CALL(fopen(path, "r+") != NULL);
    CALL(access(path, R_OK));
    struct stat st;
    CALL(stat(path, &st));
    say("socket %d", S_ISSOCK(st.st_mode));
    char link[64] = "";
    ssize_t n = readlink(path, link, sizeof link - 1);
    say("link %d", n > 0 && strncmp(link, "socket:[", 8) == 0);
    int p = open(path, O_PATH);
    say("by O_PATH %d", p >= 0);
    CALL(write(p, "in clear", 8));
    CALL(read(p, link, 1));
    CALL(openat(p, "", O_RDWR));
    close(p);
  }
}

SCENARIO("What do /proc/self/fd/N, /dev/fd/N, /dev/stdin and mmap() answer for connections?") {
  int l, s, c, keep;
  pair_keep(&l, &s, &c);
  by_every_path("connection", s);
  by_every_path("listener", l);
  CALL(mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0) != MAP_FAILED);
  CALL(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, s, 0) != MAP_FAILED);
  keep = dup(0);
  CALL(dup2(s, 0));
  CALL(open("/dev/stdin", O_RDWR));
  by_every_path("as standard input", 0);
  write_all(c, 100, 0, 100);
  say("read %zu", read_all(0, 100, 0, 100));
  dup2(keep, 0);
}
