/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("The same by vfork() and execve()") { serve_image(VFORK); }
