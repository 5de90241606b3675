/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting gRPC C core. It reads GRPC_* variables and prints to stderr by itself; neither is wanted in a
 * process that was started by somebody's server with somebody's environment.
 */
#include "grpccore.h"

#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>

#include <openssl/crypto.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*_Atomic sink)(const char *line);

static void route(gpr_log_func_args *args) {
  void (*to)(const char *) = atomic_load(&sink);
  char line[1024];
  if (!to)
    return;
  snprintf(line, sizeof line, "grpc: %s", args->message);
  to(line);
}

/* By name, as unsetenv() moves the array under our feet. */
static void forget_environment(void) {
  for (int again = 1; again;) {
    again = 0;
    for (char **e = environ; e && *e; e++) {
      char name[128];
      size_t n = strcspn(*e, "=");
      if ((strncmp(*e, "GRPC_", 5) != 0 && strncmp(*e, "grpc_", 5) != 0) || n >= sizeof name)
        continue;
      memcpy(name, *e, n);
      name[n] = 0;
      unsetenv(name);
      again = 1;
      break;
    }
  }
}

void grpccore_start(void (*log)(const char *line)) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, forget_environment);
  atomic_store(&sink, log);
  gpr_set_log_verbosity(log ? GPR_LOG_SEVERITY_INFO : GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function(route);
  /* Its threads must not take the process's signals. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  grpc_init();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void grpccore_stop(void) { grpc_shutdown(); }

/* The slices lie in the transport's read buffers and belong to this message alone: whoever shares the buffer
 * has other bytes of it. */
uint8_t *grpccore_take(grpc_byte_buffer *buffer, size_t *len) {
  uint8_t *out = NULL;
  size_t have = 0;
  if (buffer->type == GRPC_BB_RAW && buffer->data.raw.compression == GRPC_COMPRESS_NONE) {
    grpc_slice_buffer *from = &buffer->data.raw.slice_buffer;
    *len = grpc_byte_buffer_length(buffer);
    out = OPENSSL_malloc(*len ? *len : 1);
    for (size_t i = 0; i < from->count; i++) {
      uint8_t *at = GRPC_SLICE_START_PTR(from->slices[i]);
      size_t n = GRPC_SLICE_LENGTH(from->slices[i]);
      if (out && n <= *len - have)
        memcpy(out + have, at, n);
      have += n;
      OPENSSL_cleanse(at, n);
    }
  }
  grpc_byte_buffer_destroy(buffer);
  return out;
}
