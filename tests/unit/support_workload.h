/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support_workload.h - for tests of the Workload API client: an inbox for its events, and an agent that does
 * exactly what the test says, good or bad.
 */
#ifndef SUPPORT_WORKLOAD_H
#define SUPPORT_WORKLOAD_H

#include "agentclient/workload/workload.h"

#include <stdbool.h>

#define WAIT_S 20 /* how long a test waits for what must come; nothing is concluded from how long it took */

struct seen {
  enum workload_event event; /* 0: nothing came */
  int code;
  char message[512];
  struct identity *identity; /* of an update; the test's */
  size_t bundle_count;
  char bundle_names[8][64];
};

struct inbox;
struct inbox *inbox_new(void);
void inbox_free(struct inbox *in);
/* The two callbacks; arg is the inbox. */
void inbox_put(void *arg, enum workload_event event, struct identity *identity, int code, const char *message);
void inbox_put_bundles(void *arg, enum workload_event event, const struct identity_raw_bundle *bundles, size_t count,
                       int code, const char *message);
struct seen inbox_next(struct inbox *in);
size_t inbox_count(struct inbox *in); /* all that ever came */

/* The next event must be this; an update's identity is let go. */
void inbox_expect(struct inbox *in, enum workload_event event, const char *part_of_message);

/* GONE comes; the streams that broke before it may be told, too. */
void inbox_expect_gone(struct inbox *in, const char *part_of_message);

/* An agent on one connection, driven by the test's own thread. */
struct puppet;
struct puppet *puppet_new(int fd);
void puppet_free(struct puppet *p);
/* Waits for an RPC; its method must be this. */
void puppet_wait_call(struct puppet *p, const char *method);
/* false: the client did not want it. */
bool puppet_send(struct puppet *p, const void *msg, size_t len);
void puppet_end(struct puppet *p, int code, const char *text);
/* Says GOAWAY: no new RPC, the one that is open goes on. */
void puppet_goaway(struct puppet *p);
/* Waits until the client has given the RPC up. */
void puppet_wait_cancel(struct puppet *p);

/* A packed X509SVIDResponse or X509BundlesResponse as an honest agent sends it; OPENSSL_free(). */
uint8_t *good_svids(size_t *len);
uint8_t *good_bundles(size_t *len);

#endif
