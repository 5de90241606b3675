/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.h - the compiled rules: a read-only table in shared memory which the shim consults without
 * a round trip. The daemon writes it (and rewrites it on reload) under a sequence lock; the memfd is
 * sealed so that a program cannot write it. It answers one question only: is this address managed,
 * and by which rule. Who may talk is decided by the daemon.
 */
#ifndef SVIDWRAP_RULES_H
#define SVIDWRAP_RULES_H

#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define RULES_MAGIC 0x454c5552u
#define RULES_MAX   4096u
#define RULES_NAMES 65536u /* bytes of host names, NUL-terminated, lower case, no dot at the end */

enum rules_kind { RULES_LISTEN = 1, RULES_CONNECT = 2 };
enum rules_mode { RULES_OFF = 0, RULES_PERMISSIVE = 1, RULES_CANARY = 2, RULES_ENFORCE = 3 };

/* Beside ARENA_TRUNCATION_EOF in rules_entry.flags. */
#define RULES_STAGED                                                                                                 \
  (1u << 16)                    /* mode off, but prepared: the listener is registered, so that the mode can change   \
                                 */
#define RULES_STICKY (1u << 17) /* canary: one decision for the life of a process, not one a connection */
#define RULES_SUSPENDED                                                                                              \
  (1u << 18) /* canary, on_failure: suspend: plaintext for now (set and taken back by the daemon) */

#define RULES_AUDITED (1u << 20) /* audit.required: a connect in plaintext asks the daemon first */
#define RULES_FOUND   (1u << 19) /* an address that the daemon found for a host name: see rules_outranks() */

/* One port range of one rule. Addresses are IPv6 in network byte order, IPv4 as ::ffff:a.b.c.d
 * (prefix + 96); prefix 0 is any address of either family. The first entry that matches wins. An entry with a
 * host name covers the addresses that the program resolved that name to; the addresses which the daemon itself
 * finds for it are entries of their own. */
struct rules_entry {
  uint8_t kind;              /* enum rules_kind */
  uint8_t mode;              /* enum rules_mode */
  uint8_t prefix;            /* 0..128 */
  uint8_t percent;           /* canary: 0..100 */
  uint16_t port_lo, port_hi; /* host byte order, inclusive */
  uint8_t addr[16];
  uint32_t rule;      /* index of the rule in the policy */
  int32_t deny_errno; /* what a refused connect() answers; EACCES unless the rule says otherwise */
  uint32_t flags;     /* ARENA_TRUNCATION_EOF, RULES_... */
  uint32_t host;      /* 0: by address alone; else 1 + offset in names */
};

/* Is there anything to do about an address that this entry covers? */
static inline int rules_entry_managed(const struct rules_entry *e) {
  return e->mode != RULES_OFF || (e->flags & RULES_STAGED) != 0;
}

struct rules_table {
  uint32_t magic;
  _Atomic uint32_t seq;        /* odd while the daemon writes */
  _Atomic uint32_t generation; /* of the policy; 0 is never used */
  uint32_t count;
  struct rules_entry entry[RULES_MAX];
  char names[RULES_NAMES];
};

/* The names by which a program found an address, as in rules_table.names; none where it never asked. */
#define RULES_HOSTS_MAX 4
struct rules_hosts {
  unsigned count;
  char name[RULES_HOSTS_MAX][256];
};

/* The 16-byte form of an AF_INET or AF_INET6 address and its port. -1 for another family. */
static inline int rules_address(const struct sockaddr *sa, socklen_t len, uint8_t addr[16], uint16_t *port) {
  if (len >= (socklen_t)sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, sa, sizeof in);
    memset(addr, 0, 10);
    addr[10] = addr[11] = 0xff;
    memcpy(addr + 12, &in.sin_addr, 4);
    *port = ntohs(in.sin_port);
    return 0;
  }
  /* The kernel takes a sockaddr_in6 without its scope (24 bytes, RFC 2133). */
  if (len >= 24 && sa->sa_family == AF_INET6) {
    struct sockaddr_in6 in6;
    memset(&in6, 0, sizeof in6);
    memcpy(&in6, sa, len < (socklen_t)sizeof in6 ? (size_t)len : sizeof in6);
    memcpy(addr, &in6.sin6_addr, 16);
    *port = ntohs(in6.sin6_port);
    return 0;
  }
  return -1;
}

static inline int rules_host_matches(const char *names, uint32_t host, const struct rules_hosts *hosts) {
  if (host > RULES_NAMES - 256 || !hosts)
    return 0;
  for (unsigned i = 0; i < hosts->count && i < RULES_HOSTS_MAX; i++)
    if (strncmp(names + host - 1, hosts->name[i], 256) == 0)
      return 1;
  return 0;
}

static inline int rules_entry_matches(const struct rules_entry *e, const char *names, const uint8_t addr[16],
                                      uint16_t port, const struct rules_hosts *hosts) {
  if (port < e->port_lo || port > e->port_hi)
    return 0;
  if (e->host)
    return rules_host_matches(names, e->host, hosts);
  unsigned whole = e->prefix / 8u, rest = e->prefix % 8u;
  if (whole > 16 || (whole && memcmp(e->addr, addr, whole) != 0))
    return 0;
  return !rest || whole == 16 || ((e->addr[whole] ^ addr[whole]) >> (8u - rest)) == 0;
}

/* A writer holds the table for microseconds, and may be preempted there: who reads gives way, for a second at most at
 * one odd number (a writer that died leaves that one for good; another number is another writing). */
#define RULES_WAIT_NS 1000000000ll
static inline int64_t rules_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Two entries match, the first an address that the daemon found for a host name. Names share addresses, and whoever
 * answers for a name says which: so it gives way to a later entry by the name that the program asked for, and to a
 * stricter one. Nobody's name server takes an address out of a rule that enforces. */
static inline int rules_outranks(const struct rules_entry *later, const struct rules_entry *found) {
  return later->host || later->mode > found->mode;
}

/* Copies the first entry of this kind that matches (but see above). 1: found (mode may be RULES_OFF), 0: none,
 * -1: the table is malformed or is being rewritten without end (treat as an error, never as "none"). */
static inline int rules_match_host(const struct rules_table *t, enum rules_kind kind, const uint8_t given[16],
                                   uint16_t port, const struct rules_hosts *hosts, struct rules_entry *out) {
  static const uint8_t any6[16], any4[16] = {[10] = 0xff, [11] = 0xff};
  uint8_t addr[16];
  memcpy(addr, given, sizeof addr);
  if (kind == RULES_CONNECT && memcmp(addr, any4, 16) == 0) { /* connecting to "any" reaches this host */
    addr[12] = 127;
    addr[15] = 1;
  } else if (kind == RULES_CONNECT && memcmp(addr, any6, 16) == 0) {
    addr[15] = 1;
  }
  memset(out, 0, sizeof *out);
  int64_t since = 0;
  uint32_t held = 0;
  for (unsigned tries = 0;; tries++) {
    uint32_t before = atomic_load_explicit(&t->seq, memory_order_acquire);
    if (before & 1u) {
      if (tries < 64)
        continue;
      if (before != held) {
        held = before;
        since = rules_now();
      } else if (rules_now() - since > RULES_WAIT_NS)
        return -1;
      sched_yield();
      continue;
    }
    int found = 0, final = 0;
    uint32_t count = t->count;
    if (t->magic != RULES_MAGIC || count > RULES_MAX)
      return -1;
    for (uint32_t i = 0; i < count && !final; i++) {
      const struct rules_entry *e = &t->entry[i];
      if (e->kind != (uint8_t)kind || !rules_entry_matches(e, t->names, addr, port, hosts))
        continue;
      if (!found || rules_outranks(e, out))
        *out = *e;
      found = 1;
      final = !(e->flags & RULES_FOUND);
    }
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&t->seq, memory_order_relaxed) == before)
      return found;
  }
}

static inline int rules_match(const struct rules_table *t, enum rules_kind kind, const uint8_t addr[16],
                              uint16_t port, struct rules_entry *out) {
  return rules_match_host(t, kind, addr, port, NULL, out);
}

#endif
