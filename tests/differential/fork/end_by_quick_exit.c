/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Does quick_exit() end it as natively?") { end_by(3); }
