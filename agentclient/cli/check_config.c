/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_config.c - a configuration before the program starts: valid, its rules, ports that take a privilege, log and
 * audit files, the agent and the daemon. What may be different when the program runs is a cost, not a refusal.
 */
#include "ask.h"
#include "check.h"
#include "config.h"

#include "../workload/workload.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include <linux/capability.h>
#include <sys/syscall.h>

#define AGENT_WAIT_MS 2000

static void judge_rules(const char *path, const struct policy *p, struct findings *out) {
  for (uint32_t i = 0; i < policy_rule_count(p); i++) {
    const struct policy_rule *r = policy_rule_at(p, i);
    const char *kind = r->kind == RULES_LISTEN ? "listens on" : "connects to";
    if (r->mode == RULES_OFF)
      findings_say(out, FINDING_OK, "rule", path, "line %d, %s: what it %s there is left in plaintext (mode: off)",
                   r->line, r->name, kind);
    else
      findings_say(out, FINDING_OK, "rule", path, "line %d, %s: holds for what it %s there (mode: %s%s)", r->line,
                   r->name, kind, policy_mode_name(r->mode), r->audit_only ? ", policy: audit" : "");
  }
}

/* May this process bind ports below 1024? Where that cannot be found out, yes. */
static bool may_bind_low(void) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{0}};
  if (syscall(SYS_capget, &head, data) != 0)
    return true;
  return data[0].effective >> CAP_NET_BIND_SERVICE & 1;
}

static unsigned first_free_port(void) {
  unsigned port = 1024;
  FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
  if (f && fscanf(f, "%u", &port) != 1)
    port = 1024;
  if (f)
    fclose(f);
  return port;
}

static void judge_ports(const char *path, const struct policy *p, struct findings *out) {
  static struct rules_table table;
  unsigned least = first_free_port();
  if (may_bind_low() || policy_compile(p, NULL, 0, &table) != 0)
    return;
  for (uint32_t i = 0; i < table.count && i < RULES_MAX; i++) {
    const struct rules_entry *e = &table.entry[i];
    const struct policy_rule *r = policy_rule_at(p, e->rule);
    char text[300];
    if (e->kind != RULES_LISTEN || e->port_lo >= least || !r)
      continue;
    snprintf(text, sizeof text, "line %d, %.200s: port %u takes a privilege that this user has not", r->line, r->name,
             e->port_lo);
    findings_add(out, FINDING_COST, "port", path, text, "so bind() fails there, wrapped or not",
                 "give it CAP_NET_BIND_SERVICE (AmbientCapabilities= of systemd), or use a port from 1024");
    return;
  }
}

/* 0, or an errno. */
static int try_connect(const struct sockaddr_storage *addr, unsigned len) {
  int err = 0;
  socklen_t size = sizeof err;
  int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return errno;
  if (connect(fd, (const struct sockaddr *)addr, len) != 0)
    err = errno;
  if (err == EINPROGRESS) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, AGENT_WAIT_MS) != 1)
      err = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) != 0)
      err = errno;
  }
  close(fd);
  return err == EAGAIN ? 0 : err; /* a unix socket whose backlog is full is there */
}

static void judge_agent(const char *path, const struct policy *p, struct findings *out) {
  struct sockaddr_storage addr;
  unsigned len;
  char why[512], text[600];
  const char *socket = policy_settings(p)->workload_socket;
  if (!socket) {
    findings_refuse(out, EX_CONFIG, "agent", path, "no SPIFFE agent is named", NULL,
                    "set workload_api.socket or SPIFFE_ENDPOINT_SOCKET");
    return;
  }
  if (workload_endpoint_parse(socket, &addr, &len, why, sizeof why) != 0) {
    findings_refuse(out, EX_CONFIG, "agent", socket, "the agent's address cannot be used", why, NULL);
    return;
  }
  int err = try_connect(&addr, len);
  if (err == 0) {
    findings_add(out, FINDING_OK, "agent", socket, "the SPIFFE agent takes connections", NULL, NULL);
    return;
  }
  snprintf(text, sizeof text, "the SPIFFE agent cannot be reached: %s", strerror(err));
  findings_add(out, FINDING_COST, "agent", socket, text, "so svidwrap run waits for it, and gives up with exit 69",
               err == EACCES ? "give this user access to its socket"
                             : "start the agent, and make its socket visible here");
}

static void judge_daemon(struct findings *out) {
  json_t *answer = NULL;
  char why[512];
  int rc = ask_daemon(WIRE_STATUS, NULL, &answer, why, sizeof why);
  json_decref(answer);
  if (rc == EX_OK)
    findings_add(out, FINDING_OK, "daemon", "", "a daemon answers", NULL, NULL);
  else if (strstr(why, "no daemon serves"))
    findings_add(out, FINDING_OK, "daemon", "", "no daemon runs, and the program will start one", NULL, NULL);
  else
    findings_add(out, FINDING_COST, "daemon", "", "the daemon does not answer as it should", why, NULL);
}

void check_configuration(const char *given, struct program_setting *setting, struct findings *out) {
  char path[PATH_MAX], why[PATH_MAX + 1024];
  struct config_needs needs;
  if (ask_enforced(path, sizeof path, &setting->io_uring_unsafe)) {
    findings_add(out, FINDING_OK, "config", path,
                 "the daemon gives every program this configuration (enforce_config)",
                 "so the one that is named here does not count", NULL);
    return;
  }
  struct policy *p = config_try(given, path, why, sizeof why);
  if (!p) {
    findings_refuse(out, EX_CONFIG, "config", "", why, NULL, NULL);
    return;
  }
  config_needs(p, &needs);
  setting->guarded = needs.shim_kept;
  setting->io_uring_unsafe = policy_settings(p)->io_uring == POLICY_IO_URING_ALLOW_UNSAFE;
  findings_add(out, FINDING_OK, "config", path, "it is valid", NULL, NULL);
  judge_rules(path, p, out);
  if (!needs.shim_kept)
    findings_add(out, FINDING_COST, "config", path, "no rule is anything but off", "so nothing will be protected",
                 NULL);
  else if (config_check_targets(p, path, why, sizeof why) != 0)
    findings_refuse(out, EX_CONFIG, "config", "", why, NULL, NULL);
  judge_ports(path, p, out);
  if (needs.agent)
    judge_agent(path, p, out);
  judge_daemon(out);
  policy_unref(p);
}
