/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

SCENARIO("Does an IPv6 listener that takes IPv4 work for both?") {
  int off = 0, one = 1, l = socket(AF_INET6, SOCK_STREAM, 0);
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  CALL(bind(l, (struct sockaddr *)&any, sizeof any));
  CALL(listen(l, 8));
  const char *to[] = {"::1", "::ffff:127.0.0.1"};
  for (int i = 0; i < 3; i++) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)}, got;
    int c = socket(i < 2 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (i < 2) {
      inet_pton(AF_INET6, to[i], &a.sin6_addr);
      CALL(connect(c, (struct sockaddr *)&a, sizeof a));
    } else {
      CALL(connect_to(c, port));
    }
    socklen_t len = sizeof got;
    int s = accept(l, (struct sockaddr *)&got, &len);
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof text);
    say("accepted %d from %s, family %d, length %u", s >= 0, text, got.sin6_family == AF_INET6, len);
    len = sizeof got;
    CALL(getpeername(s, (struct sockaddr *)&got, &len));
    inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof text);
    say("peer %s", text);
    say("wrote %zu", write_all(c, 100, 0, 100));
    say("read %zu", read_all(s, 100, 0, 100));
    close(c);
    close(s);
  }
}
