/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standin.c - the names of stand-ins: how one is made, and how a descriptor that came from elsewhere is known by it.
 */
#include "standin.h"

#include "environ.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

socklen_t standin_address(struct sockaddr_un *sun, const char *name) {
  memset(sun, 0, sizeof *sun);
  sun->sun_family = AF_UNIX;
  memcpy(sun->sun_path + 1, name, WIRE_NAME_LEN - 1);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + WIRE_NAME_LEN - 1);
}

bool standin_is(const struct sockaddr *sa, socklen_t len, char name[WIRE_NAME_LEN]) {
  const struct sockaddr_un *sun = (const struct sockaddr_un *)(const void *)sa;
  size_t prefix = sizeof WIRE_STANDIN_PREFIX - 1;
  if (len != (socklen_t)(offsetof(struct sockaddr_un, sun_path) + WIRE_NAME_LEN) || sa->sa_family != AF_UNIX ||
      sun->sun_path[0] != 0 || memcmp(sun->sun_path + 1, WIRE_STANDIN_PREFIX, prefix) != 0)
    return false;
  for (size_t i = prefix; i < WIRE_NAME_LEN - 1; i++) {
    char c = sun->sun_path[1 + i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
      return false;
  }
  memcpy(name, sun->sun_path + 1, WIRE_NAME_LEN - 1);
  name[WIRE_NAME_LEN - 1] = 0;
  return true;
}

int standin_random(char name[WIRE_NAME_LEN]) {
  uint8_t bits[12];
  if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits)
    return -EIO;
  int at = snprintf(name, WIRE_NAME_LEN, "%s%08x", WIRE_STANDIN_PREFIX,
                    wire_instance_tag(environ_get("SVIDWRAP_INSTANCE")));
  for (size_t i = 0; i < sizeof bits; i++)
    at += snprintf(name + at, (size_t)(WIRE_NAME_LEN - at), "%02x", bits[i]);
  return 0;
}
