/* SPDX-License-Identifier: Apache-2.0 */
/*
 * absent.c - what the shim's share of libcrypto names and never calls.
 *
 * libcrypto's parts know each other: who takes EVP gets X.509, elliptic curves and an HTTP client, seven thousand
 * relocations that every process pays for at its start, also one that never makes a connection. These functions end
 * the chains. Each says "failed" or "there is none"; clean-ups have nothing to clean. They are weak: where a
 * libcrypto.a of another version brings a member in for another reason, its own function counts.
 */
#ifdef SHIM
#define ANSWERS(name, answer)                                                                                        \
  __attribute__((weak)) long name(void);                                                                             \
  long name(void) { return answer; }
#define ABSENT(name) ANSWERS(name, 0)
#define DONE(name)   ANSWERS(name, 1) /* for an empty store is flushed at once */

/* ASN.1, and names of objects (obj_dat alone is 50 KiB to relocate). */
ABSENT(ASN1_OBJECT_free)
ABSENT(ASN1_TYPE_set)
ABSENT(ASN1_TYPE_get_octetstring)
ABSENT(ASN1_TYPE_set_octetstring)
ABSENT(ossl_asn1_type_get_octetstring_int)
ABSENT(ossl_asn1_type_set_octetstring_int)
ABSENT(d2i_ASN1_TYPE)
ABSENT(i2d_ASN1_TYPE)
ABSENT(OBJ_create)
ABSENT(OBJ_get0_data)
ABSENT(OBJ_nid2ln)
ABSENT(OBJ_nid2obj)
ABSENT(OBJ_nid2sn)
ABSENT(OBJ_obj2txt)
ABSENT(OBJ_txt2nid)
ABSENT(ossl_obj_cleanup_int)
ABSENT(OBJ_add_sigid)
ABSENT(OBJ_find_sigid_algs)

/* Public keys. */
ABSENT(EVP_PKEY_asn1_get0)
ABSENT(EVP_PKEY_asn1_get0_info)
ABSENT(EVP_PKEY_asn1_get_count)
ABSENT(EVP_PKEY_generate)
ABSENT(EVP_PKEY_keygen_init)
ABSENT(EVP_PKEY_CTX_ctrl)
ABSENT(EVP_PKEY_CTX_dup)
ABSENT(EVP_PKEY_CTX_free)
ABSENT(EVP_PKEY_CTX_get_params)
ABSENT(EVP_PKEY_CTX_new_from_name)
ABSENT(EVP_PKEY_CTX_new_from_pkey)
ABSENT(EVP_PKEY_CTX_set1_id)
ABSENT(EVP_PKEY_CTX_set_params)
ABSENT(EVP_DigestSignInit)
ABSENT(EVP_DigestSignUpdate)
ABSENT(EVP_DigestVerifyInit)
ABSENT(EVP_DigestVerifyUpdate)
ABSENT(BN_bn2nativepad)
ABSENT(BN_is_negative)
ABSENT(BN_native2bn)
ABSENT(BN_num_bits)

/* Engines, and the old tables by name. */
ABSENT(engine_load_afalg_int)
ABSENT(engine_load_padlock_int)
ABSENT(engine_load_dynamic_int)
ABSENT(ENGINE_register_all_complete)
ABSENT(ENGINE_finish)
ABSENT(ENGINE_init)
ABSENT(ENGINE_free)
ABSENT(engine_cleanup_int)
ABSENT(ENGINE_by_id)
ABSENT(engine_load_openssl_int)
ABSENT(ENGINE_get_cipher)
ABSENT(ENGINE_get_cipher_engine)
ABSENT(ENGINE_get_digest)
ABSENT(ENGINE_get_digest_engine)
ABSENT(EVP_get_cipherbyname)
ABSENT(EVP_get_digestbyname)
ABSENT(evp_cleanup_int)
ABSENT(openssl_add_all_ciphers_int)
ABSENT(openssl_add_all_digests_int)

/* Files: BIOs, configurations, shared objects, stores, encoders and decoders. */
ABSENT(bio_cleanup)
ABSENT(ossl_bio_init_core)
ABSENT(ossl_core_bio_ctrl)
ABSENT(ossl_core_bio_free)
ABSENT(ossl_core_bio_gets)
ABSENT(ossl_core_bio_new_file)
ABSENT(ossl_core_bio_new_mem_buf)
ABSENT(ossl_core_bio_puts)
ABSENT(ossl_core_bio_read_ex)
ABSENT(ossl_core_bio_up_ref)
ABSENT(ossl_core_bio_vprintf)
ABSENT(ossl_core_bio_write_ex)
ABSENT(CONF_modules_load_file_ex)
ABSENT(ossl_config_modules_free)
ABSENT(ossl_config_int)
ABSENT(ossl_no_config_int)
ABSENT(DSO_bind_func)
ABSENT(DSO_convert_filename)
ABSENT(DSO_ctrl)
ABSENT(DSO_free)
ABSENT(DSO_get_filename)
ABSENT(DSO_load)
ABSENT(DSO_merge)
ABSENT(DSO_new)
ABSENT(ossl_store_cleanup_int)
DONE(ossl_store_loader_store_cache_flush)
DONE(ossl_store_loader_store_remove_all_provided)
DONE(ossl_decoder_store_cache_flush)
DONE(ossl_decoder_store_remove_all_provided)
DONE(ossl_encoder_store_cache_flush)
DONE(ossl_encoder_store_remove_all_provided)

/* Texts of errors, which nobody prints. */
ABSENT(BIO_snprintf)
ABSENT(BIO_vsnprintf)
ABSENT(ossl_err_load_crypto_strings)

/* Random numbers: records need none. */
ABSENT(ossl_rand_cleanup_entropy)
ABSENT(ossl_rand_cleanup_nonce)
ABSENT(ossl_rand_get_entropy)
ABSENT(ossl_rand_get_nonce)
ABSENT(RAND_bytes_ex)
ABSENT(RAND_priv_bytes_ex)
ABSENT(ossl_rand_cleanup_int)
ABSENT(ossl_rand_ctx_free)

/* Other protocols. */
ABSENT(async_deinit)
ABSENT(async_init)
ABSENT(ossl_comp_zlib_cleanup)
ABSENT(OSSL_CMP_log_close)
ABSENT(ssl3_cbc_digest_record)
#endif
