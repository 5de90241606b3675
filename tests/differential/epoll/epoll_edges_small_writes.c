/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("The same with small writes") { edge_both_ways(1000, 65536); }
