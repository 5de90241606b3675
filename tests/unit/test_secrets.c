/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_secrets.c - when a handshake is over and an identity is gone, are their secrets gone from the process's
 * memory? The test keeps them masked, and looks for them in every writable mapping.
 */
#include "agentclient/identity/internal.h"
#include "agentclient/identity/ticket.h"
#include "support_handshake.h"
#include "support_sanitizer.h"

#include <openssl/core_names.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* Sanitizers keep memory of their own, terabytes of it, and quarantine what is freed. */
#define UNSEARCHABLE SKIP_UNDER(UNDER_ASAN || UNDER_TSAN, "memory cannot be searched under a sanitizer")

#define MASK   0x5a
#define NEEDLE 16

struct masked {
  uint8_t bytes[NEEDLE];
};

static struct masked mask(const uint8_t *secret) {
  struct masked m;
  for (size_t i = 0; i < NEEDLE; i++)
    m.bytes[i] = secret[i] ^ MASK;
  return m;
}

static bool here(const uint8_t *at, const struct masked *m) {
  for (size_t i = 0; i < NEEDLE; i++)
    if ((at[i] ^ MASK) != m->bytes[i])
      return false;
  return true;
}

/* How often the secret stands in the memory of this process. */
static int sightings(const struct masked *m) {
  FILE *maps = fopen("/proc/self/maps", "r");
  FILE *mem = fopen("/proc/self/mem", "r");
  static uint8_t page[65536];
  char line[512];
  int n = 0;
  assert_non_null(maps);
  assert_non_null(mem);
  while (fgets(line, sizeof line, maps)) {
    unsigned long from, to;
    char mode[5];
    if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[0] != 'r' || mode[1] != 'w' || strstr(line, "[v"))
      continue;
    for (unsigned long at = from; at < to;) {
      ssize_t got = pread(fileno(mem), page, to - at < sizeof page ? to - at : sizeof page, (off_t)at);
      if (got < NEEDLE)
        break;
      for (ssize_t i = 0; i + NEEDLE <= got; i++)
        if (here(page + i, m) && (at + (unsigned long)i < (unsigned long)page ||
                                  at + (unsigned long)i >= (unsigned long)page + sizeof page))
          n++;
      at += got == (ssize_t)sizeof page ? sizeof page - NEEDLE : (unsigned long)got;
    }
    explicit_bzero(page, sizeof page);
  }
  fclose(mem);
  fclose(maps);
  return n;
}

static void the_search_finds_what_is_there(void **state) {
  UNSEARCHABLE;
  uint8_t *secret = malloc(NEEDLE);
  (void)state;
  for (int i = 0; i < NEEDLE; i++)
    secret[i] = (uint8_t)rand();
  struct masked m = mask(secret);
  assert_int_equal(sightings(&m), 1);
  OPENSSL_cleanse(secret, NEEDLE);
  assert_int_equal(sightings(&m), 0);
  free(secret);
}

/* Both ends are ours, so that no peer of the test keeps a copy. */
static void traffic_secrets_are_gone_after_the_callback(void **state) {
  UNSEARCHABLE;
  struct hs_world w;
  (void)state;
  hs_world_open(&w);
  for (int round = 0; round < 4; round++) {
    struct hs_ours server, client;
    int fd[2];
    hs_tcp(fd);
    struct handshake_request serve = hs_request(&w, fd[0], ARENA_SERVER, RULE_IN);
    struct handshake_request call = hs_request(&w, fd[1], ARENA_CLIENT, RULE_OUT);
    hs_begin(&w, &server, &serve);
    hs_begin(&w, &client, &call);
    hs_wait(&server);
    hs_wait(&client);
    assert_int_equal(server.result.outcome, HANDSHAKE_OK);
    assert_int_equal(client.result.outcome, HANDSHAKE_OK);
    struct masked rx = mask(server.result.rx_secret), tx = mask(server.result.tx_secret);
    OPENSSL_cleanse(&server.result, sizeof server.result);
    OPENSSL_cleanse(&client.result, sizeof client.result);
    /* The callback has run; the pool's last lines of cleansing may be a moment behind. */
    for (int i = 0; i < 2000 && sightings(&rx) + sightings(&tx) > 0; i++)
      usleep(10000);
    assert_int_equal(sightings(&rx), 0);
    assert_int_equal(sightings(&tx), 0);
    hs_done(&server);
    hs_done(&client);
  }
  hs_world_close(&w);
}

/* A private key as it stands in DER (big-endian) and in a number (little-endian). */
static void private_keys_are_gone_with_the_last_reference(void **state) {
  UNSEARCHABLE;
  struct pki_ca *ca = pki_ca_new("example.org");
  struct pki_svid *svid = pki_issue(ca, &(struct pki_leaf){0});
  struct identity *id = pki_identity(svid, (struct pki_ca *[]){ca, NULL});
  BIGNUM *number = NULL;
  uint8_t big[32], little[32];
  (void)state;
  assert_true(EVP_PKEY_get_bn_param(svid->key, OSSL_PKEY_PARAM_PRIV_KEY, &number));
  assert_int_equal(BN_bn2binpad(number, big, 32), 32);
  assert_int_equal(BN_bn2lebinpad(number, little, 32), 32);
  BN_clear_free(number);
  struct masked b = mask(big), l = mask(little);
  OPENSSL_cleanse(big, sizeof big);
  OPENSSL_cleanse(little, sizeof little);
  pki_svid_free(svid);
  assert_true(sightings(&l) > 0);
  identity_ref(id);
  identity_unref(id);
  assert_true(sightings(&l) > 0);
  identity_unref(id);
  assert_int_equal(sightings(&b), 0);
  assert_int_equal(sightings(&l), 0);
  pki_ca_free(ca);
}

/* A ticket of ours, whose secret is known, for the place where a connection leads. */
static struct masked plant(const struct hs_world *w, int fd) {
  struct ticket_state s = {.cipher = 0x1301, .until = time(NULL) + 100, .psk_len = 32}, theirs;
  struct ticket_place place;
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  uint8_t ticket[TICKET_MAX];
  const char *why;
  assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
  assert_int_equal(ticket_place_make(&place, (struct sockaddr *)&peer, RULE_OUT, 0, ""), 0);
  for (int i = 0; i < 32; i++)
    s.psk[i] = (uint8_t)rand();
  theirs = s;
  assert_int_equal(spiffeid_parse(&s.peer, "spiffe://example.org/client", 27, 1, &why), 0);
  assert_int_equal(spiffeid_parse(&theirs.peer, "spiffe://example.org/server", 27, 1, &why), 0);
  int n = ticket_seal(w->server_id, &s, ticket);
  assert_true(n > 0);
  struct ticket_item item = {.ticket = ticket, .len = (size_t)n, .psk = s.psk};
  struct masked m = mask(s.psk);
  memset(theirs.psk, 0, sizeof theirs.psk);
  purse_put(w->client_id, &place, &theirs, &item, 1);
  OPENSSL_cleanse(&s, sizeof s);
  return m;
}

static void the_secret_of_a_ticket_is_gone_when_it_was_used(void **state) {
  UNSEARCHABLE;
  struct hs_world w;
  struct hs_ours server, client;
  int fd[2];
  (void)state;
  hs_world_open(&w);
  hs_tcp(fd);
  struct masked psk = plant(&w, fd[0]);
  assert_int_equal(sightings(&psk), 1);
  struct handshake_request call = hs_request(&w, fd[0], ARENA_CLIENT, RULE_OUT);
  struct handshake_request serve = hs_request(&w, fd[1], ARENA_SERVER, RULE_IN);
  hs_begin(&w, &server, &serve);
  hs_begin(&w, &client, &call);
  hs_wait(&server);
  hs_wait(&client);
  assert_true(client.result.resumed && server.result.resumed);
  for (int i = 0; i < 2000 && sightings(&psk) > 0; i++)
    usleep(10000);
  assert_int_equal(sightings(&psk), 0);
  hs_done(&server);
  hs_done(&client);
  hs_world_close(&w);
}

static void tickets_and_their_key_are_gone_with_the_identity(void **state) {
  UNSEARCHABLE;
  struct hs_world w;
  int fd[2];
  (void)state;
  hs_world_open(&w);
  hs_tcp(fd);
  struct masked psk = plant(&w, fd[0]), key = mask((const uint8_t *)w.server_id->ticket_key);
  assert_int_equal(sightings(&psk), 1);
  assert_true(sightings(&key) > 0);
  hs_world_close(&w);
  assert_int_equal(sightings(&psk), 0);
  assert_int_equal(sightings(&key), 0);
  close(fd[0]);
  close(fd[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_search_finds_what_is_there),
      cmocka_unit_test(traffic_secrets_are_gone_after_the_callback),
      cmocka_unit_test(private_keys_are_gone_with_the_last_reference),
      cmocka_unit_test(the_secret_of_a_ticket_is_gone_when_it_was_used),
      cmocka_unit_test(tickets_and_their_key_are_gone_with_the_identity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
