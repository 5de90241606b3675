/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply.h - bytes of the Workload API to what they mean. The agent is trusted to name the identity, its
 * bytes are not trusted to be well-formed.
 */
#ifndef WORKLOAD_REPLY_H
#define WORKLOAD_REPLY_H

#include "../identity/identity.h"

#include <protobuf-c/protobuf-c.h>

/* Memory for messages that hold a private key: wiped when freed. */
extern ProtobufCAllocator reply_wiping_allocator;

/* A packed X509SVIDResponse. NULL and a reason. */
struct identity *reply_identity(const uint8_t *msg, size_t len, char *why, size_t why_len);

/* A packed X509BundlesResponse: fn is called once, with bundles that live as long as the call. 0, or -1 and
 * a reason (fn was not called). */
typedef void (*reply_bundles_fn)(void *arg, const struct identity_raw_bundle *bundles, size_t count);
int reply_bundles(const uint8_t *msg, size_t len, reply_bundles_fn fn, void *arg, char *why, size_t why_len);

#endif
