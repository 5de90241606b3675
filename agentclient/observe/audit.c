/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.c - one JSON line for every connection decision; see audit.h. Every key is always there, in the same
 * order, whatever is unknown.
 */
#include "audit.h"

#include "format.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Peers and programs choose some of these strings: what is not text is escaped, never left out. A SPIFFE ID of
 * 2048 bytes fits. */
static void set(json_t *o, const char *key, const char *text) {
  char clean[4096];
  json_object_set_new(o, key, json_string(format_clean(text ? text : "", clean, sizeof clean)));
}

const char *audit_address(const struct sockaddr *sa, char *buf, size_t len) {
  char host[INET6_ADDRSTRLEN] = "";
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  if (len)
    *buf = '\0';
  if (sa && sa->sa_family == AF_INET) {
    memcpy(&in, sa, sizeof in);
    inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
    snprintf(buf, len, "%s:%u", host, ntohs(in.sin_port));
  } else if (sa && sa->sa_family == AF_INET6) {
    memcpy(&in6, sa, sizeof in6);
    bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
    if (mapped)
      inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, host, sizeof host);
    else
      inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
    snprintf(buf, len, mapped ? "%s:%u" : "[%s]:%u", host, ntohs(in6.sin6_port));
  }
  return buf;
}

const char *audit_host(const struct sockaddr *sa, char *buf, size_t len) {
  char whole[64];
  audit_address(sa, whole, sizeof whole);
  bool bracket = whole[0] == '[';
  char *end = bracket ? strchr(whole, ']') : strchr(whole, ':');
  if (end)
    *end = '\0';
  snprintf(buf, len, "%s", whole + bracket);
  return buf;
}

/* Takes the object over. */
static int write_line(struct log *to, json_t *o) {
  char *line = o ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
  json_decref(o);
  int rc = line ? log_raw(to, line) : -1;
  if (!line)
    log_error(to, "audit: out of memory: a line is missing here");
  free(line);
  return rc;
}

int audit_order_write(struct log *to, const struct audit_order *e) {
  char stamp[FORMAT_TIME_LEN];
  json_t *o = json_object();
  set(o, "timestamp", format_time(stamp));
  set(o, "event", e->event);
  set(o, "result", "applied");
  set(o, "rule", e->rule);
  set(o, "old", e->before);
  set(o, "new", e->after);
  set(o, "config", e->config);
  json_object_set_new(o, "persisted", json_boolean(e->persisted));
  json_object_set_new(o, "uid", json_integer((json_int_t)e->uid));
  json_object_set_new(o, "pid", json_integer(e->pid));
  return write_line(to, o);
}

int audit_write(struct log *to, const struct audit_event *e) {
  char stamp[FORMAT_TIME_LEN], local[64], remote[64];
  json_t *o = json_object();
  set(o, "timestamp", format_time(stamp));
  set(o, "event", e->event);
  set(o, "result", e->result);
  set(o, "direction", e->direction);
  set(o, "client_spiffe_id", e->client_spiffe_id);
  set(o, "server_spiffe_id", e->server_spiffe_id);
  set(o, "rule", e->rule);
  set(o, "local", audit_address(e->local, local, sizeof local));
  set(o, "remote", audit_address(e->remote, remote, sizeof remote));
  set(o, "reason", e->reason);
  json_object_set_new(o, "pid", json_integer(e->pid));
  set(o, "program", e->program);
  return write_line(to, o);
}
