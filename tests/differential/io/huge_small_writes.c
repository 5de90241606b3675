/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("The same with small writes") { huge_one_way(2000000, 997, 65536); }
