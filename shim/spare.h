/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spare.h - one descriptor kept in reserve, so that a passed socket always finds a number.
 *
 * At the descriptor limit a truncated SCM_RIGHTS would destroy the peer's connection.
 */
#ifndef SHIM_SPARE_H
#define SHIM_SPARE_H

#include <stdbool.h>

/* Makes a spare if there is none. False: no room. */
bool spare_open(void);
/* Gives its number back to the kernel; true when there was one. */
bool spare_release(void);

/* Would its number be one of the program's? Not where the limit was lowered below it. */
bool spare_helps(void);

void spare_after_fork(void);

#endif
