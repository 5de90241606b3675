/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

static void *busy(void *arg) {
  volatile const bool *over = arg;
  while (!*over) {
    free(malloc(1000));
    int fd = open("/dev/null", O_RDONLY);
    close(fd);
  }
  return NULL;
}

SCENARIO("A program of several threads forks for every connection (Python's socketserver): is everybody served?") {
  int l = listen_on(0, 8);
  pid_t server = fork();
  if (server == 0) {
    static volatile bool over;
    pthread_t t[2] = {thread(busy, (void *)(uintptr_t)&over), thread(busy, (void *)(uintptr_t)&over)};
    for (int i = 0; i < 10; i++) {
      int s = accept(l, NULL, NULL);
      if (fork() == 0) {
        close(l);
        size_t n = read_all(s, 1000, 0, 300);
        write_all(s, n, 0, 1000);
        _exit(0);
      }
      close(s);
    }
    over = true;
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    while (wait(NULL) > 0) {
    }
    _exit(0);
  }
  close(l);
  for (int i = 0; i < 10; i++)
    use_server();
  child_status(server);
}
