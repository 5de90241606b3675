/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the table of sub-commands.
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int help(int argc, char **argv);

static const struct command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} commands[] = {
    {"run", cli_run, "check the configuration and a program, then become that program, wrapped"},
    {"check", cli_check, "can this program be wrapped, and what will be different?"},
    {"config", cli_config, "check a configuration and print it as understood"},
    {"explain", cli_explain, "which rule decides about a connection, and why"},
    {"status", cli_status, "the daemon: sessions, identities, rules, listeners, live connections"},
    {"top", cli_top, "the same, again and again, busiest connections first"},
    {"whoami", cli_whoami, "fetch and print the identity that this shell would get, or why there is none"},
    {"daemon", cli_daemon, "serve wrapped programs: handshakes, identities, policy (started by itself)"},
    {"mode", cli_mode, "change the mode of a rule while programs run"},
    {"rollback", cli_rollback, "undo the last change of rules"},
    {"report", cli_report, "what passed under every rule, and whether it is safe to enforce"},
    {"dev-agent", cli_dev_agent, "a Workload API server for demos and tests; not for production"},
    {"version", cli_version, "print the version"},
    {"help", help, "print this, or what a command takes"},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void usage(FILE *to) {
  fprintf(to,
          "svidwrap %s: mutual TLS 1.3 with SPIFFE identities for programs that know nothing of it\n\n"
          "usage: svidwrap COMMAND [ARGUMENTS]\n\n",
          SVIDWRAP_VERSION);
  for (size_t i = 0; i < COMMANDS; i++)
    fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
  fprintf(to, "\nMore of a command: svidwrap help COMMAND, or svidwrap(1).\n");
}

static const struct command *find(const char *name) {
  for (size_t i = 0; i < COMMANDS; i++)
    if (strcmp(commands[i].name, name) == 0)
      return &commands[i];
  return NULL;
}

static int help(int argc, char **argv) {
  static char option[] = "--help";
  const struct command *c = argc > 1 ? find(argv[1]) : NULL;
  if (argc > 1 && !c) {
    fprintf(stderr, "svidwrap: there is no command '%s'\n", argv[1]);
    return EX_USAGE;
  }
  if (!c || c->run == help || c->run == cli_version) {
    usage(stdout);
    return EX_OK;
  }
  char *asked[] = {argv[1], option, NULL};
  return c->run(2, asked);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    usage(stderr);
    return EX_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
    name = "help";
  if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
    name = "version";
  const struct command *c = find(name);
  if (!c) {
    fprintf(stderr, "svidwrap: there is no command '%s'\n\n", name);
    usage(stderr);
    return EX_USAGE;
  }
  return c->run(argc - 1, argv + 1);
}
