/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manners.h - a number gets another file behind it (a stand-in, the relay's end): what the program has set on the old
 * one, and would notice on the number, goes along.
 */
#ifndef SHIM_MANNERS_H
#define SHIM_MANNERS_H

/* Before the number changes: O_NONBLOCK, SO_RCVTIMEO, SO_SNDTIMEO. */
void manners_copy(int from, int to);
/* After it: O_ASYNC with its owner and signal, taken from the old file (on another number by now) to this number,
 * which is what the signal names. */
void manners_move_async(int from, int to);

#endif
