/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_workload_endpoint.c - which addresses of a Workload API are taken, to what, and that every refusal says
 * what to write instead (SPIFFE_Workload_Endpoint.md, section 4).
 */
#include "agentclient/workload/workload.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static void unix_addresses_become_paths(void **state) {
  (void)state;
  static const struct {
    const char *endpoint, *path;
  } t[] = {
      {"unix:///run/spire/sockets/agent.sock", "/run/spire/sockets/agent.sock"},
      {"unix:/tmp/a.sock", "/tmp/a.sock"},
      {"UNIX:///tmp/a.sock", "/tmp/a.sock"},
      {"unix:///tmp/with%20space%25", "/tmp/with space%"},
      {"unix:///tmp/with space", "/tmp/with space"},
      {"unix:///a:b@c", "/a:b@c"},
  };
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    struct sockaddr_storage ss;
    struct sockaddr_un *un = (struct sockaddr_un *)&ss;
    unsigned len;
    char why[512] = "";
    assert_int_equal(workload_endpoint_parse(t[i].endpoint, &ss, &len, why, sizeof why), 0);
    assert_int_equal(ss.ss_family, AF_UNIX);
    assert_string_equal(un->sun_path, t[i].path);
    assert_int_equal(len, sizeof *un);
  }
}

static void tcp_addresses_become_sockets_addresses(void **state) {
  (void)state;
  struct sockaddr_storage ss;
  struct sockaddr_in *in = (struct sockaddr_in *)&ss;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
  unsigned len;
  char why[512];
  assert_int_equal(workload_endpoint_parse("tcp://127.0.0.1:8000", &ss, &len, why, sizeof why), 0);
  assert_int_equal(ss.ss_family, AF_INET);
  assert_int_equal(len, sizeof *in);
  assert_int_equal(ntohs(in->sin_port), 8000);
  assert_int_equal(ntohl(in->sin_addr.s_addr), INADDR_LOOPBACK);
  assert_int_equal(workload_endpoint_parse("tcp://[::1]:65535", &ss, &len, why, sizeof why), 0);
  assert_int_equal(ss.ss_family, AF_INET6);
  assert_int_equal(len, sizeof *in6);
  assert_int_equal(ntohs(in6->sin6_port), 65535);
  assert_memory_equal(&in6->sin6_addr, &in6addr_loopback, 16);
}

static void everything_else_is_refused_with_the_cure(void **state) {
  (void)state;
  static const struct {
    const char *endpoint, *cure;
  } t[] = {
      {NULL, "SPIFFE_ENDPOINT_SOCKET"},
      {"", "SPIFFE_ENDPOINT_SOCKET"},
      {"/run/agent.sock", "write unix:///run/agent.sock"},
      {"run/agent.sock", "unix:///"},
      {"unix:", "no path"},
      {"unix://", "no path"},
      {"unix:///", "no path"},
      {"unix:run/agent.sock", "relative"},
      {"unix://run/agent.sock", "write unix:///run/agent.sock"},
      {"unix://localhost/run/agent.sock", "names a host"},
      {"unix:@agent", "abstract"},
      {"unix://@agent", "abstract"},
      {"@agent", "abstract"},
      {"unix-abstract:agent", "abstract"},
      {"unix:///run/agent.sock?x=1", "query"},
      {"unix:///run/agent.sock#x", "fragment"},
      {"unix:///run/%", "escape"},
      {"unix:///run/%0", "escape"},
      {"unix:///run/%zz", "escape"},
      {"unix:///run/%00", "escape"},
      {"tcp://127.0.0.1", "port"},
      {"tcp://127.0.0.1:", "port"},
      {"tcp://127.0.0.1:0", "1 to 65535"},
      {"tcp://127.0.0.1:65536", "1 to 65535"},
      {"tcp://127.0.0.1:+80", "1 to 65535"},
      {"tcp://127.0.0.1:80x", "1 to 65535"},
      {"tcp://127.0.0.1:80/", "write tcp://"},
      {"tcp://127.0.0.1:80/path", "write tcp://"},
      {"tcp://127.0.0.1:80?q", "write tcp://"},
      {"tcp://user@127.0.0.1:80", "write tcp://"},
      {"tcp:127.0.0.1:80", "write tcp://"},
      {"tcp://localhost:80", "IP address"},
      {"tcp://127.1:80", "IP address"},
      {"tcp://::1:80", "[::1]"},
      {"tcp://[::1]", "port"},
      {"tcp://[::1:80", "port"},
      {"tcp://[127.0.0.1]:80", "IP address"},
      {"tcp://:80", "IP address"},
      {"http://127.0.0.1:80", "unix:///absolute/path or tcp://"},
      {"dns:///agent:80", "unix:///absolute/path or tcp://"},
  };
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    struct sockaddr_storage ss;
    unsigned len = 77;
    char why[512] = "";
    if (workload_endpoint_parse(t[i].endpoint, &ss, &len, why, sizeof why) != -1)
      fail_msg("%s was taken", t[i].endpoint);
    assert_int_equal(len, 0);
    if (!strstr(why, t[i].cure))
      fail_msg("%s: \"%s\" does not say \"%s\"", t[i].endpoint, why, t[i].cure);
  }
}

static void a_path_fits_or_is_refused(void **state) {
  (void)state;
  struct sockaddr_storage ss;
  unsigned len;
  char endpoint[300], why[512];
  size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
  memset(endpoint, 'a', sizeof endpoint);
  memcpy(endpoint, "unix:///", 8);
  endpoint[7 + most] = 0;
  assert_int_equal(workload_endpoint_parse(endpoint, &ss, &len, why, sizeof why), 0);
  endpoint[7 + most] = 'a';
  endpoint[8 + most] = 0;
  assert_int_equal(workload_endpoint_parse(endpoint, &ss, &len, why, sizeof why), -1);
  assert_non_null(strstr(why, "shorter path"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unix_addresses_become_paths),
      cmocka_unit_test(tcp_addresses_become_sockets_addresses),
      cmocka_unit_test(everything_else_is_refused_with_the_cure),
      cmocka_unit_test(a_path_fits_or_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
