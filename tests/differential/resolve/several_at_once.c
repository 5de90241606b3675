/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <netdb.h>

SCENARIO("Does getaddrinfo_a() give libc's own answers?") {
  struct gaicb one = {.ar_name = "localhost", .ar_service = "80"}, two = {.ar_name = "127.0.0.9"};
  struct gaicb *list[] = {&one, NULL, &two};
  CALL(getaddrinfo_a(GAI_WAIT, list, 3, NULL));
  CALL(gai_error(&one));
  CALL(gai_error(&two));
  say("answers %d %d", one.ar_result != NULL, two.ar_result != NULL);
  freeaddrinfo(one.ar_result);
  freeaddrinfo(two.ar_result);
  CALL(getaddrinfo_a(77, list, 3, NULL));
  struct gaicb later = {.ar_name = "localhost"};
  const struct gaicb *wait[] = {&later};
  list[0] = &later;
  CALL(getaddrinfo_a(GAI_NOWAIT, list, 1, NULL));
  while (gai_error(&later) == EAI_INPROGRESS)
    gai_suspend(wait, 1, NULL);
  CALL(gai_error(&later));
  freeaddrinfo(later.ar_result);
}
