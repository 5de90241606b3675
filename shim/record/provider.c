/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider.c - the shim's share of libcrypto: three AEADs, two hashes, HMAC.
 *
 * OpenSSL's own default provider pulls all of the library in: 16,000 relocations that every process pays for, also
 * one that never makes a connection (200 us at its start, 120 pages). The functions below and in absent.c stand in
 * its place: the linker takes an archive's member only for a symbol that nobody has defined yet. Only in the shim;
 * the daemon has the whole library. No code of the algorithms is here.
 */
#ifdef SHIM
#include "provider.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include <stdbool.h>

/* Of libcrypto.a, where they are named so since 3.0. */
struct prov_ctx_st *ossl_prov_ctx_new(void);
void ossl_prov_ctx_free(struct prov_ctx_st *ctx);
void ossl_prov_ctx_set0_libctx(struct prov_ctx_st *ctx, OSSL_LIB_CTX *libctx);
void ossl_prov_ctx_set0_handle(struct prov_ctx_st *ctx, const OSSL_CORE_HANDLE *handle);
extern const OSSL_DISPATCH ossl_aes128gcm_functions[], ossl_aes256gcm_functions[],
    ossl_chacha20_ossl_poly1305_functions[], ossl_sha256_functions[], ossl_sha384_functions[], ossl_hmac_functions[];

static const OSSL_ALGORITHM ciphers[] = {
    {"AES-128-GCM:id-aes128-GCM", "provider=default", ossl_aes128gcm_functions, NULL},
    {"AES-256-GCM:id-aes256-GCM", "provider=default", ossl_aes256gcm_functions, NULL},
    {"ChaCha20-Poly1305", "provider=default", ossl_chacha20_ossl_poly1305_functions, NULL},
    {NULL, NULL, NULL, NULL}};
static const OSSL_ALGORITHM digests[] = {{"SHA2-256:SHA-256:SHA256", "provider=default", ossl_sha256_functions, NULL},
                                         {"SHA2-384:SHA-384:SHA384", "provider=default", ossl_sha384_functions, NULL},
                                         {NULL, NULL, NULL, NULL}};
static const OSSL_ALGORITHM macs[] = {{"HMAC", "provider=default", ossl_hmac_functions, NULL},
                                      {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM *query(void *ctx, int operation, int *no_cache) {
  (void)ctx;
  *no_cache = 0;
  return operation == OSSL_OP_CIPHER   ? ciphers
         : operation == OSSL_OP_DIGEST ? digests
         : operation == OSSL_OP_MAC    ? macs
                                       : NULL;
}

static void teardown(void *ctx) { ossl_prov_ctx_free(ctx); }

static const OSSL_DISPATCH table[] = {{OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
                                      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
                                      {0, NULL}};

int ossl_default_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                               void **ctx);
int ossl_default_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                               void **ctx) {
  OSSL_FUNC_core_get_libctx_fn *libctx = NULL;
  for (; in->function_id != 0; in++)
    if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
      libctx = OSSL_FUNC_core_get_libctx(in);
  struct prov_ctx_st *prov = libctx ? ossl_prov_ctx_new() : NULL;
  if (!prov)
    return 0;
  ossl_prov_ctx_set0_libctx(prov, (OSSL_LIB_CTX *)libctx(handle));
  ossl_prov_ctx_set0_handle(prov, handle);
  *ctx = prov;
  *out = table;
  return 1;
}

/* Encoders and decoders of keys. */
int ossl_base_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                            void **ctx);
int ossl_base_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                            void **ctx) {
  (void)handle, (void)in, (void)out, (void)ctx;
  return 0;
}

/* libcrypto asks the processor what it can do when it is loaded. Under a hypervisor each question is a trap: 30 us
 * and more at the start of every process. So it asks when its first keys are made (the Makefile's --wrap); the
 * once-function that sets libcrypto up comes through here, too, and asks once. */
static bool wanted;
void __real_OPENSSL_cpuid_setup(void);
void __wrap_OPENSSL_cpuid_setup(void);
void __wrap_OPENSSL_cpuid_setup(void) {
  if (wanted)
    __real_OPENSSL_cpuid_setup();
}

void record_provider_wanted(void) {
  wanted = true;
  __wrap_OPENSSL_cpuid_setup();
}
#endif
