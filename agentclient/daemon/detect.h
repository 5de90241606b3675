/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detect.h - does a peer speak TLS? Asked of connections to permissive listeners, on the control thread.
 *
 * Looks at the first bytes (MSG_PEEK) and leaves every one of them where it is; changes nothing on the socket. A
 * peer that says nothing costs a descriptor and a timer until its time is up, and holds nobody else up.
 */
#ifndef DAEMON_DETECT_H
#define DAEMON_DETECT_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#define DETECT_BYTES 6 /* as many as are ever looked at */

enum detect_verdict {
  DETECT_MORE = 0, /* nothing to go by yet */
  DETECT_TLS,      /* a ClientHello, or what there is of one when the time is up: a peer that began to speak TLS
                      does not get plaintext for being slow */
  DETECT_OTHER,    /* it speaks, and not TLS */
  DETECT_SILENT,   /* no byte in time: the server speaks first, perhaps */
  DETECT_ENDED,    /* it has closed its side without a byte */
  DETECT_GONE,     /* reset */
};

/* The first bytes of a stream: DETECT_MORE, _TLS or _OTHER. TLS is a handshake record (RFC 8446 section 5.1: 0x16,
 * and 0x03 for any version up to 1.3) that begins with a ClientHello (1). */
enum detect_verdict detect_bytes(const uint8_t *bytes, size_t n);

/* From the loop, exactly once unless detect_end() comes first; never DETECT_MORE. The detect is gone by then. */
typedef void (*detect_fn)(void *arg, enum detect_verdict verdict);

struct detect;
/* fd stays the caller's, and open until then. NULL: out of memory. */
struct detect *detect_begin(struct event_base *base, int fd, uint32_t ms, detect_fn done, void *arg);
/* Ends it early, without the callback. What the bytes say so far, as if the time were up. */
enum detect_verdict detect_end(struct detect *d);

#endif
