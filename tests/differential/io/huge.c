/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"

SCENARIO("Do megabytes pass unharmed?") { huge_one_way(16u << 20, 8u << 20, 1u << 20); }
