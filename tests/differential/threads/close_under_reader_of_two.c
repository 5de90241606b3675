/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include <sys/mman.h>

/* The same of a read: the connection has another number, and the reader gets what comes. */
static int s, c;
static long got;
static char b[100];

static void *reader(void *arg) {
  (void)arg;
  got = recv(c, b, sizeof b, MSG_WAITALL);
  return NULL;
}

SCENARIO("A number is closed and given out again under a read on it, the connection lives on: who gets the bytes?") {
  for (int way = 0; way < 2; way++) {
    pair(&s, &c);
    int other = dup(c), file = memfd_create("file", 0);
    (void)!write(file, "what is in the file", 19);
    lseek(file, 0, SEEK_SET);
    pthread_t t = thread(reader, NULL);
    until_asleep(newest_thread);
    if (way == 0) {
      close(c);
      say("the same number %d", dup(file) == c);
    } else {
      CALL(dup2(file, c) == c);
    }
    say("wrote %zu", write_all(s, 50, 0, 50));
    nap(50);
    say("wrote %zu", write_all(s, 50, 50, 50));
    pthread_join(t, NULL);
    say("read %ld, right %d", got, got > 0 && same(b, (size_t)got, 0));
    say("file at %ld", (long)lseek(file, 0, SEEK_CUR));
    say("wrote %zu", write_all(s, 100, 0, 100));
    say("read %zu", read_all(other, 100, 0, 100));
    close(other);
    close(c);
    close(file);
    close(s);
  }
}
