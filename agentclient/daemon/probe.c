/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - asks whoever holds the daemon's name for a sign of life, bounded in time.
 */
#include "probe.h"
#include "message.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int probe_name(char name[PROBE_NAME_MAX]) {
  const char *instance = getenv("SVIDWRAP_INSTANCE");
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (!instance || !*instance) {
    snprintf(name, PROBE_NAME_MAX, WIRE_DAEMON_PREFIX "%u", (unsigned)geteuid());
    return 0;
  }
  size_t n = strlen(instance);
  if (n > 32 || strspn(instance, allowed) != n)
    return -1;
  snprintf(name, PROBE_NAME_MAX, WIRE_DAEMON_PREFIX "%u/%.32s", (unsigned)geteuid(), instance);
  return 0;
}

static enum probe_answer ask(int fd, int timeout_ms) {
  struct ucred cred;
  socklen_t len = sizeof cred;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || (cred.uid != geteuid() && cred.uid != 0))
    return PROBE_FOREIGN;
  struct wire_hdr h;
  message_header(&h, WIRE_STATUS, sizeof h);
  if (message_send(fd, &h, sizeof h, NULL, 0) != 0)
    return PROBE_NOBODY;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (poll(&p, 1, timeout_ms) == 0)
    return PROBE_SILENT;
  struct wire_reply r;
  ssize_t n = recv(fd, &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC);
  return n >= (ssize_t)sizeof r.hdr && r.hdr.magic == WIRE_MAGIC ? PROBE_ALIVE : PROBE_NOBODY;
}

enum probe_answer probe_daemon(const char *name, int timeout_ms) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  size_t n = strlen(name);
  memcpy(un.sun_path + 1, name, n);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return PROBE_SILENT;
  /* connect() blocks while the backlog is full: so long, and no longer. */
  struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
  enum probe_answer a;
  if (connect(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) == 0)
    a = ask(fd, timeout_ms);
  else
    a = errno == EAGAIN || errno == EINTR ? PROBE_SILENT : PROBE_NOBODY;
  close(fd);
  return a;
}
