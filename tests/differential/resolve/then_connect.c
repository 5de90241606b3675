/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <netdb.h>

SCENARIO("Does the address that a name gave work, and does errno survive?") {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *ai;
  char service[8];
  int l = listen_on(0, 8);
  snprintf(service, sizeof service, "%u", port);
  CALL(getaddrinfo("localhost", service, &hints, &ai));
  int c = client_socket(0);
  CALL(connect(c, ai->ai_addr, ai->ai_addrlen));
  freeaddrinfo(ai);
  int s = accept(l, NULL, NULL);
  say("wrote %zu", write_all(c, 100, 0, 100));
  say("read %zu", read_all(s, 100, 0, 100));
}
