/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - the bytes of a direction: the marker, the direction, and the number of the 64 bytes' block. So whoever
 * reads knows what has to come, and the marker shows whether it crossed in clear.
 */
#ifndef RANDOM_STREAM_H
#define RANDOM_STREAM_H

#include <stdint.h>
#include <string.h>

static inline void stream_fill(uint8_t *p, size_t n, const char *mark, uint32_t which, uint64_t at) {
  uint8_t block[64];
  for (size_t done = 0; done < n;) {
    uint64_t number = (at + done) / 64;
    size_t off = (at + done) % 64, len = 64 - off < n - done ? 64 - off : n - done;
    memset(block, '.', sizeof block);
    memcpy(block, mark, strlen(mark) < 52 ? strlen(mark) : 52);
    memcpy(block + 52, &which, 4);
    memcpy(block + 56, &number, 8);
    memcpy(p + done, block + off, len);
    done += len;
  }
}

#endif
