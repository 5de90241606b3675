/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_devagent_attest.c - who gets what from the dev agent: selectors, connections that were handed over,
 * minting, and calls that are refused.
 */
#include "support_devagent.h"
#include "support_workload.h"

#include "agentclient/devagent/attest.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STRANGER 65534

static void let_die(pid_t helper) {
  kill(helper, SIGKILL);
  waitpid(helper, NULL, 0);
}

/* The one SVID's ID that a connection brings, or what it brings instead. */
static void expect_id(int fd, const char *id) {
  struct inbox *in = inbox_new();
  struct workload_client *c = workload_open_fd(fd, inbox_put, in);
  struct seen s = inbox_next(in);
  if (!id && s.event != WORKLOAD_DENIED)
    fail_msg("event %d, not a denial", (int)s.event);
  if (id) {
    if (s.event != WORKLOAD_UPDATE)
      fail_msg("event %d \"%s\", not %s", (int)s.event, s.message, id);
    assert_int_equal(identity_svid_count(s.identity), 1);
    assert_string_equal(identity_svid_at(s.identity, 0)->id.text, id);
  }
  identity_unref(s.identity);
  workload_close(c);
  inbox_free(in);
}

static void selectors_are_spelled_as_spire_spells_them(void **state) {
  (void)state;
  struct devagent_caller me;
  struct devagent_selectors s;
  char exe[PATH_MAX], want[PATH_MAX + 32], *w = want;
  int sv[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
  assert_int_equal(devagent_caller_take(sv[0], &me), 0);
  assert_int_equal(me.pid, getpid());
  assert_int_equal(devagent_attest(&me, &s), 0);
  snprintf(want, sizeof want, "unix:uid:%u", (unsigned)geteuid());
  assert_true(devagent_selectors_match(&s, &w, 1));
  snprintf(want, sizeof want, "unix:gid:%u", (unsigned)getegid());
  assert_true(devagent_selectors_match(&s, &w, 1));
  if (geteuid() == 0) {
    strcpy(want, "unix:user:root");
    assert_true(devagent_selectors_match(&s, &w, 1));
    strcpy(want, "unix:group:root");
    assert_true(devagent_selectors_match(&s, &w, 1));
  }
  gid_t groups[64];
  int n = getgroups(64, groups);
  for (int i = 0; i < n; i++) {
    snprintf(want, sizeof want, "unix:supplementary_gid:%u", (unsigned)groups[i]);
    assert_true(devagent_selectors_match(&s, &w, 1));
  }
  ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
  assert_true(len > 0);
  exe[len] = 0;
  snprintf(want, sizeof want, "unix:path:%s", exe);
  assert_true(devagent_selectors_match(&s, &w, 1));
  strcat(want, "x");
  assert_false(devagent_selectors_match(&s, &w, 1));
  assert_false(devagent_selectors_match(&s, NULL, 0)); /* no selector is no permission */
  devagent_selectors_free(&s);
  me.start_time++; /* the pid was reused */
  assert_int_equal(devagent_attest(&me, &s), -1);
  close(sv[0]);
  close(sv[1]);
}

/* sha256sum's own answer, so that the spelling is not only ours. */
static void a_program_is_known_by_its_path_and_by_its_hash(void **state) {
  (void)state;
  char hash[65] = "", text[3 * PATH_MAX], exe[PATH_MAX];
  ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
  assert_true(len > 0);
  exe[len] = 0;
  snprintf(text, sizeof text, "sha256sum '%s'", exe);
  FILE *f = popen(text, "re");
  assert_non_null(f);
  assert_int_equal(fread(hash, 1, 64, f), 64);
  pclose(f);
  snprintf(text, sizeof text,
           "entries:\n  - { spiffe_id: spiffe://example.org/me, selectors: [\"unix:path:%s\", \"unix:sha256:%s\"] }\n"
           "  - { spiffe_id: spiffe://example.org/other, selectors: [\"unix:path:%s.old\"] }\n",
           exe, hash, exe);
  struct agent_process a;
  agent_prepare(&a, text);
  agent_start(&a, NULL);
  expect_id(agent_dial(&a), "spiffe://example.org/me");
  agent_cleanup(&a);
}

static void the_dialer_is_attested_and_not_who_uses_the_connection(void **state) {
  (void)state;
  if (geteuid() != 0)
    skip();
  pid_t helper;
  struct agent_process a;
  agent_prepare(&a, "entries:\n  - { spiffe_id: spiffe://example.org/root, selectors: [\"unix:uid:0\"] }\n"
                    "  - { spiffe_id: spiffe://example.org/stranger, selectors: [\"unix:uid:65534\"] }\n");
  agent_start(&a, NULL);
  expect_id(agent_dial(&a), "spiffe://example.org/root");
  int fd = agent_dial_as(&a, STRANGER, &helper);
  expect_id(fd, "spiffe://example.org/stranger");
  let_die(helper);
  agent_cleanup(&a);
}

static void nobody_in_particular_is_denied(void **state) {
  (void)state;
  struct agent_process a;
  agent_prepare(&a, "entries:\n  - { spiffe_id: spiffe://example.org/x, selectors: [\"unix:uid:123456\"] }\n");
  agent_start(&a, NULL);
  expect_id(agent_dial(&a), NULL);
  agent_cleanup(&a);
}

static void the_connection_of_a_dead_process_is_worth_nothing(void **state) {
  (void)state;
  pid_t helper;
  struct agent_process a;
  agent_prepare(&a, NULL);
  agent_start(&a, NULL);
  size_t before = agent_fds(&a);
  int fd = agent_dial_as(&a, geteuid(), &helper);
  for (int i = 0; i < WAIT_S * 100 && agent_fds(&a) == before; i++)
    usleep(10000); /* it has accepted, and knows the process, before that dies */
  let_die(helper);
  struct inbox *in = inbox_new();
  struct workload_client *c = workload_open_fd(fd, inbox_put, in);
  inbox_expect(in, WORKLOAD_UNAVAILABLE, "no more");
  workload_close(c);
  inbox_free(in);
  agent_cleanup(&a);
}

static void calls_that_are_not_served_say_why(void **state) {
  (void)state;
  struct agent_process a;
  agent_prepare(&a, NULL);
  agent_start(&a, NULL);
  assert_int_equal(agent_call(agent_dial(&a), "/SpiffeWorkloadAPI/FetchX509SVID", false), 3);
  assert_int_equal(agent_call(agent_dial(&a), "/SpiffeWorkloadAPI/FetchX509Bundles", false), 3);
  assert_int_equal(agent_call(agent_dial(&a), "/SpiffeWorkloadAPI/FetchJWTSVID", true), 12);
  assert_int_equal(agent_call(agent_dial(&a), "/SpiffeWorkloadAPI/ValidateJWTSVID", true), 12);
  assert_int_equal(agent_call(agent_dial(&a), "/grpc.health.v1.Health/Check", true), 12);
  assert_int_equal(agent_call(agent_dial(&a), "/svidwrap.DevAgent/Mint", true), 3); /* for no ID */
  agent_cleanup(&a);
}

static X509 *read_cert(const char *dir, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "re");
  assert_non_null(f);
  X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
  fclose(f);
  assert_non_null(x);
  return x;
}

static void expect_minted(const char *dir, const char *id, const char *bundle_dir) {
  char path[256], why[256];
  struct stat st;
  struct spiffeid got;
  X509 *leaf = read_cert(dir, "svid.pem"), *root = read_cert(bundle_dir, "bundle.pem");
  assert_int_equal(identity_check_leaf(leaf, &got, why, sizeof why), 0);
  assert_string_equal(got.text, id);
  assert_int_equal(X509_verify(leaf, X509_get0_pubkey(root)), 1);
  snprintf(path, sizeof path, "%s/key.pem", dir);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  FILE *f = fopen(path, "re");
  EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
  fclose(f);
  assert_int_equal(X509_check_private_key(leaf, key), 1);
  EVP_PKEY_free(key);
  X509_free(leaf);
  X509_free(root);
}

static void minting_writes_an_svid_of_the_running_agents_ca(void **state) {
  (void)state;
  char printed[2048], early[128], late[128];
  struct agent_process a;
  agent_prepare(&a, NULL);
  snprintf(early, sizeof early, "%s/early", a.dir);
  snprintf(late, sizeof late, "%s/late", a.dir);
  const char *at_start[] = {"--print-bundle", a.bundle, "--mint", "spiffe://example.org/early", "--out", early, NULL};
  agent_start(&a, at_start);
  expect_minted(early, "spiffe://example.org/early", a.dir);
  const char *mint[] = {"--socket", a.socket, "--mint", "spiffe://example.org/late", "--out", late, NULL};
  assert_int_equal(agent_run(mint, printed, sizeof printed), 0);
  expect_minted(late, "spiffe://example.org/late", a.dir);
  const char *foreign[] = {"--socket", a.socket, "--mint", "spiffe://other.org/x", "--out", late, NULL};
  assert_int_equal(agent_run(foreign, printed, sizeof printed), 64);
  assert_non_null(strstr(printed, "not in the trust domain"));
  const char *nonsense[] = {"--socket", a.socket, "--mint", "example.org/x", "--out", late, NULL};
  assert_int_equal(agent_run(nonsense, printed, sizeof printed), 64);
  agent_cleanup(&a);
}

static void minting_is_for_the_agents_own_user(void **state) {
  (void)state;
  if (geteuid() != 0)
    skip();
  pid_t helper;
  struct agent_process a;
  agent_prepare(&a, NULL);
  agent_start(&a, NULL);
  int fd = agent_dial_as(&a, STRANGER, &helper);
  assert_int_equal(agent_call(fd, "/svidwrap.DevAgent/Mint", true), 7);
  let_die(helper);
  agent_cleanup(&a);
}

static void an_outside_ca_signs_and_a_wrong_one_is_refused(void **state) {
  (void)state;
  char command[1024], text[512], printed[2048];
  struct agent_process a;
  agent_prepare(&a, NULL);
  snprintf(
      command, sizeof command,
      "cd %s && for n in a b; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $n.key "
      "-out $n.pem -days 2 -subj /CN=$n -addext subjectAltName=URI:spiffe://example.org "
      "-addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null || exit 1; done",
      a.dir);
  assert_int_equal(system(command), 0);
  snprintf(text, sizeof text,
           "ca: { cert: a.pem, key: a.key }\nentries:\n  - { spiffe_id: spiffe://example.org/x, selectors: "
           "[\"unix:uid:%u\"] }\n",
           (unsigned)geteuid());
  agent_configure(&a, text);
  agent_start(&a, NULL);
  struct inbox *in = inbox_new();
  struct workload_client *c = workload_open_fd(agent_dial(&a), inbox_put, in);
  struct seen s = inbox_next(in);
  assert_int_equal(s.event, WORKLOAD_UPDATE);
  X509 *root = read_cert(a.dir, "a.pem");
  assert_int_equal(X509_verify(identity_svid_at(s.identity, 0)->leaf, X509_get0_pubkey(root)), 1);
  X509_free(root);
  identity_unref(s.identity);
  workload_close(c);
  inbox_free(in);
  agent_stop(&a);
  agent_configure(&a, "ca: { cert: a.pem, key: b.key }\n");
  const char *args[] = {"--socket", a.socket, "--config", a.config, NULL};
  assert_int_equal(agent_run(args, printed, sizeof printed), 78);
  assert_non_null(strstr(printed, "does not hold the key"));
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
      cmocka_unit_test(selectors_are_spelled_as_spire_spells_them),
      cmocka_unit_test(a_program_is_known_by_its_path_and_by_its_hash),
      cmocka_unit_test(the_dialer_is_attested_and_not_who_uses_the_connection),
      cmocka_unit_test(nobody_in_particular_is_denied),
      cmocka_unit_test(the_connection_of_a_dead_process_is_worth_nothing),
      cmocka_unit_test(calls_that_are_not_served_say_why),
      cmocka_unit_test(minting_writes_an_svid_of_the_running_agents_ca),
      cmocka_unit_test(minting_is_for_the_agents_own_user),
      cmocka_unit_test(an_outside_ca_signs_and_a_wrong_one_is_refused),
  };
  int rc;
  if (support_devagent_child(argc, argv, &rc))
    return rc;
  return cmocka_run_group_tests(tests, start, stop);
}
