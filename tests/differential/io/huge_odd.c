/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("The same with odd sizes") { huge_one_way(5000001, 1000003, 16385); }
