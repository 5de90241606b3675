/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("The same, edge-triggered") { before_connect(EPOLLET); }
