/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpccore.h - gRPC C core, started so that it keeps to itself: its log goes where ours says, and no
 * GRPC_* variable or proxy setting of the environment steers it.
 */
#ifndef WORKLOAD_GRPCCORE_H
#define WORKLOAD_GRPCCORE_H

#include <grpc/byte_buffer.h>
#include <stddef.h>
#include <stdint.h>

/* Counted; call before any other gRPC function. log: gets gRPC's own lines (one each, no newline), from any
 * thread; NULL drops them. */
void grpccore_start(void (*log)(const char *line));
void grpccore_stop(void);

/* A received message in one piece, OPENSSL_malloc()ed and for OPENSSL_clear_free(); gRPC's own copy is wiped
 * and the buffer destroyed. NULL: out of memory, or compressed (nobody asked for that). */
uint8_t *grpccore_take(grpc_byte_buffer *buffer, size_t *len);

#endif
