/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect.c - the connect() hook. What is no TCP destination leaves at once; the pending module decides
 * about the rest.
 */
#include "../libc.h"
#include "../pending.h"

HOOK int connect(int fd, const struct sockaddr *sa, socklen_t len) { return pending_hook_connect(fd, sa, len); }
