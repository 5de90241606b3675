/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version.c - `svidwrap version`.
 */
#include "cli.h"

#include <stdio.h>
#include <sysexits.h>

int cli_version(int argc, char **argv) {
  (void)argc;
  (void)argv;
  printf("svidwrap %s\n", SVIDWRAP_VERSION);
  return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
