/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <netdb.h>

static void say_info(const char *what, const char *node, const char *service, const struct addrinfo *hints) {
  struct addrinfo *list = NULL;
  errno = 0;
  int rc = getaddrinfo(node, service, hints, &list);
  say("%s: %d errno %s", what, rc, rc == EAI_SYSTEM ? errno_name(errno) : "-");
  for (struct addrinfo *ai = rc == 0 ? list : NULL; ai; ai = ai->ai_next) {
    char host[NI_MAXHOST] = "?", serv[NI_MAXSERV] = "?";
    getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof host, serv, sizeof serv, NI_NUMERICHOST | NI_NUMERICSERV);
    say("%s: family %d type %d protocol %d: %s %s, canonical %s", what, ai->ai_family, ai->ai_socktype,
        ai->ai_protocol, host, serv, ai->ai_canonname ? ai->ai_canonname : "-");
  }
  if (rc == 0)
    freeaddrinfo(list);
}

SCENARIO("Does getaddrinfo() give libc's own answers, errno and error codes?") {
  struct addrinfo stream = {.ai_socktype = SOCK_STREAM}, canon = {.ai_flags = AI_CANONNAME, .ai_family = AF_INET},
                  number = {.ai_flags = AI_NUMERICHOST}, passive = {.ai_flags = AI_PASSIVE, .ai_family = AF_INET},
                  flags = {.ai_flags = 0x40000000}, six = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM},
                  family = {.ai_family = 77};
  char longest[2000];
  memset(longest, 'a', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  say_info("no hints", "localhost", "80", NULL);
  say_info("stream", "LocalHost", "80", &stream);
  say_info("dot", "localhost.", "80", &stream);
  say_info("canonical", "localhost", NULL, &canon);
  say_info("six", "localhost", "80", &six);
  say_info("number", "127.0.0.1", "80", &stream);
  say_info("six as number", "::1", "80", &stream);
  say_info("not a number", "localhost", "80", &number);
  say_info("no node", NULL, "80", &passive);
  say_info("nothing", NULL, NULL, &stream);
  say_info("bad flags", "localhost", "80", &flags);
  say_info("bad family", "localhost", "80", &family);
  say_info("bad service", "localhost", "no-such-service", &stream);
  say_info("empty", "", "80", &stream);
  say_info("long", longest, "80", &stream);
}
