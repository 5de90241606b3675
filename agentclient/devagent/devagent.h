/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devagent.h - `svidwrap dev-agent`: a Workload API server with its own CA. For demos and tests only.
 */
#ifndef DEVAGENT_DEVAGENT_H
#define DEVAGENT_DEVAGENT_H

/* argv[0] is "dev-agent". Returns a sysexits code. */
int devagent_main(int argc, char **argv);

#endif
