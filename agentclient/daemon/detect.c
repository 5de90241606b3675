/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detect.c - waits for a peer's first bytes. Edge-triggered: bytes that are looked at and left would wake a level-
 * triggered wait again at once, and for ever.
 */
#include "detect.h"
#include "clock.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RECORD_HANDSHAKE 0x16
#define VERSION_MAJOR    0x03
#define CLIENT_HELLO     1

struct detect {
  int fd;
  detect_fn done;
  void *arg;
  struct event bytes, timer;
};

enum detect_verdict detect_bytes(const uint8_t *bytes, size_t n) {
  if (n >= 1 && bytes[0] != RECORD_HANDSHAKE)
    return DETECT_OTHER;
  if (n >= 2 && bytes[1] != VERSION_MAJOR)
    return DETECT_OTHER;
  if (n >= DETECT_BYTES)
    return bytes[5] == CLIENT_HELLO ? DETECT_TLS : DETECT_OTHER;
  return DETECT_MORE;
}

/* over: there will be no further look. */
static enum detect_verdict look(int fd, bool over) {
  uint8_t bytes[DETECT_BYTES];
  ssize_t n;
  do
    n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN)
    return DETECT_GONE;
  if (n <= 0)
    return n == 0 ? DETECT_ENDED : over ? DETECT_SILENT : DETECT_MORE;
  enum detect_verdict v = detect_bytes(bytes, (size_t)n);
  return v == DETECT_MORE && over ? DETECT_TLS : v;
}

static void stop(struct detect *d) {
  event_del(&d->bytes);
  event_del(&d->timer);
  free(d);
}

static void detect_event(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  struct detect *d = arg;
  enum detect_verdict v = look(d->fd, what & EV_TIMEOUT);
  if (v == DETECT_MORE)
    return;
  detect_fn done = d->done;
  void *owner = d->arg;
  stop(d);
  done(owner, v);
}

struct detect *detect_begin(struct event_base *base, int fd, uint32_t ms, detect_fn done, void *arg) {
  struct detect *d = calloc(1, sizeof *d);
  if (!d)
    return NULL;
  d->fd = fd;
  d->done = done;
  d->arg = arg;
  struct timeval tv = clock_timeval(ms);
  event_assign(&d->bytes, base, fd, EV_READ | EV_ET | EV_PERSIST, detect_event, d);
  evtimer_assign(&d->timer, base, detect_event, d);
  if (event_add(&d->bytes, NULL) == 0 && event_add(&d->timer, &tv) == 0)
    return d;
  stop(d);
  return NULL;
}

enum detect_verdict detect_end(struct detect *d) {
  enum detect_verdict v = look(d->fd, true);
  stop(d);
  return v;
}
