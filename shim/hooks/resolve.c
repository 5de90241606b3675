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
#include <stdatomic.h>
#include <string.h>

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

/* -- getaddrinfo_a(): answers that come later are noted when the program asks whether they are there -- */

#define ASKED 64 /* at a time; the oldest is known by its address alone then */

static struct {
  struct gaicb *_Atomic cb; /* NULL: free; BUSY: being written or read */
  char name[HOSTS_NAME];
} asked_for[ASKED];

#define BUSY ((struct gaicb *)(void *)&asked_for)

static void asked(struct gaicb *cb, const char *name) {
  static _Atomic unsigned next;
  unsigned at = ASKED;
  for (unsigned i = 0; i < ASKED && at == ASKED; i++)
    if (atomic_load(&asked_for[i].cb) == cb)
      at = i; /* this one was asked with before */
  if (at == ASKED)
    at = atomic_fetch_add(&next, 1) % ASKED;
  struct gaicb *was = atomic_load(&asked_for[at].cb);
  if (was == BUSY || !atomic_compare_exchange_strong(&asked_for[at].cb, &was, BUSY))
    return;
  memcpy(asked_for[at].name, name, HOSTS_NAME);
  atomic_store(&asked_for[at].cb, cb);
}

static void answered(struct gaicb *cb, bool found) {
  for (unsigned i = 0; i < ASKED; i++) {
    struct gaicb *was = cb;
    if (!atomic_compare_exchange_strong(&asked_for[i].cb, &was, BUSY))
      continue;
    if (found)
      note_list(asked_for[i].name, cb->ar_result);
    atomic_store(&asked_for[i].cb, NULL);
  }
}

HOOK int gai_error(struct gaicb *req) {
  int rc = libc_real()->gai_error(req);
  if (rc != EAI_INPROGRESS)
    answered(req, rc == 0);
  return rc;
}

HOOK int getaddrinfo_a(int mode, struct gaicb *list[restrict], int n, struct sigevent *restrict event) {
  if (mode == GAI_WAIT || mode == GAI_NOWAIT) {
    for (int i = 0; i < n; i++) {
      char name[HOSTS_NAME];
      if (list[i] && hosts_name(list[i]->ar_name, name))
        asked(list[i], name);
    }
  }
  int rc = libc_real()->getaddrinfo_a(mode, list, n, event);
  for (int i = 0; i < n && rc == 0 && mode == GAI_WAIT; i++)
    if (list[i])
      gai_error(list[i]);
  return rc;
}

/* -- gethostbyname() and its relatives -- */

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
