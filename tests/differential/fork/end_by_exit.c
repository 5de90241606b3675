/* SPDX-License-Identifier: Apache-2.0 */
#include "fork.h"

SCENARIO("Does exit() end the connection as natively?") { end_by(0); }
