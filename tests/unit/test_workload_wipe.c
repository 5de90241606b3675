/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_workload_wipe.c - where a private key is in the client's memory: in the identity, and nowhere once that is
 * gone. The whole of the process's memory is searched, gRPC's buffers with it; the agent is another process.
 */
#include "support_devagent.h"
#include "support_sanitizer.h"
#include "support_workload.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SCALAR 32
#define SVIDS  24
#define BLOCK  (1u << 20)
#define MASK   0xa5 /* what we look for must not lie about ourselves */

struct wanted {
  uint8_t masked[SCALAR]; /* big-endian, as on the wire */
};

static struct wanted scalar_of(const EVP_PKEY *key) {
  struct wanted w;
  BIGNUM *n = NULL;
  assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &n), 1);
  assert_int_equal(BN_bn2binpad(n, w.masked, SCALAR), SCALAR);
  BN_clear_free(n);
  for (size_t i = 0; i < SCALAR; i++)
    w.masked[i] ^= MASK;
  return w;
}

/* The wire has it big-endian, a bignum of this machine little-endian: either is a copy. */
static bool here(const uint8_t *p, const struct wanted *w) {
  bool forward = true, backward = true;
  for (size_t i = 0; i < SCALAR && (forward || backward); i++) {
    forward = forward && (p[i] ^ MASK) == w->masked[i];
    backward = backward && (p[i] ^ MASK) == w->masked[SCALAR - 1 - i];
  }
  return forward || backward;
}

static size_t copies_in(const uint8_t *p, size_t len, const struct wanted *w, size_t count) {
  bool first[256] = {false};
  size_t found = 0;
  for (size_t k = 0; k < count; k++)
    first[w[k].masked[0] ^ MASK] = first[w[k].masked[SCALAR - 1] ^ MASK] = true;
  for (size_t i = 0; i + SCALAR <= len && i < BLOCK; i++)
    for (size_t k = 0; first[p[i]] && k < count; k++)
      found += here(p + i, &w[k]);
  return found;
}

/* Most of what is mapped (thread stacks) was never touched. */
static bool touched(int pagemap, unsigned long from, size_t len) {
  uint64_t entry;
  for (unsigned long page = from / 4096; page < (from + len + 4095) / 4096; page++)
    if (pread(pagemap, &entry, 8, (off_t)(page * 8)) != 8 || entry >> 62)
      return true; /* in memory or in swap; when in doubt, too */
  return false;
}

/* How often one of them is in writable memory. */
static size_t copies(const struct wanted *w, size_t count) {
  static uint8_t block[BLOCK + SCALAR];
  char line[512], mode[8];
  unsigned long from, to;
  size_t found = 0;
  FILE *maps = fopen("/proc/self/maps", "re");
  int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  assert_true(maps && mem >= 0);
  while (fgets(line, sizeof line, maps)) {
    if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w' || strstr(line, "[v"))
      continue;
    for (unsigned long at = from; at < to; at += BLOCK) {
      size_t len = to - at < BLOCK + SCALAR ? to - at : BLOCK + SCALAR;
      if ((unsigned long)block - at < len || at - (unsigned long)block < sizeof block)
        continue; /* our own window */
      if (!touched(pagemap, at, len))
        continue;
      ssize_t n = pread(mem, block, len, (off_t)at);
      found += n > 0 ? copies_in(block, (size_t)n, w, count) : 0;
    }
  }
  memset(block, 0, sizeof block);
  close(mem);
  close(pagemap);
  fclose(maps);
  return found;
}

/* Many SVIDs, so that what is freed is too large to be overwritten by chance. */
static void no_key_outlives_its_identity(void **state) {
  (void)state;
  SKIP_UNDER(UNDER_ASAN || UNDER_TSAN, "a sanitizer's shadow memory has no end, and what is freed is kept aside");
  static char text[8192];
  static struct wanted keys[SVIDS];
  struct agent_process a;
  size_t n = (size_t)snprintf(text, sizeof text, "entries:\n");
  for (int i = 0; i < SVIDS; i++)
    n += (size_t)snprintf(text + n, sizeof text - n,
                          "  - { spiffe_id: spiffe://example.org/%d, selectors: [\"unix:uid:%u\"] }\n", i,
                          (unsigned)geteuid());
  agent_prepare(&a, text);
  agent_start(&a, NULL);
  struct inbox *in = inbox_new();
  struct workload_client *c = workload_open_fd(agent_dial(&a), inbox_put, in);
  for (int round = 0; round < 2; round++) {
    struct seen s = inbox_next(in);
    assert_int_equal(s.event, WORKLOAD_UPDATE);
    assert_int_equal(identity_svid_count(s.identity), SVIDS);
    for (size_t i = 0; i < SVIDS; i++)
      keys[i] = scalar_of(identity_svid_at(s.identity, i)->key);
    assert_true(copies(keys, SVIDS) >= SVIDS); /* the search does find what is there */
    identity_unref(s.identity);
    /* The stream is still open: the transport's buffers are in use. */
    assert_int_equal(copies(keys, SVIDS), 0);
    kill(a.pid, SIGUSR1);
  }
  workload_close(c);
  inbox_free(in);
  agent_cleanup(&a);
}

static int start(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  return workload_start();
}

static int stop(void **state) {
  (void)state;
  workload_stop();
  return 0;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_key_outlives_its_identity),
  };
  int rc;
  if (support_devagent_child(argc, argv, &rc))
    return rc;
  return cmocka_run_group_tests(tests, start, stop);
}
