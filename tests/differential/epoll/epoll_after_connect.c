/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("What does a set report that gets the socket while connect() is in progress?") { after_connect(0); }
