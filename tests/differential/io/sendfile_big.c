/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

static void *sends_file(void *arg) {
  struct flow *f = arg;
  int in = temp_file(f->n);
  off_t at = 0;
  role("sender");
  size_t done = 0;
  while (done < f->n) {
    ssize_t n = sendfile(f->fd, in, &at, f->n - done);
    if (n <= 0)
      break;
    done += (size_t)n;
  }
  say("sendfile: %zu, offset %lld, file offset %lld", done, (long long)at, (long long)lseek(in, 0, SEEK_CUR));
  close(in);
  return NULL;
}

SCENARIO("Does sendfile() send a large file, and where does it leave the offset?") {
  int s, c;
  pair(&s, &c);
  struct flow f = {c, 3000001, 0, ""};
  pthread_t t = thread(sends_file, &f);
  say("read %zu", read_all(s, f.n, 0, 65536));
  pthread_join(t, NULL);
}
