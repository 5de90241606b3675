/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_spiffeid.c - any bytes as a SPIFFE ID. What is accepted must obey the standard as a second, simpler reading of
 * it has it, and must come out as it went in; what is refused must have a reason.
 */
#include "agentclient/identity/spiffeid.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789.-_"
#define MIXED LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* By strspn() and the forbidden pieces, where the parser walks segment by segment. */
static bool standard(const char *s, size_t len) {
  if (strlen(s) != len || len > 2048 || strncmp(s, "spiffe://", 9) != 0)
    return false;
  size_t domain = strspn(s + 9, LOWER);
  const char *path = s + 9 + domain;
  if (domain < 1 || domain > 255 || path[strspn(path, MIXED "/")] != '\0')
    return false;
  if (*path && (*path != '/' || s[len - 1] == '/' || strstr(path, "//")))
    return false;
  char whole[2048 + 2];
  memcpy(whole, path, strlen(path));
  memcpy(whole + strlen(path), "/", 2);
  return !strstr(whole, "/./") && !strstr(whole, "/../");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = malloc(size + 1);
  struct spiffeid id;
  const char *why = NULL;
  if (!copy)
    return 0;
  if (size)
    memcpy(copy, data, size);
  copy[size] = '\0';
  int rc = spiffeid_parse(&id, (const char *)data, size, 0, &why);
  if ((rc == 0) != standard(copy, size))
    abort();
  if (rc == 0 && (id.len != size || strcmp(id.text, copy) != 0 || !spiffeid_same_domain(&id, &id)))
    abort();
  if (rc != 0 && (!why || !*why || id.len != 0))
    abort();
  int with_path = spiffeid_parse(&id, (const char *)data, size, 1, &why);
  if ((with_path == 0) != (rc == 0 && 9 + id.domain_len < size && id.len != 0))
    abort();
  free(copy);
  return 0;
}
