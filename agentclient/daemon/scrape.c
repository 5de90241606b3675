/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrape.c - the metrics' HTTP listener; see scrape.h. evhttp of libevent 2.1 neither counts its connections nor ends
 * one that sends a byte now and then, so each has a reference of ours: by its callbacks we see that evhttp has let go
 * of it, and its socket is shut down when its time is over.
 */
#include "scrape.h"
#include "clock.h"
#include "scrape_bind.h"
#include "../observe/metrics.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event_struct.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADERS_MAX 8192
#define BODY_MAX    1024
#define SILENT_MS   5000  /* between two bytes */
#define CONN_MS     15000 /* in all */
#define TICK_MS     100
#define PAUSE_MS    1000 /* after an accept() that failed: out of descriptors, say */

struct scrape_conn {
  LIST_ENTRY(scrape_conn) link;
  struct bufferevent *bev; /* referenced */
  int64_t until;
};

struct scrape {
  struct event_base *base;
  struct evhttp *http;
  struct evconnlistener *listener; /* evhttp's */
  struct scrape_pages pages;
  struct scrape_bound bound;
  LIST_HEAD(scrape_conns, scrape_conn) conns;
  unsigned count;
  struct event tick, resume;
};

static void conn_free(struct scrape *s, struct scrape_conn *c) {
  LIST_REMOVE(c, link);
  s->count--;
  bufferevent_decref(c->bev); /* closes the socket */
  free(c);
}

static bool let_go(const struct scrape_conn *c) {
  bufferevent_data_cb reads, writes;
  bufferevent_event_cb events;
  bufferevent_getcb(c->bev, &reads, &writes, &events, NULL);
  return !reads && !writes && !events;
}

static void tick(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct scrape *s = arg;
  int64_t now = clock_ms();
  struct scrape_conn *c, *next;
  for (c = LIST_FIRST(&s->conns); c; c = next) {
    next = LIST_NEXT(c, link);
    if (let_go(c))
      conn_free(s, c);
    else if (now >= c->until)
      shutdown(bufferevent_getfd(c->bev), SHUT_RDWR); /* evhttp sees the end, and lets go */
  }
  if (s->count < SCRAPE_CONNECTIONS_MAX && !evtimer_pending(&s->resume, NULL))
    evconnlistener_enable(s->listener);
  if (s->count > 0) {
    struct timeval tv = clock_timeval(TICK_MS);
    evtimer_add(&s->tick, &tv);
  }
}

/* evhttp asks for the bufferevent of a connection that it has just accepted. NULL: it makes one of its own. */
static struct bufferevent *admit(struct event_base *base, void *arg) {
  struct scrape *s = arg;
  struct scrape_conn *c = calloc(1, sizeof *c);
  struct bufferevent *bev = c ? bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE) : NULL;
  if (!bev) {
    free(c);
    return NULL;
  }
  bufferevent_incref(bev);
  c->bev = bev;
  c->until = clock_ms() + CONN_MS;
  LIST_INSERT_HEAD(&s->conns, c, link);
  if (++s->count >= SCRAPE_CONNECTIONS_MAX)
    evconnlistener_disable(s->listener); /* the others wait in the kernel */
  if (!evtimer_pending(&s->tick, NULL)) {
    struct timeval tv = clock_timeval(TICK_MS);
    evtimer_add(&s->tick, &tv);
  }
  return bev;
}

static void accept_failed(struct evconnlistener *l, void *arg) {
  struct scrape *s = arg;
  struct timeval tv = clock_timeval(PAUSE_MS);
  evconnlistener_disable(l); /* else the loop would turn on it */
  evtimer_add(&s->resume, &tv);
}

static void resume(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  struct scrape *s = arg;
  if (s->count < SCRAPE_CONNECTIONS_MAX)
    evconnlistener_enable(s->listener);
}

static void answer(struct evhttp_request *req, void *arg) {
  struct scrape *s = arg;
  const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
  const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
  bool metrics = path && strcmp(path, "/metrics") == 0, front = path && strcmp(path, "/") == 0;
  struct evkeyvalq *head = evhttp_request_get_output_headers(req);
  evhttp_add_header(head, "Connection", "close");
  evhttp_add_header(head, "X-Content-Type-Options", "nosniff");
  evhttp_add_header(head, "Cache-Control", "no-store");
  if (!metrics && !front) {
    evhttp_send_error(req, HTTP_NOTFOUND, NULL);
    return;
  }
  char *page = metrics ? s->pages.metrics(s->pages.arg) : s->pages.front(s->pages.arg);
  struct evbuffer *body = evbuffer_new();
  if (!page || !body || evbuffer_add(body, page, strlen(page)) != 0) {
    evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
  } else {
    evhttp_add_header(head, "Content-Type", metrics ? METRICS_CONTENT_TYPE : "text/plain; charset=utf-8");
    evhttp_send_reply(req, HTTP_OK, "OK", body);
  }
  if (body)
    evbuffer_free(body);
  free(page);
}

static bool serve(struct scrape *s) {
  struct timeval silent = clock_timeval(SILENT_MS);
  s->http = evhttp_new(s->base);
  s->listener =
      s->http ? evconnlistener_new(s->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, s->bound.fd)
              : NULL;
  if (!s->listener)
    return false;
  s->bound.fd = -1; /* the listener's now */
  if (!evhttp_bind_listener(s->http, s->listener)) {
    evconnlistener_free(s->listener);
    return false;
  }
  evconnlistener_set_error_cb(s->listener, accept_failed);
  evhttp_set_max_headers_size(s->http, HEADERS_MAX);
  evhttp_set_max_body_size(s->http, BODY_MAX);
  evhttp_set_timeout_tv(s->http, &silent);
  evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET);
  evhttp_set_gencb(s->http, answer, s);
  evhttp_set_bevcb(s->http, admit, s);
  return true;
}

struct scrape *scrape_open(struct event_base *base, const char *address, const struct scrape_pages *pages, char *why,
                           size_t why_len) {
  struct scrape *s = calloc(1, sizeof *s);
  if (!s) {
    snprintf(why, why_len, "%s: out of memory", address);
    return NULL;
  }
  s->base = base;
  s->pages = *pages;
  LIST_INIT(&s->conns);
  evtimer_assign(&s->tick, base, tick, s);
  evtimer_assign(&s->resume, base, resume, s);
  if (scrape_bind(&s->bound, address, why, why_len) != 0) {
    free(s);
    return NULL;
  }
  if (!serve(s)) {
    snprintf(why, why_len, "%s: out of memory", address);
    scrape_close(s);
    return NULL;
  }
  return s;
}

void scrape_close(struct scrape *s) {
  if (!s)
    return;
  event_del(&s->tick);
  event_del(&s->resume);
  if (s->http)
    evhttp_free(s->http); /* and the listener */
  while (!LIST_EMPTY(&s->conns))
    conn_free(s, LIST_FIRST(&s->conns));
  scrape_unbind(&s->bound);
  free(s);
}

const char *scrape_address(const struct scrape *s) { return s->bound.address; }
