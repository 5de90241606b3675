/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flight.h - one handshake as the control thread sees it: begun here, its result brought back here.
 *
 * Callbacks of the pool run on its threads; a flight copies the result and posts itself, so that all
 * that follows needs no lock. Knows nothing of the shim.
 */
#ifndef DAEMON_FLIGHT_H
#define DAEMON_FLIGHT_H

#include "../handshake/handshake.h"
#include "post.h"

struct flight;

/* On the control thread, exactly once. The result is cleansed when it returns; so is the flight. */
typedef void (*flight_fn)(void *arg, struct handshake_result *result);

/* request->done and ->arg are ignored. NULL: out of memory, no callback. */
struct flight *flight_begin(struct post *post, struct handshake_pool *pool, const struct handshake_request *request,
                            flight_fn done, void *arg);
/* Ends it early; the callback still comes. */
void flight_cancel(struct flight *f);

#endif
