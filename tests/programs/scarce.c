/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scarce.c - a client whose first connect() comes when something is used up, and that tries again when it is not.
 *
 *   scarce PORT WHAT     WHAT: memory (address space), malloc (its own, which then fails), descriptors, nothing,
 *                        files (of the system: what makes one answers ENFILE)
 *
 * Prints what each call answered. $SCENARIO_MARKER is what it writes; it tries to, whatever connect() said.
 */
#include "enfile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- an allocator of its own, for all of the process ---- */
static bool failing;
static unsigned char heap[4u << 20] __attribute__((aligned(16)));
static size_t used;

void *malloc(size_t n) {
  size_t whole = (n + 31) / 16 * 16;
  if (failing || n > sizeof heap || whole > sizeof heap - used) {
    errno = ENOMEM;
    return NULL;
  }
  unsigned char *p = heap + used;
  used += whole;
  memcpy(p, &n, sizeof n);
  return p + 16;
}

void free(void *p) { (void)p; }

void *calloc(size_t n, size_t size) { /* the heap is zero, and nothing is ever used twice */
  return n && size > SIZE_MAX / n ? NULL : malloc(n * size);
}

void *realloc(void *p, size_t n) {
  size_t had = 0;
  unsigned char *q = malloc(n);
  if (p)
    memcpy(&had, (unsigned char *)p - 16, sizeof had);
  if (q && p)
    memcpy(q, p, had < n ? had : n);
  return q;
}

/* ---- what is used up ---- */
static void limit(__rlimit_resource_t resource, rlim_t soft, bool hard) {
  struct rlimit l;
  getrlimit(resource, &l);
  l.rlim_cur = soft;
  if (hard)
    l.rlim_max = soft;
  setrlimit(resource, &l);
}

static rlim_t address_space(void) {
  char text[64] = "";
  int fd = open("/proc/self/statm", O_RDONLY);
  if (read(fd, text, sizeof text - 1) <= 0)
    _exit(3);
  close(fd);
  return strtoul(text, NULL, 10) * 4096;
}

/* By a filter of this thread alone, for it cannot be taken away again. */
static void no_files(void) {
  static const unsigned makers[] = {SYS_socket, SYS_openat, SYS_memfd_create, SYS_pipe2, SYS_eventfd2};
  if (!enfile_from_now(makers, sizeof makers / sizeof makers[0]))
    _exit(4);
}

static int held[64], holds;

static void use_up(const char *what) {
  if (strcmp(what, "memory") == 0)
    limit(RLIMIT_AS, address_space(), false);
  if (strcmp(what, "files") == 0)
    no_files();
  failing = strcmp(what, "malloc") == 0;
  if (strcmp(what, "descriptors") == 0) {
    limit(RLIMIT_NOFILE, 40, true);
    while (holds < 64 && (held[holds] = open("/dev/null", O_RDONLY)) >= 0)
      holds++;
  }
}

static void give_back(const char *what) {
  if (strcmp(what, "memory") == 0)
    limit(RLIMIT_AS, RLIM_INFINITY, false);
  failing = false;
  while (holds > 0)
    close(held[--holds]);
}

/* ---- the client ---- */
static char text[2][256];

static void note(int i, const char *what, long result) {
  size_t n = strlen(text[i]);
  snprintf(text[i] + n, sizeof text[i] - n, "%s %s\n", what, result < 0 ? strerrorname_np(errno) : "fine");
}

static void try(int i, int fd, const struct sockaddr_in *to, const char *marker) {
  char back[256];
  note(i, "connect", connect(fd, (const struct sockaddr *)to, sizeof *to));
  note(i, "write", write(fd, marker, strlen(marker)));
  note(i, "read", read(fd, back, sizeof back));
}

static struct sockaddr_in to = {.sin_family = AF_INET};
static int first;
static const char *marker;

static void *in_want(void *what) {
  use_up(what);
  try(0, first, &to, marker ? marker : "x");
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t thread;
  marker = getenv("SCENARIO_MARKER");
  if (argc != 3)
    return 64;
  to.sin_port = htons((uint16_t)atoi(argv[1]));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  first = socket(AF_INET, SOCK_STREAM, 0);
  int second = socket(AF_INET, SOCK_STREAM, 0);
  signal(SIGPIPE, SIG_IGN);
  if (strcmp(argv[2], "files") != 0)
    in_want(argv[2]);
  else if (pthread_create(&thread, NULL, in_want, argv[2]) != 0 || pthread_join(thread, NULL) != 0)
    return 71;
  give_back(argv[2]);
  try(1, second, &to, marker ? marker : "x");
  printf("%s%s", text[0], text[1]);
  return 0;
}
