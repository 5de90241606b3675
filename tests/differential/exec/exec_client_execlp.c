/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("The same by execlp()") { client_image(EXECLP); }
