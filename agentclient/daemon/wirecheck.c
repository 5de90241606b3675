/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wirecheck.c - validation of messages from programs. Every byte is taken for hostile; nothing is
 * answered, logged or remembered here.
 */
#include "wirecheck.h"

#include <string.h>

#define PROGRAM_MAX 255u
#define WAIT_MAX_MS (24u * 3600u * 1000u)

bool wire_name_valid(const char name[WIRE_NAME_LEN]) {
  const size_t prefix = sizeof WIRE_STANDIN_PREFIX - 1;
  if (memcmp(name, WIRE_STANDIN_PREFIX, prefix) != 0 || name[WIRE_NAME_LEN - 1] != '\0')
    return false;
  for (size_t i = prefix; i < WIRE_NAME_LEN - 1; i++)
    if (!((name[i] >= '0' && name[i] <= '9') || (name[i] >= 'a' && name[i] <= 'f')))
      return false;
  return true;
}

bool wire_hosts_valid(const struct rules_hosts *h) {
  if (h->count > RULES_HOSTS_MAX)
    return false;
  for (unsigned i = 0; i < h->count; i++) {
    size_t n = strnlen(h->name[i], sizeof h->name[i]);
    if (n == 0 || n == sizeof h->name[i])
      return false;
    for (size_t k = 0; k < n; k++)
      if ((unsigned char)h->name[i][k] <= ' ' || h->name[i][k] == 0x7f)
        return false;
  }
  return true;
}

/* "NAME=value\0" and nothing else, any number of times. */
static bool vars_valid(const char *vars, size_t len) {
  while (len) {
    size_t entry = strnlen(vars, len);
    if (entry == len)
      return false;
    const char *eq = memchr(vars, '=', entry);
    if (!eq || eq == vars)
      return false;
    vars += entry + 1;
    len -= entry + 1;
  }
  return true;
}

static enum wire_status check_hello(const char *msg, size_t len, int nfds) {
  struct wire_hello h;
  if (len < sizeof h)
    return WIRE_BAD_REQUEST;
  memcpy(&h, msg, sizeof h);
  if (h.path_len > WIRE_PATH_MAX || h.vars_len > WIRE_VARS_MAX || h.program_len > PROGRAM_MAX)
    return WIRE_BAD_REQUEST;
  if (len != sizeof h + h.path_len + h.vars_len + h.program_len)
    return WIRE_BAD_REQUEST;
  if (h.flags & ~(WIRE_HELLO_CONTAINER | WIRE_HELLO_GUEST | WIRE_HELLO_RINGS | WIRE_HELLO_RING_OPEN))
    return WIRE_BAD_REQUEST;
  if (nfds > 1 || (nfds == 1) != (h.config_errno == 0))
    return WIRE_BAD_REQUEST;
  const char *path = msg + sizeof h;
  if (h.path_len == 0 || path[0] != '/' || memchr(path, 0, h.path_len))
    return WIRE_BAD_REQUEST;
  if (!vars_valid(path + h.path_len, h.vars_len))
    return WIRE_BAD_REQUEST;
  return memchr(path + h.path_len + h.vars_len, 0, h.program_len) ? WIRE_BAD_REQUEST : WIRE_OK;
}

static enum wire_status check_identity(const char *msg, size_t len, int nfds) {
  struct wire_identity m;
  if (len != sizeof m)
    return WIRE_BAD_REQUEST;
  memcpy(&m, msg, sizeof m);
  bool plausible = nfds <= 1 && m.wait_ms <= WAIT_MAX_MS && m.agent_errno >= 0 && !(nfds && m.agent_errno);
  return plausible ? WIRE_OK : WIRE_BAD_REQUEST;
}

static enum wire_status check_listen(const char *msg, size_t len, int nfds, uint16_t type) {
  struct wire_listen m;
  if (len != sizeof m)
    return WIRE_BAD_REQUEST;
  memcpy(&m, msg, sizeof m);
  if (nfds != (type == WIRE_LISTEN || type == WIRE_ADOPT ? 1 : 0) || m.local_len > sizeof m.local)
    return WIRE_BAD_REQUEST;
  if (type == WIRE_SYNC)
    return m.local_len >= sizeof(sa_family_t) ? WIRE_OK : WIRE_BAD_REQUEST;
  return wire_name_valid(m.name) ? WIRE_OK : WIRE_BAD_REQUEST;
}

static enum wire_status check_connect(const char *msg, size_t len, int nfds) {
  struct wire_connect m;
  if (len != sizeof m)
    return WIRE_BAD_REQUEST;
  memcpy(&m, msg, sizeof m);
  bool plausible = nfds == 1 && m.dest_len >= sizeof(sa_family_t) && m.dest_len <= sizeof m.dest &&
                   m.wait_ms <= WAIT_MAX_MS && !(m.flags & ~WIRE_CONNECT_IN_PROGRESS) && wire_hosts_valid(&m.hosts);
  return plausible ? WIRE_OK : WIRE_BAD_REQUEST;
}

static enum wire_status check_plain(const char *msg, size_t len, int nfds) {
  struct wire_plain m;
  if (len != sizeof m || nfds != 0)
    return WIRE_BAD_REQUEST;
  memcpy(&m, msg, sizeof m);
  bool plausible = m.dest_len >= sizeof(sa_family_t) && m.dest_len <= sizeof m.dest &&
                   m.local_len <= sizeof m.local && m.why >= WIRE_PLAIN_OFF && m.why <= WIRE_PLAIN_SUSPENDED &&
                   m.about <= WIRE_PLAIN_ASKED && wire_hosts_valid(&m.hosts);
  return plausible ? WIRE_OK : WIRE_BAD_REQUEST;
}

static enum wire_status check_alert(const char *msg, size_t len, int nfds) {
  struct wire_alert m;
  if (len != sizeof m || nfds != 0)
    return WIRE_BAD_REQUEST;
  memcpy(&m, msg, sizeof m);
  bool plausible = m.local_len <= sizeof m.local && m.remote_len <= sizeof m.remote &&
                   m.peer_id_len <= sizeof m.peer_id && m.inbound <= 1 && m.received <= 1;
  return plausible ? WIRE_OK : WIRE_BAD_REQUEST;
}

enum wire_status wire_check(const void *msg, size_t len, int nfds) {
  struct wire_hdr h;
  if (len < sizeof h || len > WIRE_MAX || nfds < 0 || nfds > WIRE_FDS_MAX)
    return WIRE_BAD_REQUEST;
  memcpy(&h, msg, sizeof h);
  if (h.magic != WIRE_MAGIC)
    return WIRE_BAD_REQUEST;
  if (h.version != WIRE_VERSION)
    return WIRE_VERSION_MISMATCH;
  if (h.length != len || h.reserved != 0)
    return WIRE_BAD_REQUEST;
  switch (h.type) {
  case WIRE_HELLO:
    return check_hello(msg, len, nfds);
  case WIRE_IDENTITY:
    return check_identity(msg, len, nfds);
  case WIRE_LISTEN:
  case WIRE_ADOPT:
  case WIRE_UNLISTEN:
  case WIRE_SYNC:
    return check_listen(msg, len, nfds, h.type);
  case WIRE_CONNECT:
    return check_connect(msg, len, nfds);
  case WIRE_PLAIN:
    return check_plain(msg, len, nfds);
  case WIRE_ALERT:
    return check_alert(msg, len, nfds);
  case WIRE_ARENA:
    return len == sizeof(struct wire_arena) && nfds == 0 ? WIRE_OK : WIRE_BAD_REQUEST;
  case WIRE_RELAY:
    return len == sizeof(struct wire_relay) && nfds == 1 ? WIRE_OK : WIRE_BAD_REQUEST;
  case WIRE_ADMIN: /* a request, or one in a memfd */
    return nfds <= 1 && (len > sizeof h) == (nfds == 0) ? WIRE_OK : WIRE_BAD_REQUEST;
  case WIRE_STATUS:
    return len == sizeof h && nfds == 0 ? WIRE_OK : WIRE_BAD_REQUEST;
  default:
    return WIRE_BAD_REQUEST;
  }
}

void wire_hello_split(const void *msg, struct wire_hello_parts *parts) {
  struct wire_hello h;
  memcpy(&h, msg, sizeof h);
  parts->path = (const char *)msg + sizeof h;
  parts->path_len = h.path_len;
  parts->vars = parts->path + h.path_len;
  parts->vars_len = h.vars_len;
  parts->program = parts->vars + h.vars_len;
  parts->program_len = h.program_len;
}

const char *wire_vars_find(const char *vars, size_t vars_len, const char *name) {
  size_t name_len = strlen(name);
  for (size_t at = 0; at < vars_len;) {
    const char *entry = vars + at;
    size_t entry_len = strnlen(entry, vars_len - at);
    if (entry_len > name_len && entry[name_len] == '=' && memcmp(entry, name, name_len) == 0)
      return entry + name_len + 1;
    at += entry_len + 1;
  }
  return NULL;
}
