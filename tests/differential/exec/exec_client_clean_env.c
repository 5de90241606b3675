/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("Is a new image with an empty environment still protected when it connects?") { client_image(EXECVE_EMPTY); }
