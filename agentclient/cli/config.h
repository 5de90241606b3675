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

/* Can the log and the audit lines be written? 0, or -1 after a message on stderr. */
int config_check_targets(const struct policy *p, const char *path);
/* A path from here, made absolute. 0, or -1 and errno. */
int config_absolute(const char *given, char path[PATH_MAX]);

/* How many rules are not off. */
size_t config_active_rules(const struct policy *p);

#endif
