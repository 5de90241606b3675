/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages from a hostile program. What wire_check() lets through must be safe to take apart: every byte that the
 * handlers then touch is touched here. The first byte of the input is the number of descriptors.
 */
#include "agentclient/daemon/wirecheck.h"

#include <stdlib.h>
#include <string.h>

static unsigned long sum;

static void touch(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    sum += (unsigned char)p[i];
}

static void take_hello_apart(const void *msg) {
  struct wire_hello_parts p;
  wire_hello_split(msg, &p);
  touch(p.path, p.path_len);
  touch(p.vars, p.vars_len);
  touch(p.program, p.program_len);
  static const char *names[] = {"A", "HOME", "SPIFFE_ENDPOINT_SOCKET", ""};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *v = wire_vars_find(p.vars, p.vars_len, names[i]);
    if (v)
      touch(v, strlen(v));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1)
    return 0;
  size_t len = size - 1;
  char *msg = malloc(len ? len : 1); /* exactly: one byte beyond is seen by the sanitizer */
  if (!msg)
    return 0;
  memcpy(msg, data + 1, len);
  /* Half of all inputs get a header that is right, so that the fuzzer gets past it. */
  if ((data[0] & 0x80) && len >= sizeof(struct wire_hdr)) {
    struct wire_hdr h;
    memcpy(&h, msg, sizeof h);
    h = (struct wire_hdr){.magic = WIRE_MAGIC,
                          .version = WIRE_VERSION,
                          .type = (uint16_t)(h.type % (WIRE_STATUS + 2)),
                          .length = (uint32_t)len};
    memcpy(msg, &h, sizeof h);
  }
  if (wire_check(msg, len, data[0] & 3) == WIRE_OK) {
    struct wire_hdr h;
    memcpy(&h, msg, sizeof h);
    if (h.type == WIRE_HELLO)
      take_hello_apart(msg);
    touch(msg, len);
  }
  free(msg);
  return 0;
}
