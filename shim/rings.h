/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rings.h - what HELLO says of io_uring in this process.
 */
#ifndef SHIM_RINGS_H
#define SHIM_RINGS_H

#include <stdint.h>

/* WIRE_HELLO_RINGS and WIRE_HELLO_RING_OPEN, or 0: io_uring is out of reach. */
uint32_t rings_state(void);

#endif
