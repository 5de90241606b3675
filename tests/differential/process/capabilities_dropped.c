/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <linux/capability.h>

static void become_powerless(void) {
  struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {{0}};
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  CALL(syscall(SYS_capset, &h, none));
  CALL(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

SCENARIO("A server of root's gives up all capabilities and is not dumpable any more: does it go on serving?") {
  pid_t kid = served_by(become_powerless, 3);
  for (int i = 0; i < 3; i++)
    use_server();
  child_status(kid);
}
