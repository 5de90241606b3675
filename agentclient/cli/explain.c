/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain.c - `svidwrap explain`: what a configuration decides about one connection, without making it.
 */
#include "cli.h"
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define DENIED 1

static const char usage[] =
    "usage: svidwrap explain --from ID --to PORT|HOST:PORT [OPTIONS]\n"
    "\n"
    "Which rule of a configuration decides about a connection, and why. Nothing is connected, resolved or asked.\n"
    "\n"
    "  --from ID         the SPIFFE ID of who connects\n"
    "  --to PORT         to this port of a program under this configuration: listen rules\n"
    "  --to HOST:PORT    out of a program under this configuration: connect rules (and the listen rule for that\n"
    "                    port, if the file has one)\n"
    "  --peer ID         the ID that the server at HOST:PORT shows\n"
    "  --as ID           who the program at PORT is, for {trust_domain}; else identity.spiffe_id\n"
    "  -c, --config FILE else $SVIDWRAP_CONFIG, else " CONFIG_DEFAULT "\n"
    "  --json            as JSON\n"
    "\n"
    "Exits 0: it would be let through (in plaintext, too; the answer says so), 1: denied, 64: usage, 78: the\n"
    "configuration is not valid.\n";

struct asked {
  const char *from, *to, *peer, *self, *config;
  bool json;
};

static int parse_options(int argc, char **argv, struct asked *a) {
  static const struct option options[] = {
      {"from", required_argument, NULL, 'f'},   {"to", required_argument, NULL, 't'},
      {"peer", required_argument, NULL, 'p'},   {"as", required_argument, NULL, 'a'},
      {"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
      {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
  int c;
  while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
    const char **into = c == 'f'   ? &a->from
                        : c == 't' ? &a->to
                        : c == 'p' ? &a->peer
                        : c == 'a' ? &a->self
                                   : &a->config;
    if (c == 'h') {
      fputs(usage, stdout);
      exit(EX_OK);
    }
    if (c == '?')
      break;
    if (c == 'j')
      a->json = true;
    else
      *into = optarg;
  }
  if (c != -1 || optind != argc || !a->from || !a->to) {
    fputs(usage, stderr);
    return EX_USAGE;
  }
  return EX_OK;
}

/* 0, or EX_USAGE after a message. NULL text: *id is NULL too. */
static int read_id(const char *option, const char *text, struct spiffeid *room, const struct spiffeid **id) {
  const char *why = NULL;
  *id = NULL;
  if (!text)
    return 0;
  if (spiffeid_parse(room, text, strlen(text), 1, &why) != 0) {
    fprintf(stderr, "svidwrap explain: %s '%s' is no workload's SPIFFE ID: %s\n", option, text, why);
    return EX_USAGE;
  }
  *id = room;
  return 0;
}

int cli_explain(int argc, char **argv) {
  struct asked a = {0};
  struct policy_question q = {0};
  struct spiffeid from, peer, self;
  char path[PATH_MAX], why[512];
  bool denied = true;
  int rc = parse_options(argc, argv, &a);
  if (rc != EX_OK || (rc = read_id("--from", a.from, &from, &q.from)) != 0 ||
      (rc = read_id("--peer", a.peer, &peer, &q.peer)) != 0 || (rc = read_id("--as", a.self, &self, &q.self)) != 0)
    return rc;
  q.to = a.to;
  struct policy *p = config_load(a.config, path);
  if (!p)
    return EX_CONFIG;
  char *text = policy_explain(p, &q, a.json, &denied, why, sizeof why);
  policy_unref(p);
  if (!text) {
    fprintf(stderr, "svidwrap explain: --to %s\n", why);
    return EX_USAGE;
  }
  printf("%s%s", text, a.json ? "\n" : "");
  free(text);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "svidwrap: cannot write: %s\n", strerror(errno));
    return EX_IOERR;
  }
  return denied ? DENIED : EX_OK;
}
