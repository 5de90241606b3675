/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - `svidwrap status`: what the running daemon knows, once. It starts none.
 */
#include "status.h"
#include "ask.h"
#include "cli.h"
#include "table.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
    "usage: svidwrap status [--json]\n"
    "\n"
    "Shows the daemon of this user, or else root's: wrapped programs and their identities, rules\n"
    "and what came of them, listeners, live connections.\n"
    "\n"
    "  --json   as JSON\n"
    "\n"
    "Exits 69 when no daemon answers.\n";

int cli_status(int argc, char **argv) {
  static const struct option options[] = {
      {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  bool json = false;
  for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
    if (c == 'h') {
      fputs(usage, stdout);
      return EX_OK;
    }
    if (c != 'j') {
      fputs(usage, stderr);
      return EX_USAGE;
    }
    json = true;
  }
  if (optind < argc) {
    fputs(usage, stderr);
    return EX_USAGE;
  }
  char why[1024];
  json_t *root;
  int rc = ask_daemon(WIRE_STATUS, NULL, &root, why, sizeof why);
  if (rc != EX_OK) {
    fprintf(stderr, "svidwrap: %s\n", why);
    return rc;
  }
  struct status_view view = {.coloured = table_coloured(stdout)};
  if (json) {
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
  } else {
    status_print(stdout, root, &view);
  }
  json_decref(root);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "svidwrap: cannot write: %s\n", strerror(errno));
    return EX_IOERR;
  }
  return EX_OK;
}
