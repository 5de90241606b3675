/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - `svidwrap run`: check everything that can be checked, then become the program.
 *
 * It execs, so that pid, signals, exit code and attestation are the program's own. What it finds wrong it
 * says here, before the program starts; it never starts a program that it knows cannot be protected.
 */
#include "agent.h"
#include "ask.h"
#include "cli.h"
#include "config.h"
#include "program.h"

#include "../../shim/guard.h"
#include "../workload/workload.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define WAIT_DEFAULT_MS 30000u
#define WAIT_MAX_MS     3600000u

static const char usage[] =
    "usage: svidwrap run [--config FILE] [--agent SOCKET] [--wait DURATION] -- PROGRAM [ARGUMENTS]\n"
    "\n"
    "Runs an unmodified, dynamically linked program with mutual TLS and its SPIFFE identity on the\n"
    "ports and destinations that the configuration names.\n"
    "\n"
    "  -c, --config FILE     configuration (else $SVIDWRAP_CONFIG, else " CONFIG_DEFAULT ")\n"
    "  -a, --agent SOCKET    the SPIFFE agent: a path, unix:///PATH or tcp://IP:PORT\n"
    "                        (else workload_api.socket, else $SPIFFE_ENDPOINT_SOCKET)\n"
    "  -w, --wait DURATION   wait for the identity before the program starts, 30s by default;\n"
    "                        0: do not wait\n"
    "\n"
    "Exits 64 usage, 65 the program cannot be wrapped, 69 no identity, 78 configuration not valid,\n"
    "126 and 127 as shells do; else the program's own exit code.\n";

struct run {
  const char *config, *agent;
  uint32_t wait_ms;
  char **program;
  char config_path[PATH_MAX];
  char program_path[PATH_MAX];
  char self[PATH_MAX];
  char shim[PATH_MAX];
};

static int say(int code, const char *fmt, const char *arg) {
  fprintf(stderr, "svidwrap: ");
  fprintf(stderr, fmt, arg);
  fputc('\n', stderr);
  return code;
}

static int parse(int argc, char **argv, struct run *r) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"agent", required_argument, NULL, 'a'},
                                          {"wait", required_argument, NULL, 'w'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  int c;
  while ((c = getopt_long(argc, argv, "+c:a:w:h", options, NULL)) != -1) {
    switch (c) {
    case 'c':
      r->config = optarg;
      break;
    case 'a':
      r->agent = optarg;
      break;
    case 'w':
      if (policy_duration(optarg, &r->wait_ms) != 0 || r->wait_ms > WAIT_MAX_MS)
        return say(EX_USAGE, "--wait %s: expected a duration such as 30s or 500ms, one hour at most", optarg);
      break;
    case 'h':
      fputs(usage, stdout);
      exit(EX_OK);
    default:
      fputs(usage, stderr);
      return EX_USAGE;
    }
  }
  r->program = argv + optind;
  if (!r->program[0]) {
    fputs(usage, stderr);
    return EX_USAGE;
  }
  return EX_OK;
}

/* Where the agent is, and that --agent is not overruled by the file without anybody noticing. */
static int check_agent(const struct run *r, const struct policy *p) {
  char why[512];
  struct sockaddr_storage addr;
  unsigned len;
  const char *socket = policy_settings(p)->workload_socket, *env = getenv("SPIFFE_ENDPOINT_SOCKET");
  if (!socket) {
    fprintf(stderr, "%s: no SPIFFE agent is named: set workload_api.socket, SPIFFE_ENDPOINT_SOCKET or --agent\n",
            r->config_path);
    return EX_CONFIG;
  }
  if (r->agent && env && strcmp(socket, env) != 0) {
    fprintf(stderr, "%s: workload_api.socket (%s) is not what --agent says (%s); leave one of them out\n",
            r->config_path, socket, env);
    return EX_CONFIG;
  }
  if (workload_endpoint_parse(socket, &addr, &len, why, sizeof why) != 0) {
    fprintf(stderr, "%s: the agent's address %s: %s\n", r->config_path, socket, why);
    return EX_CONFIG;
  }
  return EX_OK;
}

static int check_config(struct run *r, struct config_needs *needs, bool *io_uring_unsafe) {
  char why[PATH_MAX + 1024];
  if (ask_enforced(r->config_path, sizeof r->config_path, io_uring_unsafe)) {
    if (r->config)
      fprintf(stderr, "svidwrap: %s is ignored: the daemon gives every program %s (enforce_config)\n", r->config,
              r->config_path);
    *needs = (struct config_needs){.shim_kept = true, .agent = true, .identity = true}; /* it may be root's to read */
    return EX_OK;
  }
  struct policy *p = config_load(r->config, r->config_path);
  if (!p)
    return EX_CONFIG;
  int rc = EX_OK;
  config_needs(p, needs);
  *io_uring_unsafe = policy_settings(p)->io_uring == POLICY_IO_URING_ALLOW_UNSAFE;
  if (needs->shim_kept && config_check_targets(p, r->config_path, why, sizeof why) != 0) {
    fprintf(stderr, "%s\n", why);
    rc = EX_CONFIG;
  }
  if (rc == EX_OK && needs->agent)
    rc = check_agent(r, p);
  else if (!needs->shim_kept) {
    fprintf(stderr, "svidwrap: warning: %s has no rule that is not off: nothing will be protected\n", r->config_path);
  }
  policy_unref(p);
  return rc;
}

/* Ours, and what else is to be loaded before and behind it. */
static int set_preload(const char *shim, bool sanitized) {
  const char *options = getenv("ASAN_OPTIONS");
  char *value = program_preload(shim, getenv("LD_PRELOAD")), *more = NULL;
  int rc = value ? setenv("LD_PRELOAD", value, 1) : -1;
  free(value);
  /* AddressSanitizer ends a program in which another library is before its own; ours goes on to it. */
  if (rc == 0 && sanitized)
    rc = asprintf(&more, "%s%sverify_asan_link_order=0", options ? options : "", options ? ":" : "") < 0
             ? -1
             : setenv("ASAN_OPTIONS", more, 1);
  free(more);
  return rc == 0 ? EX_OK : say(EX_OSERR, "%s", strerror(errno));
}

static int set_environment(const struct run *r, const struct config_needs *needs, bool io_uring_unsafe) {
  char wait[16];
  int rc = setenv("SVIDWRAP_CONFIG", r->config_path, 1) | setenv("SVIDWRAP_BIN", r->self, 1);
  snprintf(wait, sizeof wait, "%u", r->wait_ms);
  rc |= needs->identity && r->wait_ms ? setenv("SVIDWRAP_WAIT_MS", wait, 1) : unsetenv("SVIDWRAP_WAIT_MS");
  rc |= io_uring_unsafe ? setenv("SVIDWRAP_IO_URING", "allow-unsafe", 1) : unsetenv("SVIDWRAP_IO_URING");
  return rc == 0 ? EX_OK : say(EX_OSERR, "%s", strerror(errno));
}

/* io_uring would pass every hook in plaintext: without the guard the program does not start. */
static int set_guard(const struct config_needs *needs, bool io_uring_unsafe) {
  char why[256];
  if (!needs->shim_kept || io_uring_unsafe || guard_install(true, why, sizeof why) == 0)
    return EX_OK;
  return say(EX_OSERR, "io_uring cannot be put out of the program's reach (%s)", why);
}

/* What `svidwrap check` would say: refuses what cannot be wrapped, and tells what will be different. */
static int examine(const struct run *r, const struct program_setting *setting, bool *sanitized) {
  struct findings found = {0};
  int rc = EX_OK;
  *sanitized = program_examine(r->program_path, setting, &found);
  program_surroundings(setting, &found);
  const struct finding *no = findings_refusal(&found);
  if (no) {
    fprintf(stderr, "svidwrap: %s%s", no->subject,
            no->code == EX_DATAERR ? " cannot be wrapped: "
            : *no->subject         ? ": "
                                   : "");
    finding_print(stderr, no);
    fputc('\n', stderr);
    rc = no->code;
  } else if (findings_worst(&found) == FINDING_CANNOT) {
    rc = say(EX_OSERR, "%s", strerror(ENOMEM));
  }
  for (size_t i = 0; rc == EX_OK && i < found.count; i++) {
    if (found.list[i].status != FINDING_COST)
      continue;
    fprintf(stderr, "svidwrap: note: %s%s", found.list[i].subject, *found.list[i].subject ? ": " : "");
    finding_print(stderr, &found.list[i]);
    fputc('\n', stderr);
  }
  findings_free(&found);
  return rc;
}

static int prepare_program(struct run *r, const struct config_needs *needs, bool io_uring_unsafe) {
  static struct program_elf shim;
  char why[PROGRAM_WHY_MAX];
  bool sanitized = false;
  struct program_setting setting = {
      .path_env = getenv("PATH"), .io_uring_unsafe = io_uring_unsafe, .guarded = needs->shim_kept};
  int rc = program_find(r->program[0], setting.path_env, r->program_path, why, sizeof why);
  if (rc == 0)
    rc = program_shim(r->self, r->shim, &shim, why, sizeof why);
  if (rc != 0)
    return say(rc, "%s", why);
  setting.glibc_wanted = shim.glibc_wanted;
  rc = examine(r, &setting, &sanitized);
  return rc == EX_OK ? set_preload(r->shim, sanitized) : rc;
}

int cli_run(int argc, char **argv) {
  static struct run r = {.wait_ms = WAIT_DEFAULT_MS};
  struct config_needs needs = {0};
  bool io_uring_unsafe = false;
  int rc = parse(argc, argv, &r);
  if (rc == EX_OK && r.agent)
    rc = agent_to_environment(r.agent);
  if (rc == EX_OK)
    rc = check_config(&r, &needs, &io_uring_unsafe);
  if (rc == EX_OK)
    rc = prepare_program(&r, &needs, io_uring_unsafe);
  if (rc == EX_OK)
    rc = set_environment(&r, &needs, io_uring_unsafe);
  if (rc == EX_OK)
    rc = set_guard(&needs, io_uring_unsafe);
  if (rc != EX_OK)
    return rc;
  execv(r.program_path, r.program);
  int code = errno == ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE;
  fprintf(stderr, "svidwrap: %s: %s\n", r.program_path, strerror(errno));
  return code;
}
