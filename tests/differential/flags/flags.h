/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flags.h - what several scenarios of this family need.
 */
#ifndef DIFFERENTIAL_FLAGS_H
#define DIFFERENTIAL_FLAGS_H

#include "scenario.h"

__attribute__((unused)) static volatile sig_atomic_t pipes;

static inline void on_pipe(int sig) {
  (void)sig;
  pipes++;
}

#endif
