/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("The same with small reads") { huge_one_way(2000000, 2000000, 1000); }
