/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.c - who may ask, what was asked, and the answer's way back; and the verb report. Nothing here waits for a
 * disk.
 */
#include "admin.h"
#include "canary.h"
#include "change.h"
#include "document.h"
#include "state.h"
#include "worker.h"
#include "../observe/audit.h"
#include "../observe/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REQUEST_MAX (8 * 1024 * 1024) /* the text of a configuration, twice, in JSON */

static bool survey_config(struct survey *s, const struct worker *w, const struct config *c) {
  for (uint32_t i = 0; i < policy_rule_count(c->policy); i++) {
    const struct policy_rule *rule = policy_rule_at(c->policy, i);
    if (survey_rule(s, c->label, rule) != 0)
      return false;
    if (canary_suspended(w, c, rule->name) > 0 && survey_suspended(s, c->label, rule->name) != 0)
      return false;
  }
  return true;
}

/* What was let through before and goes on. */
static bool survey_lives(struct survey *s, const struct worker *w) {
  char host[64];
  const struct live *l;
  TAILQ_FOREACH(l, &w->lives, link) {
    const struct config *c = l->session->config;
    const struct policy_rule *rule = l->plain ? policy_rule_at(c->policy, l->rule) : NULL;
    struct sockaddr_in6 ends[2];
    if (!rule || l->revoked || !live_open(w, l))
      continue;
    diag_addresses(&l->id, &ends[0], &ends[1]);
    if (survey_open(s, c->label, rule->name, l->inbound, audit_host((struct sockaddr *)&ends[1], host, sizeof host)))
      return false;
  }
  return true;
}

static json_t *report(struct ctl *c, json_t *request, char *why, size_t why_len) {
  struct worker *w = c->worker;
  const json_t *since = json_object_get(request, "since");
  if (!json_is_integer(since) || json_integer_value(since) < 0) {
    snprintf(why, why_len, "report: since is a time in seconds");
    return NULL;
  }
  struct survey *s = survey_new(w->ledger, (time_t)json_integer_value(since), time(NULL));
  bool ok = s != NULL;
  struct config *config;
  LIST_FOREACH(config, &w->configs, link)
  ok = ok && survey_config(s, w, config);
  json_t *answer = ok && survey_lives(s, w) ? survey_json(s) : NULL;
  survey_free(s);
  if (!answer) {
    snprintf(why, why_len, "the daemon is out of memory");
    return NULL;
  }
  json_object_set_new(answer, "state_dir", json_string(state_dir(w->state)));
  json_object_set_new(answer, "state_trouble", json_string(state_trouble(w->state)));
  return answer;
}

static const struct verb {
  const char *name;
  admin_verb run;
} verbs[] = {
    {"report", report},
    {"mode", change_mode},
    {"rollback", change_rollback},
};

static admin_verb find(const char *name) {
  for (size_t i = 0; name && i < sizeof verbs / sizeof *verbs; i++)
    if (strcmp(verbs[i].name, name) == 0)
      return verbs[i].run;
  return NULL;
}

/* From a memfd that nobody can take from under our feet; any other file could make us wait. */
static json_t *read_fd(int fd, json_error_t *err) {
  struct stat st;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) != 0 || st.st_size > REQUEST_MAX) {
    snprintf(err->text, sizeof err->text, "not a sealed memfd of at most %d bytes", REQUEST_MAX);
    return NULL;
  }
  char *text = malloc((size_t)st.st_size + 1);
  ssize_t n = text ? pread(fd, text, (size_t)st.st_size, 0) : -1;
  json_t *request = n >= 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, err) : NULL;
  free(text);
  return request;
}

void admin_request(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]) {
  char why[WIRE_TEXT_MAX] = "";
  json_error_t err = {.text = "no JSON object"};
  if (c->cred.uid != 0 && c->cred.uid != c->worker->uid) {
    ctl_reply(c, WIRE_REFUSED, EPERM, "this daemon takes orders from root and from uid %u", (unsigned)c->worker->uid);
    return;
  }
  const char *text = (const char *)msg + sizeof(struct wire_hdr);
  json_t *request = fds[0] >= 0 ? read_fd(fds[0], &err)
                                : json_loadb(text, len - sizeof(struct wire_hdr), JSON_REJECT_DUPLICATES, &err);
  const char *name = json_string_value(json_object_get(request, "verb"));
  admin_verb verb = find(name);
  json_t *answer = verb ? verb(c, request, why, sizeof why) : NULL;
  if (answer)
    document_answer(c, answer);
  else if (!request)
    ctl_reply(c, WIRE_BAD_REQUEST, EINVAL, "%s", err.text);
  else if (!verb)
    ctl_reply(c, WIRE_BAD_REQUEST, EINVAL, "this daemon does not know the verb '%.64s'", name ? name : "");
  else
    ctl_reply(c, WIRE_REFUSED, EINVAL, "%s", why);
  json_decref(request);
}
