/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c - what a client says in its first message for a foreign server's sake: a server name (RFC 6066 section 3)
 * and application protocols (RFC 7301).
 *
 * Neither has a say in whom we trust. A server that confirms no protocol is taken as it is (RFC 7301 section 3.1
 * lets it be silent); one that confirms what was not offered is refused by OpenSSL.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

/* The rule's, else what the program resolved, without the dot that ends a fully qualified name. An address is no
 * server name. */
static bool server_name(const struct handshake *h, char name[256]) {
  const struct policy_rule *rule = policy_rule_at(h->request.policy, h->request.rule);
  const char *said = rule && rule->sni ? rule->sni : h->request.host;
  uint8_t address[16];
  size_t len = said ? strnlen(said, 256) : 0;
  if (len && said[len - 1] == '.')
    len--;
  if (len == 0 || len > 255)
    return false;
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)said[i]) && !strchr("-._", said[i]))
      return false;
  memcpy(name, said, len);
  name[len] = '\0';
  return inet_pton(AF_INET, name, address) != 1 && inet_pton(AF_INET6, name, address) != 1;
}

void handshake_server_name(const struct handshake *h, char name[256]) {
  if (!server_name(h, name))
    name[0] = '\0';
}

bool handshake_hello(struct handshake *h) {
  const struct policy_rule *rule = policy_rule_at(h->request.policy, h->request.rule);
  char name[256];
  handshake_server_name(h, name);
  if (name[0] && SSL_set_tlsext_host_name(h->ssl, name) != 1)
    return false;
  return !rule || rule->alpn_len == 0 || SSL_set_alpn_protos(h->ssl, rule->alpn, (unsigned)rule->alpn_len) == 0;
}
