/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrape.h - the HTTP listener of `metrics: {listen}`: GET /metrics and a page of a few lines at /, on the control
 * loop, by libevent's evhttp. Whoever connects is a stranger: headers, bodies, connections and their time are
 * bounded, and one that stalls costs a descriptor for some seconds. There is no TLS and no authentication on it.
 */
#ifndef DAEMON_SCRAPE_H
#define DAEMON_SCRAPE_H

#include <event2/event.h>
#include <stddef.h>

#define SCRAPE_CONNECTIONS_MAX 32

struct scrape;

/* Each makes a page (malloc()ed text), or NULL: out of memory. On the control thread. */
struct scrape_pages {
  char *(*metrics)(void *arg);
  char *(*front)(void *arg);
  void *arg;
};

/* address: "127.0.0.1:9464", "[::1]:9464" or "unix:/PATH" (a socket that nobody listens on any more is replaced).
 * NULL, and "ADDRESS: cause" in why. */
struct scrape *scrape_open(struct event_base *base, const char *address, const struct scrape_pages *pages, char *why,
                           size_t why_len);
void scrape_close(struct scrape *s);
const char *scrape_address(const struct scrape *s);

#endif
