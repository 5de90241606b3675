/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relayname.h - how a relayed connection tells its TCP addresses: the daemon's end of the stream pair is bound to an
 * abstract name that spells them, so that whoever holds the program's end, in whatever image, can read them with
 * getpeername(). Writer (daemon) and reader (shim) in one place.
 *
 * "svidwrap/relay/" + 8 hex digits (the TCP socket's inode, which makes it unique) + local + remote, each "4" or "6"
 * (the family that the program saw), 32 hex digits of the address as in rules_entry, 4 of the port.
 */
#ifndef SVIDWRAP_RELAYNAME_H
#define SVIDWRAP_RELAYNAME_H

#include "rules.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define RELAYNAME_PREFIX "svidwrap/relay/"
#define RELAYNAME_ADDR   37u
#define RELAYNAME_LEN    (sizeof RELAYNAME_PREFIX - 1 + 8 + 2 * RELAYNAME_ADDR)

static inline void relayname_put(char out[RELAYNAME_ADDR + 1], const struct sockaddr *sa, socklen_t len) {
  uint8_t addr[16] = {0};
  uint16_t at = 0;
  (void)rules_address(sa, len, addr, &at);
  size_t n = (size_t)snprintf(out, 2, "%c", sa->sa_family == AF_INET6 ? '6' : '4');
  for (size_t i = 0; i < sizeof addr; i++)
    n += (size_t)snprintf(out + n, RELAYNAME_ADDR + 1 - n, "%02x", addr[i]);
  snprintf(out + n, RELAYNAME_ADDR + 1 - n, "%04x", at);
}

/* The address to bind() the daemon's end to; returns its length. */
static inline socklen_t relayname_write(struct sockaddr_un *sun, uint32_t inode, const struct sockaddr *local,
                                        socklen_t local_len, const struct sockaddr *remote, socklen_t remote_len) {
  char a[RELAYNAME_ADDR + 1], b[RELAYNAME_ADDR + 1];
  relayname_put(a, local, local_len);
  relayname_put(b, remote, remote_len);
  memset(sun, 0, sizeof *sun);
  sun->sun_family = AF_UNIX;
  snprintf(sun->sun_path + 1, sizeof sun->sun_path - 1, RELAYNAME_PREFIX "%08x%s%s", inode, a, b);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + RELAYNAME_LEN);
}

static inline int relayname_hex(const char *p, size_t digits, uint8_t *out) {
  for (size_t i = 0; i < digits; i++) {
    const char *set = "0123456789abcdef", *at = p[i] ? strchr(set, p[i]) : NULL;
    if (!at)
      return -1;
    out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | (uint8_t)(at - set) : (uint8_t)((at - set) << 4));
  }
  return 0;
}

static inline int relayname_get(const char *p, struct sockaddr_storage *out, socklen_t *len) {
  uint8_t addr[16], at[2];
  if ((p[0] != '4' && p[0] != '6') || relayname_hex(p + 1, 32, addr) || relayname_hex(p + 33, 4, at))
    return -1;
  memset(out, 0, sizeof *out);
  if (p[0] == '4') {
    struct sockaddr_in in = {.sin_family = AF_INET};
    memcpy(&in.sin_port, at, 2);
    memcpy(&in.sin_addr, addr + 12, 4);
    memcpy(out, &in, *len = sizeof in);
  } else {
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_port, at, 2);
    memcpy(&in6.sin6_addr, addr, 16);
    memcpy(out, &in6, *len = sizeof in6);
  }
  return 0;
}

/* The inode in a name that relayname_read() knows. 0 or -1. */
static inline int relayname_inode(const struct sockaddr_un *sun, uint32_t *inode) {
  uint8_t b[4];
  if (relayname_hex(sun->sun_path + sizeof RELAYNAME_PREFIX, 8, b) != 0)
    return -1;
  *inode = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
  return 0;
}

/* What getpeername() answered for the program's end. 0: it is a relay's; else -1. */
static inline int relayname_read(const struct sockaddr_un *sun, socklen_t sun_len, struct sockaddr_storage *local,
                                 socklen_t *local_len, struct sockaddr_storage *remote, socklen_t *remote_len) {
  const size_t prefix = sizeof RELAYNAME_PREFIX - 1;
  if (sun_len != (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + RELAYNAME_LEN) || sun->sun_path[0] != 0 ||
      memcmp(sun->sun_path + 1, RELAYNAME_PREFIX, prefix) != 0)
    return -1;
  const char *p = sun->sun_path + 1 + prefix + 8;
  return relayname_get(p, local, local_len) || relayname_get(p + RELAYNAME_ADDR, remote, remote_len) ? -1 : 0;
}

#endif
