/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("The same with sizes around the record's") { edge_both_ways(16385, 16384); }
