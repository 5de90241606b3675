/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring.c - a client that connects and sends through io_uring, by liburing or by the bare system call: past
 * every function that can be hooked.
 *
 *   uring PORT MARKER lib|raw       exit 0: the payload went out; 2: there is no ring; 1: something else failed
 *   uring PORT MARKER open          makes a ring if it can, then connects and sends by the C library's calls
 *   uring PORT MARKER inherit ARGV  makes a ring and executes ARGV with "ring" and what leads to it behind it
 *   uring PORT MARKER ring FD FILE  uses that ring
 *   uring - - jail ARGV             executes ARGV where no further seccomp filter can be installed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *marker;
static struct sockaddr_in address = {.sin_family = AF_INET};

static int failed(const char *what, int err, int code) {
  printf("%s: %s\n", what, strerrorname_np(err));
  return code;
}

static int done(struct io_uring *ring) {
  struct io_uring_cqe *cqe;
  int r = io_uring_submit(ring);
  if (r < 0)
    return r;
  r = io_uring_wait_cqe(ring, &cqe);
  if (r == 0) {
    r = cqe->res;
    io_uring_cqe_seen(ring, cqe);
  }
  return r;
}

static int talk(struct io_uring *ring) {
  int r, fd = socket(AF_INET, SOCK_STREAM, 0);
  io_uring_prep_connect(io_uring_get_sqe(ring), fd, (struct sockaddr *)&address, sizeof address);
  if ((r = done(ring)) < 0)
    return failed("connect", -r, r == -ENOSYS ? 2 : 1);
  io_uring_prep_send(io_uring_get_sqe(ring), fd, marker, strlen(marker), 0);
  r = done(ring);
  printf("sent %d\n", r);
  return r > 0 ? 0 : 1;
}

static int by_number(void) {
  struct io_uring_params p = {0};
  /* Inline, as liburing does it: no function of libc is called. */
  long r;
  register long a1 __asm__("rdi") = 8, a2 __asm__("rsi") = (long)&p;
  __asm__ volatile("syscall" : "=a"(r) : "a"(SYS_io_uring_setup), "r"(a1), "r"(a2) : "rcx", "r11", "memory");
  printf("io_uring_setup: %s\n", r < 0 ? strerrorname_np((int)-r) : "a ring");
  return r < 0 ? 2 : 0;
}

static int by_calls(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
    return failed("connect", errno, 1);
  return write(fd, marker, strlen(marker)) > 0 ? 0 : failed("write", errno, 1);
}

static int pass_on(char **argv) {
  struct io_uring_params p = {0};
  struct io_uring ring;
  char file[64], number[16], *args[64];
  int r = io_uring_queue_init_params(8, &ring, &p), n = 0;
  if (r < 0)
    return failed("io_uring_queue_init_params", -r, 2);
  snprintf(file, sizeof file, "ring-%d", (int)getpid());
  snprintf(number, sizeof number, "%d", ring.ring_fd);
  int out = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (write(out, &p, sizeof p) != sizeof p || fcntl(ring.ring_fd, F_SETFD, 0) != 0)
    return failed("write", errno, 1);
  while (n < 60 && argv[n]) {
    args[n] = argv[n];
    n++;
  }
  args[n++] = (char[]){"ring"};
  args[n++] = number;
  args[n++] = file;
  args[n] = NULL;
  execvp(args[0], args);
  return failed("execvp", errno, 1);
}

static int use(int fd, const char *file) {
  struct io_uring_params p;
  struct io_uring ring = {0};
  int in = open(file, O_RDONLY | O_CLOEXEC);
  if (read(in, &p, sizeof p) != sizeof p)
    return failed(file, errno, 1);
  int r = io_uring_queue_mmap(fd, &p, &ring);
  return r < 0 ? failed("io_uring_queue_mmap", -r, 1) : talk(&ring);
}

static int jail(char **argv) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = 4, .filter = code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
    return failed("seccomp", errno, 1);
  execvp(argv[0], argv);
  return failed("execvp", errno, 1);
}

int main(int argc, char **argv) {
  struct io_uring ring;
  if (argc < 4)
    return 64;
  const char *way = argv[3];
  marker = argv[2];
  address.sin_port = htons((uint16_t)atoi(argv[1]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (strcmp(way, "raw") == 0)
    return by_number();
  if (strcmp(way, "inherit") == 0)
    return pass_on(argv + 4);
  if (strcmp(way, "ring") == 0 && argc == 6)
    return use(atoi(argv[4]), argv[5]);
  if (strcmp(way, "jail") == 0)
    return jail(argv + 4);
  int r = io_uring_queue_init(8, &ring, 0);
  if (strcmp(way, "open") == 0) {
    printf("ring: %d\n", r);
    return by_calls();
  }
  return r < 0 ? failed("io_uring_queue_init", -r, 2) : talk(&ring);
}
