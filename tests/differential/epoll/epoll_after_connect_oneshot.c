/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("The same, one-shot") { after_connect(EPOLLONESHOT); }
