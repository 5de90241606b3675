/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deep.c - a library that does not look for read() where everybody does. Built twice: with -DLIBRARY it is the
 * library, else the program that loads it by its bare name (RUNPATH leads there).
 *
 * usage: deep PORT TEXT deepbind|namespace
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef LIBRARY
int deep_send(int port, const char *text);
int deep_send(int port, const char *text) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  char got[100];
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
    return -1;
  ssize_t n = read(fd, got, sizeof got);
  close(fd);
  return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0 ? 0 : -1;
}
#else
int main(int argc, char **argv) {
  if (argc != 4)
    return 64;
  void *lib = strcmp(argv[3], "namespace") == 0 ? dlmopen(LM_ID_NEWLM, "libdeep.so", RTLD_NOW)
                                                : dlopen("libdeep.so", RTLD_NOW | RTLD_DEEPBIND);
  if (!lib) {
    printf("not loaded: %s\n", dlerror());
    return 2;
  }
  int (*deep_send)(int, const char *) = (int (*)(int, const char *))dlsym(lib, "deep_send");
  puts(deep_send(atoi(argv[1]), argv[2]) == 0 ? "echoed" : "failed");
  return 0;
}
#endif
