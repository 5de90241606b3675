/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secrets.c - takes the traffic secrets out of OpenSSL's key log lines ("LABEL client_random secret", hexadecimal),
 * the one public way to them.
 *
 * They go into the handshake's own memory and nowhere else; no file is ever written.
 */
#include "internal.h"

#include <string.h>

static int nibble(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/* The number of bytes, 0 if it is no hexadecimal or does not fit. */
static uint8_t unhex(const char *hex, uint8_t out[ARENA_SECRET_MAX]) {
  size_t n = strlen(hex);
  if (n % 2 || n / 2 > ARENA_SECRET_MAX)
    return 0;
  for (size_t i = 0; i < n; i += 2) {
    int high = nibble(hex[i]), low = nibble(hex[i + 1]);
    if (high < 0 || low < 0)
      return 0;
    out[i / 2] = (uint8_t)(high << 4 | low);
  }
  return (uint8_t)(n / 2);
}

void handshake_secrets_line(struct handshake_secrets *s, const char *line) {
  const struct {
    const char *label;
    uint8_t *secret, *len;
  } wanted[] = {
      {"CLIENT_TRAFFIC_SECRET_0 ", s->client, &s->client_len},
      {"SERVER_TRAFFIC_SECRET_0 ", s->server, &s->server_len},
      {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", s->client_handshake, &s->client_handshake_len},
  };
  const char *hex = strrchr(line, ' ');
  for (size_t i = 0; hex && i < sizeof wanted / sizeof wanted[0]; i++)
    if (strncmp(line, wanted[i].label, strlen(wanted[i].label)) == 0)
      *wanted[i].len = unhex(hex + 1, wanted[i].secret);
}
