/* SPDX-License-Identifier: Apache-2.0 */
/*
 * visitor.c - a library that a program loads for a while: it talks from its constructor, from a thread, and last from
 * its destructor, which dlclose() runs.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int visitor_fd = -1;
static int kept = -1;

static int reach(void) {
  const char *port = getenv("VISITOR_PORT");
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port ? port : "0"))};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

static long marked(int fd) {
  const char *marker = getenv("SCENARIO_MARKER");
  return write(fd, marker ? marker : "", marker ? strlen(marker) : 0);
}

__attribute__((constructor)) static void comes(void) {
  visitor_fd = reach();
  kept = reach();
  marked(kept);
}

__attribute__((destructor)) static void goes(void) {
  marked(kept);
  close(kept);
  marked(visitor_fd); /* which the program keeps */
}

static void *talks(void *arg) {
  *(long *)arg = marked(kept);
  return NULL;
}

long visitor_talk(void);
long visitor_talk(void) {
  pthread_t t;
  long n = -1;
  if (pthread_create(&t, NULL, talks, &n) == 0)
    pthread_join(t, NULL);
  return n;
}
