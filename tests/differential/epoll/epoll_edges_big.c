/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Do edges lead a non-blocking loop through large writes and reads, with none missing?") {
  edge_both_ways(200000, 65536);
}
