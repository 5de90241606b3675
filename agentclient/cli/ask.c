/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.c - dials the daemon, asks, and reads an answer of any length; see ask.h. Believes nobody but a daemon of its
 * own user or root.
 */
#include "ask.h"

#include "../daemon/memory.h"
#include "../daemon/message.h"
#include "../daemon/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define WAIT_MS 5000

/* A connected socket; -1 and errno. */
static int dial(const char *name) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  size_t n = strlen(name);
  struct ucred cred;
  socklen_t len = sizeof cred;
  struct timeval limit = {.tv_sec = WAIT_MS / 1000};
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  memcpy(un.sun_path + 1, name, n);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int rc = connect(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
  if (rc == 0 &&
      (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || (cred.uid != geteuid() && cred.uid != 0))) {
    errno = EPERM;
    rc = -1;
  }
  if (rc == 0)
    return fd;
  int err = errno;
  close(fd);
  errno = err;
  return -1;
}

/* Root's daemon of the same instance. */
static void roots_name(const char *name, char roots[PROBE_NAME_MAX]) {
  const char *instance = strchr(name + strlen(WIRE_DAEMON_PREFIX), '/');
  snprintf(roots, PROBE_NAME_MAX, WIRE_DAEMON_PREFIX "0%s", instance ? instance : "");
}

static int dial_any(char *why, size_t why_len) {
  char name[PROBE_NAME_MAX], roots[PROBE_NAME_MAX];
  if (probe_name(name) != 0) {
    snprintf(why, why_len, "SVIDWRAP_INSTANCE: letters, digits, '.', '_' and '-' only, 32 at most");
    return -1;
  }
  int fd = dial(name), err = errno;
  if (fd < 0 && err == ECONNREFUSED && geteuid() != 0) {
    roots_name(name, roots);
    fd = dial(roots);
  }
  if (fd >= 0)
    return fd;
  if (err == EPERM)
    snprintf(why, why_len, "@%s is held by another user's process: end that, or set SVIDWRAP_INSTANCE", name);
  else if (err == ECONNREFUSED)
    snprintf(
        why, why_len,
        "no daemon serves uid %u here (@%s): no program of this user is wrapped in this network namespace; start "
        "one with `svidwrap run`, or the daemon with `svidwrap daemon`; SVIDWRAP_INSTANCE must be the programs'",
        (unsigned)geteuid(), name);
  else
    snprintf(why, why_len, "@%s: %s; the daemon is overloaded or stopped: look at its log", name, strerror(err));
  return -1;
}

/* Behind the header where it fits, else in a memfd. */
static int send_request(int fd, enum wire_type type, const json_t *request) {
  char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
  size_t len = text ? strlen(text) : 0, all = sizeof(struct wire_hdr) + len;
  bool large = all > WIRE_MAX;
  int doc = large ? memory_create("svidwrap-request", len) : -1, rc = -1;
  if (large)
    all = sizeof(struct wire_hdr);
  char *m = malloc(all);
  if (m && (text || !request) && (!large || (doc >= 0 && pwrite(doc, text, len, 0) == (ssize_t)len))) {
    struct wire_hdr h;
    message_header(&h, type, all);
    memcpy(m, &h, sizeof h);
    if (len && !large)
      memcpy(m + sizeof h, text, len);
    rc = message_send(fd, m, all, &doc, large);
  }
  if (doc >= 0)
    close(doc);
  free(m);
  free(text);
  return rc;
}

static int take_document(int doc, json_t **answer, char *why, size_t why_len) {
  json_error_t e;
  *answer = lseek(doc, 0, SEEK_SET) == 0 ? json_loadfd(doc, 0, &e) : NULL;
  if (*answer)
    return EX_OK;
  snprintf(why, why_len, "the daemon's answer is no JSON: this is a bug");
  return EX_PROTOCOL;
}

static int receive(int fd, json_t **answer, char *why, size_t why_len) {
  struct wire_reply r;
  int fds[WIRE_FDS_MAX], nfds;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (poll(&p, 1, WAIT_MS) != 1) {
    snprintf(why, why_len, "the daemon does not answer within %d s: it is overloaded or stopped", WAIT_MS / 1000);
    return EX_UNAVAILABLE;
  }
  ssize_t n = message_recv(fd, &r, sizeof r, fds, &nfds);
  if (n != (ssize_t)sizeof r || r.hdr.magic != WIRE_MAGIC || r.hdr.type != WIRE_REPLY) {
    snprintf(why, why_len, "the daemon gave no answer that this svidwrap understands: is it of another version?");
    if (n > 0)
      message_close(fds);
    return n > 0 ? EX_PROTOCOL : EX_UNAVAILABLE;
  }
  r.text[sizeof r.text - 1] = '\0';
  int rc = EX_OK;
  if (r.status != WIRE_OK) {
    snprintf(why, why_len, "%s", r.text);
    rc = r.status == WIRE_BUSY || r.status == WIRE_VERSION_MISMATCH ? EX_UNAVAILABLE : EX_DATAERR;
  } else if (nfds > 0) {
    rc = take_document(fds[0], answer, why, why_len);
  }
  message_close(fds);
  return rc;
}

int ask_daemon(enum wire_type type, const json_t *request, json_t **answer, char *why, size_t why_len) {
  *answer = NULL;
  int fd = dial_any(why, why_len);
  if (fd < 0)
    return EX_UNAVAILABLE;
  int rc = EX_UNAVAILABLE;
  if (send_request(fd, type, request) == 0)
    rc = receive(fd, answer, why, why_len);
  else
    snprintf(why, why_len, "the daemon takes no request: %s", strerror(errno));
  close(fd);
  return rc;
}

/* Programs look for root's daemon first, and for their own user's where that does not serve all. */
bool ask_enforced(char *path, size_t len, bool *io_uring_unsafe) {
  char name[PROBE_NAME_MAX], names[2][PROBE_NAME_MAX], why[512];
  bool found = false;
  if (probe_name(name) != 0)
    return false;
  roots_name(name, names[0]);
  memcpy(names[1], name, sizeof name);
  for (int i = geteuid() == 0; i < 2 && !found; i++) {
    json_t *answer = NULL;
    int fd = dial(names[i]);
    if (fd >= 0 && send_request(fd, WIRE_STATUS, NULL) == 0 && receive(fd, &answer, why, sizeof why) == EX_OK) {
      const char *enforced = json_string_value(json_object_get(answer, "enforce_config"));
      found = enforced && strlen(enforced) < len;
      if (found)
        snprintf(path, len, "%s", enforced);
      *io_uring_unsafe = found && json_is_true(json_object_get(answer, "enforce_io_uring"));
    }
    json_decref(answer);
    if (fd >= 0)
      close(fd);
  }
  return found;
}
