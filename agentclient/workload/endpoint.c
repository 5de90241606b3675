/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address of a Workload API, as the standard spells it (SPIFFE_Workload_Endpoint.md, section 4). Stricter
 * than a browser and never guessing: a mistake here means no identity, so every refusal says what to write.
 */
#include "workload.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

static int refuse(char *why, size_t why_len, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int refuse(char *why, size_t why_len, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(why, why_len, fmt, ap);
  va_end(ap);
  return -1;
}

static int hex(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* Undoes %XX (RFC 3986, 2.1). The length, or -1: malformed, a NUL, or longer than max - 1. */
static long unescape(const char *in, char *out, size_t max) {
  size_t n = 0;
  for (; *in; in++, n++) {
    char c = *in;
    if (c == '%') {
      int hi = hex(in[1]), lo = hi < 0 ? -1 : hex(in[2]);
      if (lo < 0 || (hi | lo) == 0)
        return -1;
      c = (char)(hi << 4 | lo);
      in += 2;
    }
    if (n + 1 >= max)
      return -1;
    out[n] = c;
  }
  out[n] = 0;
  return (long)n;
}

static int parse_unix(const char *endpoint, const char *rest, struct sockaddr_storage *addr, unsigned *addr_len,
                      char *why, size_t why_len) {
  struct sockaddr_un *un = (struct sockaddr_un *)addr;
  char path[4096];
  if (strncmp(rest, "//", 2) == 0) {
    rest += 2;
    if (*rest && *rest != '/')
      return refuse(why, why_len, "\"%s\" names a host or a relative path; write unix:///%s", endpoint,
                    *rest == '@' ? "absolute/path (abstract sockets are not in the standard)" : rest);
  }
  if (*rest == '@')
    return refuse(why, why_len,
                  "\"%s\" is an abstract socket, which the standard does not know; write "
                  "unix:///absolute/path",
                  endpoint);
  if (*rest && *rest != '/')
    return refuse(why, why_len, "\"%s\" is a relative path; write unix:///absolute/path", endpoint);
  if (strpbrk(rest, "?#"))
    return refuse(why, why_len,
                  "\"%s\" has a query or a fragment; write unix:///absolute/path (a ? in a file's name "
                  "is %%3F, a # is %%23)",
                  endpoint);
  long n = unescape(rest, path, sizeof path);
  if (n < 0)
    return refuse(why, why_len, "\"%s\" is too long or has a malformed %% escape", endpoint);
  if (n < 2)
    return refuse(why, why_len, "\"%s\" has no path; write unix:///absolute/path", endpoint);
  if ((size_t)n >= sizeof un->sun_path)
    return refuse(why, why_len,
                  "\"%s\": the path has %ld characters and a unix socket's name at most %zu; put the "
                  "socket, or a symbolic link to its directory, at a shorter path",
                  endpoint, n, sizeof un->sun_path - 1);
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, (size_t)n + 1);
  *addr_len = (unsigned)sizeof *un;
  return 0;
}

/* "[v6]:port" or "v4:port" taken apart in place. */
static int split(char *text, char **host, char **port, int *v6) {
  *v6 = *text == '[';
  *host = text + *v6;
  char *end = *v6 ? strchr(text, ']') : strrchr(text, ':');
  if (!end)
    return -1;
  *end = 0;
  *port = end + 1;
  if (*v6 && *(*port)++ != ':')
    return -1;
  return *v6 || !strchr(*host, ':') ? 0 : -1;
}

static int parse_tcp(const char *endpoint, const char *rest, struct sockaddr_storage *addr, unsigned *addr_len,
                     char *why, size_t why_len) {
  char text[128], *host, *port, *end;
  int v6;
  struct in6_addr a6;
  struct in_addr a4;
  if (strncmp(rest, "//", 2) != 0 || strpbrk(rest + 2, "/?#@") || strlen(rest + 2) >= sizeof text)
    return refuse(why, why_len, "\"%s\" is more, or less, than address and port; write tcp://127.0.0.1:8081",
                  endpoint);
  strcpy(text, rest + 2);
  if (split(text, &host, &port, &v6) != 0 || !*port)
    return refuse(why, why_len, "\"%s\" has no port; write tcp://127.0.0.1:8081 or tcp://[::1]:8081", endpoint);
  if (inet_pton(v6 ? AF_INET6 : AF_INET, host, v6 ? (void *)&a6 : (void *)&a4) != 1)
    return refuse(why, why_len, "\"%s\": the host must be an IP address, not a name; write tcp://127.0.0.1:%s",
                  endpoint, port);
  long n = *port >= '0' && *port <= '9' ? strtol(port, &end, 10) : 0;
  if (n < 1 || n > 65535 || *end)
    return refuse(why, why_len, "\"%s\": the port is a number from 1 to 65535", endpoint);
  if (v6) {
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)n), .sin6_addr = a6};
    memcpy(addr, &in, sizeof in);
    *addr_len = (unsigned)sizeof in;
  } else {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)n), .sin_addr = a4};
    memcpy(addr, &in, sizeof in);
    *addr_len = (unsigned)sizeof in;
  }
  return 0;
}

int workload_endpoint_parse(const char *endpoint, struct sockaddr_storage *addr, unsigned *addr_len, char *why,
                            size_t why_len) {
  memset(addr, 0, sizeof *addr);
  *addr_len = 0;
  if (!endpoint || !*endpoint)
    return refuse(why, why_len,
                  "no Workload API address; set SPIFFE_ENDPOINT_SOCKET to unix:///path/of/the/agent.sock");
  if (strncasecmp(endpoint, "unix:", 5) == 0)
    return parse_unix(endpoint, endpoint + 5, addr, addr_len, why, why_len);
  if (strncasecmp(endpoint, "tcp:", 4) == 0)
    return parse_tcp(endpoint, endpoint + 4, addr, addr_len, why, why_len);
  if (*endpoint == '/')
    return refuse(why, why_len, "\"%s\" is a plain path; write unix://%s", endpoint, endpoint);
  if (*endpoint == '@' || strncasecmp(endpoint, "unix-abstract:", 14) == 0)
    return refuse(why, why_len,
                  "\"%s\" is an abstract socket, which the standard does not know; write "
                  "unix:///absolute/path",
                  endpoint);
  return refuse(why, why_len,
                "\"%s\" is no Workload API address; write unix:///absolute/path or tcp://127.0.0.1:8081", endpoint);
}
