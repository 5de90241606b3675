/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workload.h - client of the SPIFFE Workload API (SPIFFE_Workload_API.md): FetchX509SVID and
 * FetchX509Bundles as streams, over gRPC C core.
 *
 * A client speaks over a connection that the workload's process dialed (workload_open_fd), so that the
 * agent attests the workload; such a client cannot redial and reports WORKLOAD_GONE when it ends. Or
 * over an address (workload_open_address, identity.scope: daemon); that one reconnects by itself, with
 * backoff and jitter, at once after a healthy stream.
 */
#ifndef WORKLOAD_WORKLOAD_H
#define WORKLOAD_WORKLOAD_H

#include "../identity/identity.h"

#include <stdint.h>

#define WORKLOAD_MESSAGE_MAX (16 * 1024 * 1024)

enum workload_event {
  /* identity: a new generation, complete; the receiver takes over the reference */
  WORKLOAD_UPDATE = 1,
  /* PermissionDenied: the agent took the identity away; stop using it now. Asked again, with backoff. */
  WORKLOAD_DENIED = 2,
  /* The stream ended or cannot be opened, and is being retried: keep what you have. GONE may follow. */
  WORKLOAD_UNAVAILABLE = 3,
  /* fd clients: the connection is dead; give a fresh one with a new client */
  WORKLOAD_GONE = 4,
  /* Malformed or oversized reply, or unparsable SVID: keep what you have, log, count */
  WORKLOAD_BAD_REPLY = 5,
};

struct workload_client;

/* Called on the client's own thread; must not block and must not call workload_close(). message is the
 * agent's or our own words, for the log; code the gRPC status code (0 where there is none). */
typedef void (*workload_fn)(void *arg, enum workload_event event, struct identity *identity, int code,
                            const char *message);

/* Starts gRPC (once, before any client is opened) and shuts it down, with all clients. */
int workload_start(void);
void workload_stop(void);

/* fd is taken over (closed by gRPC) even on failure. NULL: out of memory. */
struct workload_client *workload_open_fd(int fd, workload_fn fn, void *arg);
/* endpoint as in the Workload Endpoint standard; NULL, and a line in the log, also when it is not such a one. */
struct workload_client *workload_open_address(const char *endpoint, workload_fn fn, void *arg);
/* No callback runs after it returns: it waits for one that does, so hold no lock that the callback takes. May be
 * called from any thread but the client's. */
void workload_close(struct workload_client *client);

/* The trust bundles alone (FetchX509Bundles), same rules; update carries raw bundles. */
typedef void (*workload_bundles_fn)(void *arg, enum workload_event event, const struct identity_raw_bundle *bundles,
                                    size_t count, int code, const char *message);
struct workload_client *workload_open_bundles_fd(int fd, workload_bundles_fn fn, void *arg);

/* Checks "unix:///path", "unix:path" and "tcp://ip:port" (SPIFFE_Workload_Endpoint.md section 4). Fills in a
 * socket address to connect() to. 0, or -1 and a reason that names the cure. */
struct sockaddr_storage;
int workload_endpoint_parse(const char *endpoint, struct sockaddr_storage *addr, unsigned *addr_len, char *why,
                            size_t why_len);

#endif
