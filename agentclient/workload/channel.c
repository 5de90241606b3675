/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels to the agent: over a connection that somebody else dialed, or over an address. Neither sends a
 * ping: agents written in Go answer the second early one with GOAWAY.
 */
#include "client.h"

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static grpc_arg integer(const char *key, int value) {
  return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static grpc_arg string(const char *key, const char *value) {
  return (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)key, .value.string = (char *)(uintptr_t)value};
}

#define ARGS 15

static grpc_channel_args arguments(grpc_arg a[ARGS]) {
  size_t n = 0;
  a[n++] = integer(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, WORKLOAD_MESSAGE_MAX);
  a[n++] = integer(GRPC_ARG_KEEPALIVE_TIME_MS, INT_MAX);
  a[n++] = integer(GRPC_ARG_HTTP2_BDP_PROBE, 0); /* its probes are pings, too */
  a[n++] = integer(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  a[n++] = integer(GRPC_ARG_ENABLE_RETRIES, 0);
  a[n++] = integer(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  a[n++] = integer(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1); /* no connection is shared between clients */
  a[n++] = integer(GRPC_ARG_ENABLE_CHANNELZ, 0);
  a[n++] = integer(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100); /* the pauses are ours */
  a[n++] = integer(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  a[n++] = integer(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000); /* that is: to connect() and shake hands */
  /* A compressed reply could unfold past the limit above. */
  a[n++] = integer(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
  a[n++] = integer(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, INT_MAX);
  a[n++] = string(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "svidwrap/" SVIDWRAP_VERSION);
  a[n++] = string(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  return (grpc_channel_args){.num_args = n, .args = a};
}

/* gRPC aborts the process on a descriptor that it cannot poll or set flags on, and this one came from outside. */
static bool connected(int fd) {
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  int type = 0;
  socklen_t type_len = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
         getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
         (peer.ss_family == AF_UNIX || peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
}

grpc_channel *client_channel_fd(int fd, int *watch) {
  grpc_arg a[ARGS];
  grpc_channel_args all = arguments(a);
  grpc_channel *channel = NULL;
  *watch = connected(fd) ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
  if (*watch >= 0) {
    grpc_channel_credentials *creds = grpc_insecure_credentials_create();
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    channel = grpc_channel_create_from_fd("agent", fd, creds, &all);
    grpc_channel_credentials_release(creds);
  } else {
    close(fd);
  }
  return channel ? channel
                 : grpc_lame_client_channel_create("agent", GRPC_STATUS_UNAVAILABLE,
                                                   "the descriptor is not a connection to an agent");
}

/* gRPC reads a target as a URI: what is not plain goes in as %XX. */
static void unix_target(const char *path, char *out) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  out += sprintf(out, "unix:");
  for (; *path; path++)
    out += strchr(plain, *path) ? sprintf(out, "%c", *path) : sprintf(out, "%%%02X", (unsigned char)*path);
}

grpc_channel *client_channel_address(const char *endpoint, char *why, size_t why_len) {
  struct sockaddr_storage ss;
  unsigned len;
  char target[16 + 3 * sizeof(struct sockaddr_un)], host[INET6_ADDRSTRLEN];
  grpc_arg a[ARGS];
  grpc_channel_args all = arguments(a);
  if (workload_endpoint_parse(endpoint, &ss, &len, why, why_len) != 0)
    return NULL;
  if (ss.ss_family == AF_UNIX) {
    unix_target(((struct sockaddr_un *)&ss)->sun_path, target);
  } else if (ss.ss_family == AF_INET) {
    struct sockaddr_in *in = (struct sockaddr_in *)&ss;
    snprintf(target, sizeof target, "ipv4:%s:%u", inet_ntop(AF_INET, &in->sin_addr, host, sizeof host),
             ntohs(in->sin_port));
  } else {
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&ss;
    snprintf(target, sizeof target, "ipv6:%%5B%s%%5D:%u", inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host),
             ntohs(in->sin6_port));
  }
  grpc_channel_credentials *creds = grpc_insecure_credentials_create();
  grpc_channel *channel = grpc_channel_create(target, creds, &all);
  grpc_channel_credentials_release(creds);
  if (!channel)
    snprintf(why, why_len, "out of memory");
  return channel;
}

/* When gRPC gives a connection up it calls shutdown() on it, which every descriptor of it sees. */
bool client_channel_dead(int watch) {
  struct pollfd p = {.fd = watch, .events = POLLRDHUP};
  return watch < 0 || (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLRDHUP | POLLNVAL)));
}
