/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.c - keeps the newest identity of a Workload API client. An identity that was withdrawn is dropped at
 * once; one whose agent is away is kept until it expires. Never prints a key.
 */
#include "source.h"
#include "../observe/format.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct mailbox {
  struct post_item item;
  pthread_mutex_t lock;
  bool posted;
  struct identity *identity; /* the newest UPDATE, if no DENIED came after it */
  bool denied, gone, trouble;
  int code;
  char words[256];
};

struct source {
  unsigned refs;
  LIST_ENTRY(source) link; /* shared ones */
  char *endpoint;          /* shared ones */
  struct post *post;
  source_fn changed;
  void *arg;
  struct workload_client *client;
  enum source_state state;
  struct identity *identity;
  int code;
  char words[256];
  struct mailbox box;
};

/* On the client's thread. */
static void source_heard(void *arg, enum workload_event event, struct identity *identity, int code,
                         const char *message) {
  struct source *s = arg;
  struct mailbox *b = &s->box;
  struct identity *older = NULL;
  pthread_mutex_lock(&b->lock);
  if (event == WORKLOAD_UPDATE || event == WORKLOAD_DENIED) {
    older = b->identity;
    b->identity = event == WORKLOAD_UPDATE ? identity : NULL;
    b->denied = event == WORKLOAD_DENIED;
  } else if (event == WORKLOAD_GONE) {
    b->gone = true;
  } else {
    b->trouble = true;
  }
  b->code = code;
  /* They go to programs' standard error and into JSON: no control characters, and UTF-8 to the last byte. */
  format_clean(message && event != WORKLOAD_UPDATE ? message : "", b->words, sizeof b->words);
  bool post = !b->posted;
  b->posted = true;
  pthread_mutex_unlock(&b->lock);
  if (older)
    identity_unref(older);
  if (post)
    post_send(s->post, &b->item);
}

static void source_free(struct source *s) {
  identity_unref(s->identity);
  identity_unref(s->box.identity);
  pthread_mutex_destroy(&s->box.lock);
  free(s->endpoint);
  free(s);
}

static void drop_client(struct source *s) {
  if (s->client)
    workload_close(s->client);
  s->client = NULL;
}

static struct source_totals totals; /* the control thread's */

void source_totals(struct source_totals *t) { *t = totals; }

static void source_collect(struct post_item *item) {
  struct mailbox *b = POST_OWNER(item, struct mailbox, item);
  struct source *s = POST_OWNER(b, struct source, box);
  pthread_mutex_lock(&b->lock);
  struct identity *fresh = b->identity;
  bool denied = b->denied, gone = b->gone, trouble = b->trouble;
  b->identity = NULL;
  b->denied = b->gone = b->trouble = false;
  b->posted = false;
  s->code = b->code;
  memcpy(s->words, b->words, sizeof s->words);
  pthread_mutex_unlock(&b->lock);
  if (s->refs == 0) { /* the last owner left while we were in the queue */
    identity_unref(fresh);
    source_free(s);
    return;
  }
  totals.updates += fresh != NULL;
  totals.failures += denied || gone || trouble;
  if (fresh || denied) {
    identity_unref(s->identity);
    s->identity = fresh;
    s->state = fresh ? SOURCE_SERVED : SOURCE_DENIED;
  }
  if (gone) {
    drop_client(s);
    if (s->state == SOURCE_WAITING)
      s->state = SOURCE_IDLE;
  }
  s->changed(s->arg, s);
}

struct source *source_new(struct post *post, source_fn changed, void *arg) {
  struct source *s = calloc(1, sizeof *s);
  if (!s)
    return NULL;
  s->refs = 1;
  s->post = post;
  s->changed = changed;
  s->arg = arg;
  s->box.item.fn = source_collect;
  pthread_mutex_init(&s->box.lock, NULL);
  return s;
}

struct source *source_shared(struct source_list *all, const char *endpoint, struct post *post, source_fn changed,
                             void *arg) {
  struct source *s;
  LIST_FOREACH(s, all, link)
  if (strcmp(s->endpoint, endpoint) == 0) {
    s->refs++;
    return s;
  }
  s = source_new(post, changed, arg);
  if (!s)
    return NULL;
  s->endpoint = strdup(endpoint);
  if (s->endpoint)
    s->client = workload_open_address(endpoint, source_heard, s);
  if (!s->client) {
    source_unref(s);
    return NULL;
  }
  s->state = SOURCE_WAITING;
  LIST_INSERT_HEAD(all, s, link);
  return s;
}

void source_unref(struct source *s) {
  if (!s || --s->refs)
    return;
  if (s->link.le_prev)
    LIST_REMOVE(s, link);
  drop_client(s);
  identity_unref(s->identity);
  s->identity = NULL;
  if (!s->box.posted) /* no callback runs any more: no lock needed */
    source_free(s);
}

int source_give(struct source *s, int fd) {
  drop_client(s);
  pthread_mutex_lock(&s->box.lock);
  s->box.gone = false; /* said of the connection before */
  pthread_mutex_unlock(&s->box.lock);
  s->client = workload_open_fd(fd, source_heard, s);
  if (!s->client)
    return -1;
  if (s->state != SOURCE_SERVED)
    s->state = SOURCE_WAITING;
  /* The words stay: until the agent says something else, they are the last that it said. */
  return 0;
}

void source_dial_failed(struct source *s, int err) {
  s->code = 0;
  snprintf(s->words, sizeof s->words, "cannot connect: %s", strerror(err));
}

enum source_state source_state(const struct source *s) { return s->state; }
bool source_connected(const struct source *s) { return s->client != NULL; }
struct identity *source_identity(const struct source *s) {
  return s->state == SOURCE_SERVED ? s->identity : NULL;
}

const char *source_words(const struct source *s, int *code) {
  *code = s->code;
  return s->words;
}

/* "spiffe://example.org/a, spiffe://example.org/b (hint internal)", as far as there is room. */
static void list_served(const struct identity *id, char *text, size_t len) {
  size_t at = 0;
  text[0] = '\0';
  for (size_t i = 0; i < identity_svid_count(id) && at < len; i++) {
    const struct identity_svid *s = identity_svid_at(id, i);
    char hint[128]; /* the agent's words, for a log */
    format_clean(s->hint, hint, sizeof hint);
    int n = snprintf(text + at, len - at, "%s%s%s%s%s", i ? ", " : "", s->id.text, hint[0] ? " (hint " : "", hint,
                     hint[0] ? ")" : "");
    at += n > 0 ? (size_t)n : 0;
  }
}

const struct identity_svid *source_svid(const struct source *s, const char *spiffe_id, const char *hint, char *why,
                                        size_t why_len) {
  struct identity *id = source_identity(s);
  if (!id) {
    snprintf(why, why_len, "no identity%s%s", s->words[0] ? ": the agent says: " : "", s->words);
    return NULL;
  }
  const struct identity_svid *svid = identity_select(id, spiffe_id, hint);
  char served[400];
  if (!svid) {
    list_served(id, served, sizeof served);
    snprintf(why, why_len, "the agent serves no SVID with the %s %s; it serves %s", spiffe_id ? "ID" : "hint",
             spiffe_id ? spiffe_id
             : hint    ? hint
                       : "(any)",
             served);
  } else if (svid->not_after <= time(NULL))
    snprintf(why, why_len, "the SVID has expired and the agent sent no new one%s%s", s->words[0] ? ": " : "",
             s->words);
  else
    return svid;
  return NULL;
}
