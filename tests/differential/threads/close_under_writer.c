/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include <sys/mman.h>

/* A number is closed, and is another file's at once, while a thread waits in a write on it. The connection lives on
 * by another number of it: the write goes on there, whole, and the file stays empty. */
static int s, c;
static long wrote;

static void *writer(void *arg) {
  static char b[6u << 20];
  (void)arg;
  for (size_t i = 0; i < sizeof b; i++)
    b[i] = (char)(i * 31 >> 3);
  wrote = write(c, b, sizeof b);
  return NULL;
}

SCENARIO("A number is closed and given out again under a write on it: where do the bytes go?") {
  for (int way = 0; way < 3; way++) {
    static char b[65536];
    struct stat st;
    size_t got = 0, bad = 0;
    pair(&s, &c);
    int other = dup(c), file = memfd_create("file", 0);
    pthread_t t = thread(writer, NULL);
    wait_mask(s, POLLIN, POLLIN);
    until_asleep(newest_thread); /* the buffers are full */
    if (way == 0) {
      close(c);
      say("the same number %d", dup(file) == c);
    } else if (way == 1) {
      CALL(dup2(file, c) == c);
    } else {
      CALL(dup3(file, c, O_CLOEXEC) == c);
    }
    while (got < 6u << 20) {
      ssize_t n = read(s, b, sizeof b);
      if (n <= 0) {
        say("ended: %zd %s", n, n ? errno_name(errno) : "");
        break;
      }
      for (ssize_t i = 0; i < n; i++)
        bad += b[i] != (char)((got + (size_t)i) * 31 >> 3);
      got += (size_t)n;
    }
    pthread_join(t, NULL);
    say("wrote %ld, read %zu, wrong %zu", wrote, got, bad);
    CALL(fstat(file, &st));
    say("in the file %ld", (long)st.st_size);
    say("wrote %zu", write_all(other, 100, 0, 100));
    say("read %zu", read_all(s, 100, 0, 100));
    close(other);
    close(c);
    close(file);
    say("end %zd", read(s, b, 1));
    close(s);
  }
}
