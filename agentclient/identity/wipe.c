/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wipe.c - whatever OpenSSL frees is wiped first. SSL_free() leaves the traffic secrets of a connection in the heap,
 * and they outlive the handshake by hours: the shim goes on using them.
 *
 * Installed before main(), because OpenSSL takes other allocators only before its first allocation.
 */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static void *wipe_malloc(size_t n, const char *file, int line) {
  (void)file;
  (void)line;
  return malloc(n);
}

static void wipe_free(void *p, const char *file, int line) {
  (void)file;
  (void)line;
  if (!p)
    return;
  /* Every record buffer of 16 KiB comes by here: OPENSSL_cleanse() took 4 % of the daemon's time. */
  explicit_bzero(p, malloc_usable_size(p));
  free(p);
}

/* Not realloc(): it may leave the old bytes where they were. */
static void *wipe_realloc(void *old, size_t n, const char *file, int line) {
  size_t have = old ? malloc_usable_size(old) : 0;
  if (n == 0) {
    wipe_free(old, file, line);
    return NULL;
  }
  void *p = malloc(n);
  if (p && old) {
    memcpy(p, old, have < n ? have : n);
    wipe_free(old, file, line);
  }
  return p;
}

__attribute__((constructor)) static void install(void) {
  CRYPTO_set_mem_functions(wipe_malloc, wipe_realloc, wipe_free);
}
