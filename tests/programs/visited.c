/* SPDX-License-Identifier: Apache-2.0 */
/*
 * visited.c - a program that is linked with libvisitor.so, whose constructor has connected before main() and before
 * the constructor of any library that is preloaded.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

extern int visitor_fd;

int main(void) {
  char b[16];
  if (visitor_fd < 0)
    return 1;
  if (recv(visitor_fd, b, sizeof b, MSG_WAITALL) != (ssize_t)sizeof b)
    return 2;
  return write(visitor_fd, b, sizeof b) == (ssize_t)sizeof b ? 0 : 3;
}
