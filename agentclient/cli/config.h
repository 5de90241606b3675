/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - the configuration as a command finds it: --config, $SVIDWRAP_CONFIG or the default place.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "../policy/policy.h"

#include <limits.h>

#define CONFIG_DEFAULT "/etc/svidwrap/svidwrap.yaml"

/* given may be NULL. Fills in the absolute path (symbolic links are kept: they may be moved for a reload).
 * NULL after a message on stderr: "path:line:col: message". */
struct policy *config_load(const char *given, char path[PATH_MAX]);
/* The same with the message in why. */
struct policy *config_try(const char *given, char path[PATH_MAX], char *why, size_t why_len);

/* Can the log and the audit lines be written? 0, or -1 and a message. */
int config_check_targets(const struct policy *p, const char *path, char *why, size_t why_len);
/* A path from here, made absolute. 0, or -1 and errno. */
int config_absolute(const char *given, char path[PATH_MAX]);

/* What a program that is started under this policy needs. */
struct config_needs {
  bool shim_kept; /* nothing may pass the hooks: some rule is not off, or is prepared for more */
  bool agent;     /* some rule is not off: there has to be an agent */
  bool identity;  /* some rule lets nobody, or not everybody, through in plaintext: without an identity connections
                     fail */
};
void config_needs(const struct policy *p, struct config_needs *out);

#endif
