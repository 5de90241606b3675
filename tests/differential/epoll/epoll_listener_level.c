/* SPDX-License-Identifier: Apache-2.0 */
#include "epoll.h"

SCENARIO("Does a level-triggered listener announce every client?") { accept_by_epoll(0); }
