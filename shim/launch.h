/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.h - starting the daemon from inside the program.
 */
#ifndef SHIM_LAUNCH_H
#define SHIM_LAUNCH_H

/* Starts `svidwrap daemon` so that the program's wait() never sees it and it holds nothing of the
 * program's. Returns as soon as it is on its way: 0, or -1 and errno. */
int launch_daemon(void);

#endif
