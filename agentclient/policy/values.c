/* SPDX-License-Identifier: Apache-2.0 */
/*
 * values.c - readers of values that have a form of their own: places where lines go, addresses to listen at, rates,
 * protocols. What is not exactly of that form is an error that shows it.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static int keep(struct reader *r, const struct ynode *n, const char *text, void *target) {
  *(const char **)target = pool_strndup(&r->policy->pool, text, strlen(text));
  return *(const char **)target ? 0 : reader_fail(r, n, "out of memory");
}

int reader_endpoint(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const char *text = reader_text(r, n, "an address such as unix:///run/spire/sockets/agent.sock");
  if (!text)
    return -1;
  r->policy->settings.agent_varies = r->policy->settings.agent_varies || strstr(n->text, "${");
  if (strncmp(text, "unix:", 5) != 0 && strncmp(text, "tcp://", 6) != 0)
    return reader_fail(r, n, "%s: expected unix:///PATH or tcp://IP:PORT, found '%.200s'", key->name, text);
  if (strlen(text) > 1023)
    return reader_fail(r, n, "%s: longer than 1023 bytes", key->name);
  return keep(r, n, text, target);
}

int reader_target(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const char *text = reader_text(r, n, "auto, stderr, syslog or the path of a file");
  if (!text)
    return -1;
  r->policy->settings.target_varies = r->policy->settings.target_varies || strstr(n->text, "${");
  if (text[0] != '/' && strcmp(text, "auto") != 0 && strcmp(text, "stderr") != 0 && strcmp(text, "syslog") != 0)
    return reader_fail(r, n, "%s: expected auto, stderr, syslog or an absolute path, found '%.200s'", key->name,
                       text);
  return keep(r, n, text, target);
}

int reader_path(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const char *text = reader_text(r, n, "the absolute path of a directory");
  if (!text)
    return -1;
  if (text[0] != '/')
    return reader_fail(r, n, "%s: expected an absolute path such as /var/lib/svidwrap, found '%.200s'", key->name,
                       text);
  return keep(r, n, text, target);
}

/* "127.0.0.1:9464" or "[::1]:9464" */
static bool is_ip_port(const char *text) {
  char host[INET6_ADDRSTRLEN + 2];
  struct in6_addr any;
  const char *colon = strrchr(text, ':');
  if (!colon || colon == text || (size_t)(colon - text) >= sizeof host)
    return false;
  unsigned port = 0;
  size_t digits = strspn(colon + 1, "0123456789");
  if (digits == 0 || digits > 5 || colon[1 + digits] || sscanf(colon + 1, "%u", &port) != 1 || port < 1 ||
      port > 65535)
    return false;
  snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
  size_t len = strlen(host);
  if (host[0] != '[')
    return inet_pton(AF_INET, host, &any) == 1;
  if (host[len - 1] != ']')
    return false;
  host[len - 1] = '\0';
  return inet_pton(AF_INET6, host + 1, &any) == 1;
}

int reader_metrics(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const char *text = reader_text(r, n, "an address such as 127.0.0.1:9464 or unix:/run/svidwrap/metrics.sock");
  if (!text)
    return -1;
  bool unix_path =
      strncmp(text, "unix:/", 6) == 0 && text[6] && strlen(text + 5) < sizeof((struct sockaddr_un *)0)->sun_path;
  if (!unix_path && !is_ip_port(text))
    return reader_fail(r, n, "%s: expected IP:PORT, [IPv6]:PORT or unix:/PATH (107 bytes at most), found '%.200s'",
                       key->name, text);
  return keep(r, n, text, target);
}

int reader_bool(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const char *text = reader_text(r, n, "true or false");
  if (!text)
    return -1;
  if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
    return reader_fail(r, n, "%s: expected true or false, found '%.40s'", key->name, text);
  *(bool *)target = text[0] == 't';
  return 0;
}

int reader_rate(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  const struct reader_bounds *b = key->more;
  const char *text = reader_text(r, n, "a rate such as 100/s");
  if (!text)
    return -1;
  unsigned v = 0;
  size_t digits = strspn(text, "0123456789");
  if (digits > 0 && digits < 9)
    sscanf(text, "%u", &v);
  if (strcmp(text + digits, "/s") != 0 || v < b->min || v > b->max)
    return reader_fail(r, n, "%s: expected new connections a second, %u/s to %u/s, found '%.40s'", key->name, b->min,
                       b->max, text);
  *(uint32_t *)target = v;
  return 0;
}

#define ALPN_MAX 16

int reader_alpn(struct reader *r, const struct ynode *n, const struct reader_key *key, void *target) {
  struct policy_alpn *out = target;
  if (n->kind != YNODE_LIST || n->count == 0 || n->count > ALPN_MAX)
    return reader_fail(r, n, "%s: expected a list of 1 to %d protocols: [ h2 ] or [ h2, http/1.1 ]", key->name,
                       ALPN_MAX);
  uint8_t *list = pool_alloc(&r->policy->pool, n->count * 256u);
  if (!list)
    return reader_fail(r, n, "out of memory");
  for (const struct ynode *c = n->first; c; c = c->next) {
    const char *text = reader_text(r, c, "a protocol such as h2");
    if (!text)
      return -1;
    size_t len = strlen(text);
    if (len > 255)
      return reader_fail(r, c, "%s: a protocol's name has at most 255 bytes", key->name);
    list[out->len++] = (uint8_t)len;
    memcpy(list + out->len, text, len);
    out->len += len;
  }
  out->list = list;
  return 0;
}
