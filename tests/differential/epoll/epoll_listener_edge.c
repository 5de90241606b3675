/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Does an edge-triggered listener announce every client?") { accept_by_epoll(EPOLLET); }
