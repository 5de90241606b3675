/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("The same with small reads") { edge_both_ways(100000, 4096); }
