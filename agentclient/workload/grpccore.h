/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpccore.h - gRPC C core, started so that it keeps to itself: its log goes where ours says, and no
 * GRPC_* variable or proxy setting of the environment steers it.
 */
#ifndef WORKLOAD_GRPCCORE_H
#define WORKLOAD_GRPCCORE_H

/* Counted; call before any other gRPC function. log: gets gRPC's own lines (one each, no newline), from any
 * thread; NULL drops them. */
void grpccore_start(void (*log)(const char *line));
void grpccore_stop(void);

#endif
