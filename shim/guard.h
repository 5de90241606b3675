/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - io_uring out of reach.
 *
 * A ring's connect and send pass every hook: they would leave in plaintext. A few BPF instructions answer
 * ENOSYS to its three system calls, which makes event loops fall back to epoll. Used by the shim and by `svidwrap
 * run`.
 */
#ifndef SHIM_GUARD_H
#define SHIM_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Installs the filter for all threads of the process and what it executes. Without no_new_privs it needs
 * CAP_SYS_ADMIN; set_no_new_privs sets that first. 0; or a negative errno and a reason (-EACCES: not allowed). */
int guard_install(bool set_no_new_privs, char *why, size_t why_len);
/* Is io_uring refused already, by this filter or a container's? */
bool guard_active(void);

#endif
