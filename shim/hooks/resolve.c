/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.c - the resolver's functions: libc's own answer, unchanged, and a note of what was asked.
 *
 * The name is taken down before the call: the answer may overwrite it where a program asks for a name that an
 * earlier answer gave.
 */
#include "../hosts.h"
#include "../libc.h"

#include <netdb.h>

static void note_list(const char *name, const struct addrinfo *ai) {
  for (; ai; ai = ai->ai_next) {
    if (ai->ai_family == AF_INET && ai->ai_addr)
      hosts_record(name, AF_INET, &((const struct sockaddr_in *)(const void *)ai->ai_addr)->sin_addr);
    else if (ai->ai_family == AF_INET6 && ai->ai_addr)
      hosts_record(name, AF_INET6, &((const struct sockaddr_in6 *)(const void *)ai->ai_addr)->sin6_addr);
  }
}

static void note_entry(const char *name, const struct hostent *e) {
  for (char **a = e->h_addr_list; a && *a; a++)
    hosts_record(name, e->h_addrtype, *a);
}

HOOK int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                     struct addrinfo **restrict res) {
  char name[HOSTS_NAME];
  bool named = hosts_name(node, name);
  int rc = libc_real()->getaddrinfo(node, service, hints, res);
  if (rc == 0 && named)
    note_list(name, *res);
  return rc;
}

/* Only what is there when the call returns. Answers that come later (GAI_NOWAIT) are known by address alone: nobody
 * tells when they may be looked at. */
HOOK int getaddrinfo_a(int mode, struct gaicb *list[restrict], int n, struct sigevent *restrict event) {
  int rc = libc_real()->getaddrinfo_a(mode, list, n, event);
  if (rc != 0 || mode != GAI_WAIT)
    return rc;
  for (int i = 0; i < n; i++) {
    char name[HOSTS_NAME];
    if (list[i] && gai_error(list[i]) == 0 && hosts_name(list[i]->ar_name, name))
      note_list(name, list[i]->ar_result);
  }
  return rc;
}

HOOK struct hostent *gethostbyname(const char *asked) {
  char name[HOSTS_NAME];
  bool named = hosts_name(asked, name);
  struct hostent *e = libc_real()->gethostbyname(asked);
  if (e && named)
    note_entry(name, e);
  return e;
}

HOOK struct hostent *gethostbyname2(const char *asked, int family) {
  char name[HOSTS_NAME];
  bool named = hosts_name(asked, name);
  struct hostent *e = libc_real()->gethostbyname2(asked, family);
  if (e && named)
    note_entry(name, e);
  return e;
}

HOOK int gethostbyname_r(const char *restrict asked, struct hostent *restrict into, char *restrict buf, size_t len,
                         struct hostent **restrict result, int *restrict herr) {
  char name[HOSTS_NAME];
  bool named = hosts_name(asked, name);
  int rc = libc_real()->gethostbyname_r(asked, into, buf, len, result, herr);
  if (rc == 0 && *result && named)
    note_entry(name, *result);
  return rc;
}

HOOK int gethostbyname2_r(const char *restrict asked, int family, struct hostent *restrict into, char *restrict buf,
                          size_t len, struct hostent **restrict result, int *restrict herr) {
  char name[HOSTS_NAME];
  bool named = hosts_name(asked, name);
  int rc = libc_real()->gethostbyname2_r(asked, family, into, buf, len, result, herr);
  if (rc == 0 && *result && named)
    note_entry(name, *result);
  return rc;
}
