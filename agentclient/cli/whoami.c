/* SPDX-License-Identifier: Apache-2.0 */
/*
 * whoami.c - `svidwrap whoami`: asks the SPIFFE agent itself, as a program would, and shows what it says. No daemon
 * takes part, and no key is shown.
 */
#include "agent.h"
#include "cli.h"
#include "config.h"
#include "table.h"

#include "../observe/format.h"
#include "../observe/log.h"
#include "../workload/workload.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS           5000u /* for a first answer */
#define PERMISSION_DENIED 7     /* gRPC */

static const char usage[] =
    "usage: svidwrap whoami [--agent SOCKET] [--config FILE] [--wait DURATION] [--json]\n"
    "\n"
    "Asks the SPIFFE agent for the identity that a program started here would get, and prints its SVIDs and\n"
    "trust bundles; or why there is none.\n"
    "\n"
    "  -a, --agent SOCKET    a path, unix:///PATH or tcp://IP:PORT (else workload_api.socket of the\n"
    "                        configuration, else $SPIFFE_ENDPOINT_SOCKET)\n"
    "  -c, --config FILE     configuration (else $SVIDWRAP_CONFIG, else " CONFIG_DEFAULT ", if it is there)\n"
    "  -w, --wait DURATION   go on asking for so long; else the first answer counts\n"
    "      --json            as JSON\n"
    "\n"
    "Exits 69 when there is no identity.\n";

struct whoami {
  const char *agent, *config;
  bool json, patient;
  uint32_t wait_ms;
  char endpoint[2048];

  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct identity *identity;
  bool answered; /* something was said, perhaps that there is no identity */
  int code;
  char words[512];
};

/* -- the agent -- */

static void heard(void *arg, enum workload_event event, struct identity *identity, int code, const char *message) {
  struct whoami *m = arg;
  pthread_mutex_lock(&m->lock);
  if (event == WORKLOAD_UPDATE) {
    identity_unref(m->identity);
    m->identity = identity;
  }
  m->answered = true;
  m->code = code;
  format_clean(message && event != WORKLOAD_UPDATE ? message : "", m->words, sizeof m->words);
  pthread_cond_broadcast(&m->changed);
  pthread_mutex_unlock(&m->lock);
}

static void wait_for_answer(struct whoami *m) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += m->wait_ms / 1000;
  end.tv_nsec += (long)(m->wait_ms % 1000) * 1000000;
  if (end.tv_nsec >= 1000000000) {
    end.tv_sec++;
    end.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&m->lock);
  while (!m->identity && !(m->answered && !m->patient))
    if (pthread_cond_timedwait(&m->changed, &m->lock, &end) == ETIMEDOUT)
      break;
  pthread_mutex_unlock(&m->lock);
}

static int fetch(struct whoami *m) {
  pthread_condattr_t attr;
  char why[256];
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&m->lock, NULL);
  pthread_cond_init(&m->changed, &attr);
  struct log *quiet = log_open("stderr", POLICY_LOG_TEXT, POLICY_LOG_ERROR, true, why, sizeof why);
  if (quiet)
    log_set_default(quiet);
  struct workload_client *c = workload_start() == 0 ? workload_open_address(m->endpoint, heard, m) : NULL;
  if (!c) {
    fprintf(stderr, "svidwrap: out of memory\n");
    return EX_OSERR;
  }
  wait_for_answer(m);
  workload_close(c);
  workload_stop();
  return EX_OK;
}

/* -- where it is -- */

static int find_agent(struct whoami *m) {
  char path[PATH_MAX], why[512];
  struct sockaddr_storage addr;
  unsigned len;
  int rc = m->agent ? agent_to_environment(m->agent) : EX_OK;
  if (rc != EX_OK)
    return rc;
  const char *named = m->config ? m->config : getenv("SVIDWRAP_CONFIG"), *env = getenv("SPIFFE_ENDPOINT_SOCKET");
  bool file = (named && *named) || access(CONFIG_DEFAULT, R_OK) == 0;
  struct policy *p = file && !m->agent ? config_load(m->config, path) : NULL;
  if (file && !m->agent && !p)
    return EX_CONFIG;
  const char *socket = p ? policy_settings(p)->workload_socket : env;
  snprintf(m->endpoint, sizeof m->endpoint, "%s", socket ? socket : "");
  policy_unref(p);
  if (!m->endpoint[0]) {
    fprintf(stderr, "svidwrap: no SPIFFE agent is named: give --agent, or set SPIFFE_ENDPOINT_SOCKET or "
                    "workload_api.socket in a configuration\n");
    return EX_CONFIG;
  }
  if (workload_endpoint_parse(m->endpoint, &addr, &len, why, sizeof why) == 0)
    return EX_OK;
  fprintf(stderr, "svidwrap: the agent's address: %s\n", why);
  return EX_CONFIG;
}

/* -- what it said -- */

static const char *self_path(char path[PATH_MAX]) {
  ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
  path[n > 0 ? n : 0] = '\0';
  return path;
}

static const char *when(char buf[FORMAT_TIME_LEN], time_t t) {
  struct timespec ts = {.tv_sec = t};
  format_time_at(buf, &ts);
  memcpy(buf + 19, "Z", 2); /* no fractions */
  return buf;
}

static json_t *as_json(struct whoami *m) {
  char path[PATH_MAX], stamp[FORMAT_TIME_LEN];
  json_t *o = json_object(), *svids = json_array(), *bundles = json_array();
  json_object_set_new(o, "agent", json_string(m->endpoint));
  json_object_set_new(o, "uid", json_integer(geteuid()));
  json_object_set_new(o, "gid", json_integer(getegid()));
  json_object_set_new(o, "path", json_string(self_path(path)));
  for (size_t i = 0; m->identity && i < identity_svid_count(m->identity); i++) {
    const struct identity_svid *s = identity_svid_at(m->identity, i);
    char hint[2048];
    json_array_append_new(svids, json_pack("{s:s, s:s, s:s, s:I}", "spiffe_id", s->id.text, "hint",
                                           format_clean(s->hint, hint, sizeof hint), "not_after",
                                           when(stamp, s->not_after), "expires", (json_int_t)s->not_after));
  }
  for (size_t i = 0; m->identity && i < identity_domain_count(m->identity); i++)
    json_array_append_new(bundles, json_string(identity_domain_at(m->identity, i)));
  json_object_set_new(o, "svids", svids);
  json_object_set_new(o, "bundles", bundles);
  if (!m->identity) {
    json_object_set_new(o, "error", json_string(m->words[0] ? m->words : "no answer"));
    json_object_set_new(o, "code", json_integer(m->code));
  }
  return o;
}

static void print_identity(const struct whoami *m) {
  char stamp[FORMAT_TIME_LEN], left[32], hint[2048];
  bool coloured = table_coloured(stdout);
  for (size_t i = 0; i < identity_svid_count(m->identity); i++) {
    const struct identity_svid *s = identity_svid_at(m->identity, i);
    int64_t ms = (int64_t)(s->not_after - time(NULL)) * 1000;
    table_text(stdout, coloured, TABLE_BOLD, s->id.text);
    printf("\n  expires  %s (%s%s)\n", when(stamp, s->not_after), ms > 0 ? "in " : "",
           ms > 0 ? table_duration(left, ms) : "expired");
    if (s->hint[0])
      printf("  hint     %s\n", format_clean(s->hint, hint, sizeof hint));
    if (i == 0 && identity_svid_count(m->identity) > 1)
      printf("  default  yes: rules that name no identity use the first\n");
  }
  printf("trust bundles\n");
  for (size_t i = 0; i < identity_domain_count(m->identity); i++)
    printf("  %s\n", identity_domain_at(m->identity, i));
  printf("agent\n  %s\n", m->endpoint);
}

static void print_cause(const struct whoami *m) {
  char path[PATH_MAX];
  fprintf(stderr, "svidwrap: no identity: the agent at %s ", m->endpoint);
  if (m->code == PERMISSION_DENIED)
    fprintf(stderr,
            "answered PermissionDenied: %s\n"
            "It looked for a registration entry whose selectors all hold for this process:\n"
            "  unix:uid:%u\n  unix:gid:%u\n  unix:path:%s\n"
            "Create one, or mend it. An entry with the unix:path of another program is for that program: ask with\n"
            "`svidwrap run -- PROGRAM`.\n",
            m->words, (unsigned)geteuid(), (unsigned)getegid(), self_path(path));
  else if (m->answered)
    fprintf(stderr, "cannot be asked: %s\nIs it running, and may uid %u use its socket?\n", m->words,
            (unsigned)geteuid());
  else
    fprintf(stderr, "did not answer within %u ms\n", m->wait_ms);
}

static int parse(int argc, char **argv, struct whoami *m) {
  static const struct option options[] = {
      {"agent", required_argument, NULL, 'a'}, {"config", required_argument, NULL, 'c'},
      {"wait", required_argument, NULL, 'w'},  {"json", no_argument, NULL, 'j'},
      {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "a:c:w:h", options, NULL)) != -1;) {
    if (c == 'h') {
      fputs(usage, stdout);
      exit(EX_OK);
    } else if (c == 'a') {
      m->agent = optarg;
    } else if (c == 'c') {
      m->config = optarg;
    } else if (c == 'j') {
      m->json = true;
    } else if (c == 'w' && policy_duration(optarg, &m->wait_ms) == 0 && m->wait_ms <= 3600000) {
      m->patient = true;
    } else {
      if (c == 'w')
        fprintf(stderr, "svidwrap: --wait %s: expected a duration such as 30s, one hour at most\n", optarg);
      else
        fputs(usage, stderr);
      return EX_USAGE;
    }
  }
  if (optind == argc)
    return EX_OK;
  fputs(usage, stderr);
  return EX_USAGE;
}

int cli_whoami(int argc, char **argv) {
  static struct whoami m = {.wait_ms = WAIT_MS};
  int rc = parse(argc, argv, &m);
  if (rc == EX_OK)
    rc = find_agent(&m);
  if (rc == EX_OK)
    rc = fetch(&m);
  if (rc != EX_OK)
    return rc;
  if (m.json) {
    json_t *o = as_json(&m);
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(o);
  } else if (m.identity) {
    print_identity(&m);
  }
  if (!m.identity) {
    if (!m.json)
      print_cause(&m);
    return EX_UNAVAILABLE;
  }
  identity_unref(m.identity);
  if (fflush(stdout) == 0 && !ferror(stdout))
    return EX_OK;
  fprintf(stderr, "svidwrap: cannot write: %s\n", strerror(errno));
  return EX_IOERR;
}
