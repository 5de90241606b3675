/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rcmd.c - rcmd() and rexec(): the C library connects inside, past every hook, and what follows would be plaintext.
 * Where the rules cover the server these calls are refused; everywhere else they are made.
 */
#include "../libc.h"
#include "../plain.h"
#include "../session.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Is one of the host's addresses covered, or can nobody tell? */
static bool refused(const char *host, uint16_t rport, sa_family_t family) {
  const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  char port[8];
  bool covered = false;
  snprintf(port, sizeof port, "%u", ntohs(rport));
  if (!host || getaddrinfo(host, port, &hints, &found) != 0)
    return false; /* nor will the C library find it */
  for (const struct addrinfo *a = found; a && !covered; a = a->ai_next) {
    struct rules_entry rule;
    struct rules_hosts hosts;
    int managed = session_match_connect(a->ai_addr, a->ai_addrlen, &hosts, &rule);
    covered = managed < 0 || (managed == 1 && plain_why(&rule) == 0);
  }
  freeaddrinfo(found);
  if (covered) {
    session_complain(
        "rcmd() and rexec() to %s, port %s: the C library connects there itself, and cannot be protected: "
        "refused",
        host, port);
    errno = EACCES;
  }
  return covered;
}

HOOK int rcmd_af(char **restrict host, unsigned short port, const char *restrict local, const char *restrict remote,
                 const char *restrict command, int *restrict err, sa_family_t family) {
  typedef int (*fn)(char **, unsigned short, const char *, const char *, const char *, int *, sa_family_t);
  if (refused(*host, port, family))
    return -1;
  return ((fn)dlsym(RTLD_NEXT, "rcmd_af"))(host, port, local, remote, command, err, family);
}
HOOK int rcmd(char **restrict host, unsigned short port, const char *restrict local, const char *restrict remote,
              const char *restrict command, int *restrict err) {
  return rcmd_af(host, port, local, remote, command, err, AF_INET);
}

HOOK int rexec_af(char **restrict host, int port, const char *restrict user, const char *restrict password,
                  const char *restrict command, int *restrict err, sa_family_t family) {
  typedef int (*fn)(char **, int, const char *, const char *, const char *, int *, sa_family_t);
  if (refused(*host, (uint16_t)port, family))
    return -1;
  return ((fn)dlsym(RTLD_NEXT, "rexec_af"))(host, port, user, password, command, err, family);
}
HOOK int rexec(char **restrict host, int port, const char *restrict user, const char *restrict password,
               const char *restrict command, int *restrict err) {
  return rexec_af(host, port, user, password, command, err, AF_INET);
}
