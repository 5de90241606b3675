/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

SCENARIO("Does a new image accept on the listener it inherited?") { serve_image(EXECVE); }
