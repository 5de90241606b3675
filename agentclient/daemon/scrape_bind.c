/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrape_bind.c - binds the metrics' listener. A unix socket that is left over is replaced; one that somebody serves,
 * and any other kind of file, never is.
 */
#include "scrape_bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 32

static int fail(const char *address, const char *cause, char *why, size_t why_len) {
  snprintf(why, why_len, "%s: %s", address, cause);
  return -1;
}

static const char *cause_of(int err) {
  return err == EADDRINUSE ? "somebody else listens there; choose another address in metrics.listen" : strerror(err);
}

/* "127.0.0.1:9464" or "[::1]:9464". The length of the address, 0: it is neither. */
static socklen_t parse_tcp(const char *address, struct sockaddr_storage *out) {
  char host[64], *end;
  const char *colon = strrchr(address, ':');
  size_t len = colon ? (size_t)(colon - address) : 0;
  long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : -1;
  if (len == 0 || len >= sizeof host || port < 1 || port > 65535 || *end)
    return 0;
  memset(out, 0, sizeof *out);
  bool v6 = address[0] == '[' && address[len - 1] == ']';
  snprintf(host, sizeof host, "%.*s", v6 ? (int)len - 2 : (int)len, address + v6);
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  if (v6 && inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
    memcpy(out, &in6, sizeof in6);
    return sizeof in6;
  }
  if (!v6 && inet_pton(AF_INET, host, &in.sin_addr) == 1) {
    memcpy(out, &in, sizeof in);
    return sizeof in;
  }
  return 0;
}

static int bind_tcp(struct scrape_bound *b, char *why, size_t why_len) {
  struct sockaddr_storage sa;
  socklen_t len = parse_tcp(b->address, &sa);
  const int on = 1;
  if (len == 0)
    return fail(b->address, "write IP:PORT, [IP6]:PORT or unix:/PATH", why, why_len);
  b->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (b->fd < 0)
    return fail(b->address, strerror(errno), why, why_len);
  setsockopt(b->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (sa.ss_family == AF_INET6)
    setsockopt(b->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(b->fd, (struct sockaddr *)&sa, len) != 0 || listen(b->fd, BACKLOG) != 0)
    return fail(b->address, cause_of(errno), why, why_len);
  return 0;
}

/* Removes a socket that nobody listens on. 0: the name is free, or an errno. */
static int clear_name(const struct sockaddr_un *un) {
  struct stat st;
  if (lstat(un->sun_path, &st) != 0)
    return errno == ENOENT ? 0 : errno;
  if (!S_ISSOCK(st.st_mode))
    return EEXIST;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return errno;
  int rc = connect(fd, (const struct sockaddr *)un, sizeof *un), err = errno;
  close(fd);
  if (rc == 0 || err != ECONNREFUSED)
    return EADDRINUSE;
  return unlink(un->sun_path) == 0 ? 0 : errno;
}

static int bind_unix(struct scrape_bound *b, const char *path, char *why, size_t why_len) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  struct stat st;
  if (path[0] != '/' || strlen(path) >= sizeof un.sun_path)
    return fail(b->address, "write unix: and an absolute path of at most 107 characters", why, why_len);
  memcpy(un.sun_path, path, strlen(path) + 1);
  int err = clear_name(&un);
  if (err != 0)
    return fail(b->address, err == EEXIST ? "there is a file that is no socket" : cause_of(err), why, why_len);
  b->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (b->fd < 0)
    return fail(b->address, strerror(errno), why, why_len);
  mode_t mask = umask(0117); /* for its owner and group, from the first moment on */
  int rc = bind(b->fd, (struct sockaddr *)&un, sizeof un);
  err = errno;
  umask(mask);
  if (rc != 0)
    return fail(b->address, cause_of(err), why, why_len);
  if (lstat(path, &st) == 0) {
    b->dev = st.st_dev;
    b->ino = st.st_ino;
  }
  return listen(b->fd, BACKLOG) == 0 ? 0 : fail(b->address, strerror(errno), why, why_len);
}

int scrape_bind(struct scrape_bound *b, const char *address, char *why, size_t why_len) {
  *b = (struct scrape_bound){.fd = -1};
  snprintf(b->address, sizeof b->address, "%s", address);
  int rc = strncmp(address, "unix:", 5) == 0 ? bind_unix(b, address + 5, why, why_len) : bind_tcp(b, why, why_len);
  if (rc != 0)
    scrape_unbind(b);
  return rc;
}

void scrape_unbind(struct scrape_bound *b) {
  struct stat st;
  if (b->fd >= 0)
    close(b->fd);
  b->fd = -1;
  if (b->ino && lstat(b->address + 5, &st) == 0 && st.st_dev == b->dev && st.st_ino == b->ino)
    unlink(b->address + 5);
  b->ino = 0;
}
