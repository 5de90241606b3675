/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the sub-commands of `svidwrap`: a static table in main.c, one file each.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* Each gets argv with argv[0] = its own name and returns an exit code (sysexits where it is ours). */
int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_daemon(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_whoami(int argc, char **argv);
int cli_dev_agent(int argc, char **argv);
int cli_mode(int argc, char **argv);
int cli_rollback(int argc, char **argv);
int cli_report(int argc, char **argv);
int cli_version(int argc, char **argv);

#endif
