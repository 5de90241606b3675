/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <netdb.h>

static void say_host(const char *what, const struct hostent *e, int herr) {
  say("%s: %s, h_errno %d", what, e ? e->h_name : "none", e ? 0 : herr);
  for (char **a = e ? e->h_addr_list : NULL; a && *a; a++) {
    char text[INET6_ADDRSTRLEN];
    say("%s: family %d length %d: %s", what, e->h_addrtype, e->h_length,
        inet_ntop(e->h_addrtype, *a, text, sizeof text));
  }
}

static void say_host_r(const char *what, const char *name, int family, size_t len) {
  struct hostent e, *found = (struct hostent *)8;
  char buf[4096];
  int herr = -7, rc = family ? gethostbyname2_r(name, family, &e, buf, len, &found, &herr)
                             : gethostbyname_r(name, &e, buf, len, &found, &herr);
  say("%s: %s, result %s", what, rc ? errno_name(rc) : "0", found == &e ? "ours" : found ? "?" : "NULL");
  say_host(what, found, herr);
}

SCENARIO("Do gethostbyname() and its kind give libc's own answers?") {
  say_host("plain", gethostbyname("localhost"), h_errno);
  say_host("upper", gethostbyname("LOCALHOST"), h_errno);
  say_host("number", gethostbyname("127.0.0.2"), h_errno);
  say_host("four", gethostbyname2("localhost", AF_INET), h_errno);
  say_host("six number", gethostbyname2("::1", AF_INET6), h_errno);
  say_host("bad family", gethostbyname2("localhost", 77), h_errno);
  struct hostent *e = gethostbyname("localhost");
  say_host("by its own answer", gethostbyname(e->h_name), h_errno);
  say_host_r("reentrant", "localhost", 0, 4096);
  say_host_r("reentrant, no room", "localhost", 0, 8);
  say_host_r("reentrant four", "localhost", AF_INET, 4096);
  say_host_r("reentrant four, no room", "localhost", AF_INET, 8);
  say_host_r("reentrant bad family", "localhost", 77, 4096);
}
