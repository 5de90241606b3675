/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("What does a set report that had the socket before connect()?") { before_connect(0); }
