/* SPDX-License-Identifier: Apache-2.0 */
#include "stress.h"

SCENARIO("Do many threads connect at once?") { say("good %zu", with_threads(NULL)); }
