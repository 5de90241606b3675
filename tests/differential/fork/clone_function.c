/* SPDX-License-Identifier: Apache-2.0 */
#include "clone.h"

static char stack[256 << 10] __attribute__((aligned(16)));

static pid_t by_function(struct served *v) { return clone(serve_one, stack + sizeof stack, SIGCHLD, v); }

SCENARIO("Is a child made by clone() a holder of its own?") { children_by(by_function); }
