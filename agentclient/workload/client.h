/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - what the files of the Workload API client share: one client, its channel, its stream.
 *
 * Everything below is under the module's one lock, but what is marked as the poller's own.
 */
#ifndef WORKLOAD_CLIENT_H
#define WORKLOAD_CLIENT_H

#include "workload.h"

#include <grpc/grpc.h>
#include <stdbool.h>

enum client_kind { CLIENT_SVIDS, CLIENT_BUNDLES };

struct client_tag {
  void (*fn)(struct workload_client *c, bool ok);
  struct workload_client *client;
};

struct workload_client {
  struct workload_client *prev, *next; /* ring of all clients */
  enum client_kind kind;
  workload_fn fn;
  workload_bundles_fn bundles_fn;
  void *arg;
  grpc_channel *channel;
  char *endpoint; /* address clients; NULL for those over a descriptor */
  int watch;      /* fd clients: a second descriptor of the connection, to see that it is dead; else -1 */
  bool closing;   /* workload_close() was called: no more callbacks */
  bool telling;   /* a callback runs */
  bool busy;      /* the poller works on it, and frees it if need be */
  bool held;      /* workload_close() waits, and frees it */
  bool over;      /* GONE was told: nothing more to come */
  int pending;    /* events that gRPC still owes us */

  /* the stream; the poller's own once it is started */
  grpc_call *call;
  grpc_metadata_array initial, trailing;
  grpc_byte_buffer *request, *message;
  grpc_status_code status;
  grpc_slice details;
  struct client_tag on_started, on_message, on_status;
  bool served; /* this stream brought a good reply */
  int64_t opened_ms;

  /* between streams; the poller's own */
  int64_t retry_ms;         /* CLOCK_MONOTONIC; 0: no retry is planned */
  int64_t last_eager_ms;    /* when a retry without a pause was last made */
  unsigned failures;        /* in a row */
  enum workload_event told; /* the last event but UPDATE, so that nothing is told twice */
  char told_message[256];
};

/* channel.c */
/* Takes fd over. Never NULL; a descriptor that is no connection makes a channel on which every call fails. */
grpc_channel *client_channel_fd(int fd, int *watch);
/* NULL and a reason. */
grpc_channel *client_channel_address(const char *endpoint, char *why, size_t why_len);
/* Has the connection ended, for us or for the peer? */
bool client_channel_dead(int watch);

/* stream.c */
/* Opens the stream; its events arrive on cq, and it is over when none is pending. false: gRPC refuses. */
bool client_stream_open(struct workload_client *c, grpc_completion_queue *cq);
void client_stream_free(struct workload_client *c);

/* retry.c */
/* The pause before the next attempt, in ms; grows with failures, with jitter. away: nobody answered. */
int64_t client_backoff(unsigned failures, bool away);
/* What the end of a stream means. */
enum workload_event client_verdict(grpc_status_code code, const char *details);

/* client.c, for stream.c: a reply came. Takes msg (NULL: out of memory). */
void client_on_reply(struct workload_client *c, uint8_t *msg, size_t len);
int64_t client_now_ms(void);

#endif
