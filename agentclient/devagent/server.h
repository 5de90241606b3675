/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the Workload API over gRPC C core, on connections that somebody else accepts.
 */
#ifndef DEVAGENT_SERVER_H
#define DEVAGENT_SERVER_H

#include "attest.h"
#include "issuer.h"

#define DEVAGENT_MINT_METHOD "/svidwrap.DevAgent/Mint"

struct devagent_server;

/* Starts the thread that answers. The issuer stays the caller's, to be touched between lock and unlock only.
 * wake: an eventfd that is raised when an answer may have moved the issuer's next deadline. */
struct devagent_server *devagent_server_start(struct devagent_issuer *issuer, int wake);
/* Serves one accepted connection; fd is taken over. */
void devagent_server_add(struct devagent_server *s, int fd, const struct devagent_caller *caller);
void devagent_server_lock(struct devagent_server *s);
void devagent_server_unlock(struct devagent_server *s);
/* Sends every open stream what has changed for it. Call with the lock held. */
void devagent_server_push(struct devagent_server *s);
/* Ends all streams and connections and the thread. */
void devagent_server_stop(struct devagent_server *s);

#endif
