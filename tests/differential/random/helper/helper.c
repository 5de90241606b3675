/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper.c - what a process of random operations executes with a connection on its standard descriptors, or passes
 * one to: it reads so many bytes, writes so many, and ends. Linked statically it is the stranger that no library gets
 * into.
 *
 *   helper FROM HOW IN-WHICH IN-AT IN-COUNT OUT-WHICH OUT-AT OUT-COUNT
 *
 * FROM: -1: reads 0 and writes 1; else the unix socket on which the connection comes. HOW: 1: reads by stdio, 2:
 * writes by stdio. RANDOM_MARKER as for the others. It ends with 0, 2 (wrong bytes), 3 (too few), 4 (cannot write), 5
 * (nothing was passed).
 */
#include "../stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 100000 };
static uint8_t want[MOST], got[MOST];

static int receive(int u) {
  int fd = -1;
  char b, control[CMSG_SPACE(sizeof(int))] = "";
  struct iovec v = {&b, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(u, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
  return fd;
}

static void wait_for(int fd, short events) {
  struct pollfd p = {.fd = fd, .events = events};
  poll(&p, 1, -1);
}

static int reads(int fd, int how, size_t n) {
  size_t done = 0;
  if (how & 1)
    return fread(got, 1, n, stdin) == n ? 0 : 3;
  while (done < n) {
    ssize_t rc = read(fd, got + done, n - done);
    if (rc < 0 && errno == EAGAIN)
      wait_for(fd, POLLIN);
    else if (rc <= 0)
      return 3;
    done += rc > 0 ? (size_t)rc : 0;
  }
  return 0;
}

static int writes(int fd, int how, size_t n) {
  size_t done = 0;
  if (how & 2)
    return fwrite(want, 1, n, stdout) == n && fflush(stdout) == 0 ? 0 : 4;
  while (done < n) {
    ssize_t rc = write(fd, want + done, n - done);
    if (rc < 0 && errno == EAGAIN)
      wait_for(fd, POLLOUT);
    else if (rc < 0)
      return 4;
    done += rc > 0 ? (size_t)rc : 0;
  }
  return 0;
}

int main(int argc, char **argv) {
  const char *marker = getenv("RANDOM_MARKER");
  if (argc != 9)
    return 64;
  int from = atoi(argv[1]), how = atoi(argv[2]), rc, in = STDIN_FILENO, out = STDOUT_FILENO;
  size_t n = (size_t)atol(argv[5]), m = (size_t)atol(argv[8]);
  if (n > MOST || m > MOST)
    return 64;
  marker = marker ? marker : "no marker";
  if (from >= 0 && (in = out = receive(from)) < 0)
    return 5;
  if ((rc = reads(in, how, n)) != 0)
    return rc;
  stream_fill(want, n, marker, (uint32_t)atol(argv[3]), strtoull(argv[4], NULL, 10));
  if (memcmp(want, got, n) != 0)
    return 2;
  stream_fill(want, m, marker, (uint32_t)atol(argv[6]), strtoull(argv[7], NULL, 10));
  return m ? writes(out, how, m) : 0;
}
