/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inbox and the puppet of support_workload.h.
 */
#include "support_workload.h"

#include "agentclient/devagent/issuer.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define INBOX_MAX 4096

struct inbox {
  pthread_mutex_t lock;
  pthread_cond_t came;
  size_t count, taken;
  struct seen at[INBOX_MAX];
};

struct inbox *inbox_new(void) {
  struct inbox *in = calloc(1, sizeof *in);
  assert_non_null(in);
  pthread_mutex_init(&in->lock, NULL);
  pthread_cond_init(&in->came, NULL);
  return in;
}

void inbox_free(struct inbox *in) {
  for (; in->taken < in->count; in->taken++)
    identity_unref(in->at[in->taken % INBOX_MAX].identity);
  pthread_mutex_destroy(&in->lock);
  pthread_cond_destroy(&in->came);
  free(in);
}

static void put(struct inbox *in, const struct seen *s) {
  pthread_mutex_lock(&in->lock);
  if (in->count - in->taken == INBOX_MAX)
    abort();
  in->at[in->count++ % INBOX_MAX] = *s;
  pthread_cond_broadcast(&in->came);
  pthread_mutex_unlock(&in->lock);
}

void inbox_put(void *arg, enum workload_event event, struct identity *identity, int code, const char *message) {
  struct seen s = {.event = event, .identity = identity, .code = code};
  snprintf(s.message, sizeof s.message, "%s", message);
  put(arg, &s);
}

void inbox_put_bundles(void *arg, enum workload_event event, const struct identity_raw_bundle *bundles, size_t count,
                       int code, const char *message) {
  struct seen s = {.event = event, .bundle_count = count, .code = code};
  snprintf(s.message, sizeof s.message, "%s", message);
  for (size_t i = 0; i < count && i < 8; i++)
    snprintf(s.bundle_names[i], sizeof s.bundle_names[i], "%s", bundles[i].trust_domain);
  put(arg, &s);
}

struct seen inbox_next(struct inbox *in) {
  struct seen s = {0};
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += WAIT_S;
  pthread_mutex_lock(&in->lock);
  while (in->taken == in->count && pthread_cond_timedwait(&in->came, &in->lock, &until) != ETIMEDOUT)
    ;
  if (in->taken < in->count)
    s = in->at[in->taken++ % INBOX_MAX];
  pthread_mutex_unlock(&in->lock);
  return s;
}

size_t inbox_count(struct inbox *in) {
  pthread_mutex_lock(&in->lock);
  size_t n = in->count;
  pthread_mutex_unlock(&in->lock);
  return n;
}

void inbox_expect(struct inbox *in, enum workload_event event, const char *part_of_message) {
  struct seen s = inbox_next(in);
  identity_unref(s.identity);
  if (s.event != event || !strstr(s.message, part_of_message))
    fail_msg("event %d \"%s\" (code %d) came, not %d \"%s\"", (int)s.event, s.message, s.code, (int)event,
             part_of_message);
}

void inbox_expect_gone(struct inbox *in, const char *part_of_message) {
  struct seen s;
  do
    s = inbox_next(in);
  while (s.event == WORKLOAD_UNAVAILABLE);
  if (s.event != WORKLOAD_GONE || !strstr(s.message, part_of_message))
    fail_msg("event %d \"%s\" (code %d) came, not GONE \"%s\"", (int)s.event, s.message, s.code, part_of_message);
}

/* ---- the puppet ------------------------------------------------------------------------------------------ */

struct puppet {
  grpc_server *server;
  grpc_completion_queue *cq;
  grpc_call *call;
  grpc_call_details details;
  grpc_metadata_array metadata;
  int cancelled;
  bool greeted, closed, going, down;
  char on_call, on_close, on_op, on_down; /* only their addresses matter */
};

/* Takes events until this one came. */
static bool pump(struct puppet *p, const char *tag) {
  gpr_timespec until = gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_seconds(WAIT_S, GPR_TIMESPAN));
  for (;;) {
    grpc_event e = grpc_completion_queue_next(p->cq, until, NULL);
    if (e.type != GRPC_OP_COMPLETE)
      fail_msg("the puppet waited in vain");
    if (e.tag == &p->on_close)
      p->closed = true;
    if (e.tag == &p->on_down)
      p->down = true;
    if (e.tag == tag)
      return e.success != 0;
  }
}

struct puppet *puppet_new(int fd) {
  struct puppet *p = calloc(1, sizeof *p);
  assert_non_null(p);
  p->cq = grpc_completion_queue_create_for_next(NULL);
  p->server = grpc_server_create(NULL, NULL);
  grpc_server_register_completion_queue(p->server, p->cq, NULL);
  grpc_server_start(p->server);
  grpc_server_credentials *creds = grpc_insecure_server_credentials_create();
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* gRPC's server does not see to it */
  grpc_server_add_channel_from_fd(p->server, fd, creds);
  grpc_server_credentials_release(creds);
  return p;
}

static void let_go(struct puppet *p) {
  if (!p->call)
    return;
  if (!p->closed)
    pump(p, &p->on_close);
  grpc_call_details_destroy(&p->details);
  grpc_metadata_array_destroy(&p->metadata);
  grpc_call_unref(p->call);
  p->call = NULL;
}

void puppet_goaway(struct puppet *p) {
  p->going = true;
  grpc_server_shutdown_and_notify(p->server, p->cq, &p->on_down);
}

void puppet_free(struct puppet *p) {
  if (!p->going)
    puppet_goaway(p);
  grpc_server_cancel_all_calls(p->server);
  let_go(p);
  if (!p->down)
    pump(p, &p->on_down);
  grpc_server_destroy(p->server);
  grpc_completion_queue_shutdown(p->cq);
  while (grpc_completion_queue_next(p->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type != GRPC_QUEUE_SHUTDOWN)
    ;
  grpc_completion_queue_destroy(p->cq);
  free(p);
}

void puppet_wait_call(struct puppet *p, const char *method) {
  grpc_op op;
  let_go(p);
  grpc_call_details_init(&p->details);
  grpc_metadata_array_init(&p->metadata);
  p->greeted = p->closed = false;
  assert_int_equal(
      grpc_server_request_call(p->server, &p->call, &p->details, &p->metadata, p->cq, p->cq, &p->on_call),
      GRPC_CALL_OK);
  assert_true(pump(p, &p->on_call));
  memset(&op, 0, sizeof op);
  op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
  op.data.recv_close_on_server.cancelled = &p->cancelled;
  assert_int_equal(grpc_call_start_batch(p->call, &op, 1, &p->on_close, NULL), GRPC_CALL_OK);
  assert_int_equal(grpc_slice_str_cmp(p->details.method, method), 0);
  bool header = false;
  for (size_t i = 0; i < p->metadata.count; i++)
    header |= grpc_slice_str_cmp(p->metadata.metadata[i].key, "workload.spiffe.io") == 0 &&
              grpc_slice_str_cmp(p->metadata.metadata[i].value, "true") == 0;
  assert_true(header);
}

bool puppet_send(struct puppet *p, const void *msg, size_t len) {
  grpc_op ops[2];
  size_t n = 0;
  memset(ops, 0, sizeof ops);
  if (!p->greeted)
    ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
  p->greeted = true;
  grpc_slice slice = grpc_slice_from_copied_buffer(msg, len);
  grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  ops[n].op = GRPC_OP_SEND_MESSAGE;
  ops[n++].data.send_message.send_message = b;
  assert_int_equal(grpc_call_start_batch(p->call, ops, n, &p->on_op, NULL), GRPC_CALL_OK);
  bool ok = pump(p, &p->on_op);
  grpc_byte_buffer_destroy(b);
  return ok;
}

void puppet_end(struct puppet *p, int code, const char *text) {
  grpc_op ops[2];
  size_t n = 0;
  memset(ops, 0, sizeof ops);
  if (!p->greeted)
    ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
  grpc_slice details = grpc_slice_from_copied_string(text);
  ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
  ops[n].data.send_status_from_server.status = (grpc_status_code)code;
  ops[n++].data.send_status_from_server.status_details = &details;
  assert_int_equal(grpc_call_start_batch(p->call, ops, n, &p->on_op, NULL), GRPC_CALL_OK);
  grpc_slice_unref(details);
  pump(p, &p->on_op);
  let_go(p);
}

void puppet_wait_cancel(struct puppet *p) { let_go(p); }

/* ---- honest replies ---------------------------------------------------------------------------------------- */

static uint8_t *honest(size_t *len,
                       int (*fn)(struct devagent_issuer *, const struct devagent_selectors *, uint8_t **, size_t *)) {
  char why[512], uid[] = "unix:uid:7", *all[] = {uid};
  struct devagent_selectors who = {.at = all, .count = 1};
  uint8_t *msg = NULL;
  struct devagent_issuer *is = devagent_issuer_new(devagent_config_default(7), why, sizeof why);
  assert_non_null(is);
  assert_int_equal(fn(is, &who, &msg, len), 1);
  devagent_issuer_free(is);
  return msg;
}

uint8_t *good_svids(size_t *len) { return honest(len, devagent_issuer_svids); }
uint8_t *good_bundles(size_t *len) { return honest(len, devagent_issuer_bundles); }
