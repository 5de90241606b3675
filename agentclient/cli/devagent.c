/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `svidwrap dev-agent`: the sub-command's entry in the table; the agent itself is agentclient/devagent.
 */
#include "cli.h"

#include "../devagent/devagent.h"

int cli_dev_agent(int argc, char **argv) { return devagent_main(argc, argv); }
