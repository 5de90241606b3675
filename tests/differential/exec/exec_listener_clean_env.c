/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("The same with an empty environment") { serve_image(EXECVE_EMPTY); }
