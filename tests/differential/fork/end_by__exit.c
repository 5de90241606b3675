/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Does _exit() end it as natively?") { end_by(1); }
