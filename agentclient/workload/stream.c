/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One streaming RPC: asked for, read message by message, ended. What its messages and its end mean is
 * client.c's business.
 */
#include "client.h"

#include "grpccore.h"

#include <grpc/slice.h>

#include <string.h>

static bool batch(struct workload_client *c, const grpc_op *ops, size_t n, struct client_tag *tag,
                  void (*fn)(struct workload_client *, bool)) {
  *tag = (struct client_tag){fn, c};
  if (grpc_call_start_batch(c->call, ops, n, tag, NULL) != GRPC_CALL_OK)
    return false;
  c->pending++;
  return true;
}

static void on_message(struct workload_client *c, bool ok);

static bool read_next(struct workload_client *c) {
  grpc_op op;
  memset(&op, 0, sizeof op);
  c->message = NULL;
  op.op = GRPC_OP_RECV_MESSAGE;
  op.data.recv_message.recv_message = &c->message;
  return batch(c, &op, 1, &c->on_message, on_message);
}

static void on_message(struct workload_client *c, bool ok) {
  size_t len = 0;
  if (!ok || !c->message)
    return;
  uint8_t *msg = grpccore_take(c->message, &len);
  c->message = NULL;
  client_on_reply(c, msg, len);
  if (!read_next(c))
    grpc_call_cancel(c->call, NULL);
}

/* Nothing to do until the last event of the stream, which may be any of the three kinds. */
static void on_other(struct workload_client *c, bool ok) {
  (void)c;
  (void)ok;
}

bool client_stream_open(struct workload_client *c, grpc_completion_queue *cq) {
  static const char *const method[] = {
      [CLIENT_SVIDS] = "/SpiffeWorkloadAPI/FetchX509SVID",
      [CLIENT_BUNDLES] = "/SpiffeWorkloadAPI/FetchX509Bundles",
  };
  grpc_metadata header;
  grpc_op ops[4];
  memset(&header, 0, sizeof header);
  header.key = grpc_slice_from_static_string("workload.spiffe.io");
  header.value = grpc_slice_from_static_string("true");
  c->call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
                                     grpc_slice_from_static_string(method[c->kind]), NULL,
                                     gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
  if (!c->call)
    return false;
  grpc_metadata_array_init(&c->initial);
  grpc_metadata_array_init(&c->trailing);
  c->details = grpc_empty_slice();
  c->status = GRPC_STATUS_UNKNOWN;
  c->served = false;
  c->opened_ms = client_now_ms();
  c->request = grpc_raw_byte_buffer_create(NULL, 0); /* both requests are empty messages */
  memset(ops, 0, sizeof ops);
  ops[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
  ops[0].data.recv_status_on_client.trailing_metadata = &c->trailing;
  ops[0].data.recv_status_on_client.status = &c->status;
  ops[0].data.recv_status_on_client.status_details = &c->details;
  if (!batch(c, ops, 1, &c->on_status, on_other)) {
    client_stream_free(c);
    return false;
  }
  memset(ops, 0, sizeof ops);
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[0].data.send_initial_metadata.count = 1;
  ops[0].data.send_initial_metadata.metadata = &header;
  ops[1].op = GRPC_OP_SEND_MESSAGE;
  ops[1].data.send_message.send_message = c->request;
  ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
  ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
  ops[3].data.recv_initial_metadata.recv_initial_metadata = &c->initial;
  if (!batch(c, ops, 4, &c->on_started, on_other) || !read_next(c))
    grpc_call_cancel(c->call, NULL); /* the status still comes, and with it the end */
  return true;
}

void client_stream_free(struct workload_client *c) {
  if (!c->call)
    return;
  grpc_metadata_array_destroy(&c->initial);
  grpc_metadata_array_destroy(&c->trailing);
  grpc_slice_unref(c->details);
  grpc_byte_buffer_destroy(c->request);
  grpc_call_unref(c->call);
  c->call = NULL;
  c->request = NULL;
}
