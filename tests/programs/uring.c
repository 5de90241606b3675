/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring.c - a client that connects and sends through io_uring, by liburing or by the bare system call: past
 * every function that can be hooked.
 *
 *   uring PORT MARKER lib|raw      exit 0: the payload went out; 2: there is no ring; 1: something else failed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int done(struct io_uring *ring) {
  struct io_uring_cqe *cqe;
  io_uring_submit(ring);
  int r = io_uring_wait_cqe(ring, &cqe);
  if (r == 0) {
    r = cqe->res;
    io_uring_cqe_seen(ring, cqe);
  }
  return r;
}

int main(int argc, char **argv) {
  if (argc != 4)
    return 64;
  if (strcmp(argv[3], "raw") == 0) {
    struct io_uring_params p = {0};
    /* Inline, as liburing does it: no function of libc is called. */
    long r;
    register long a1 __asm__("rdi") = 8, a2 __asm__("rsi") = (long)&p;
    __asm__ volatile("syscall" : "=a"(r) : "a"(SYS_io_uring_setup), "r"(a1), "r"(a2) : "rcx", "r11", "memory");
    printf("io_uring_setup: %s\n", r < 0 ? strerrorname_np((int)-r) : "a ring");
    return r < 0 ? 2 : 0;
  }
  struct io_uring ring;
  int r = io_uring_queue_init(8, &ring, 0);
  if (r < 0) {
    printf("io_uring_queue_init: %s\n", strerrorname_np(-r));
    return 2;
  }
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  io_uring_prep_connect(io_uring_get_sqe(&ring), fd, (struct sockaddr *)&a, sizeof a);
  if ((r = done(&ring)) < 0) {
    printf("connect: %s\n", strerrorname_np(-r));
    return 1;
  }
  io_uring_prep_send(io_uring_get_sqe(&ring), fd, argv[2], strlen(argv[2]), 0);
  r = done(&ring);
  printf("sent %d\n", r);
  return r > 0 ? 0 : 1;
}
