/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - `svidwrap check --config`: what a configuration means for a program that has not started.
 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include "program.h"

/* Is it valid, which rules would hold, is there what they need. Fills in what the rest depends on. */
void check_configuration(const char *given, struct program_setting *setting, struct findings *out);

#endif
