/* SPDX-License-Identifier: Apache-2.0 */
/*
 * svidwrap.h - for programs that want to know who is at the other end.
 *
 * The functions are exported by libsvidwrap.so. A program that may also run without it declares them
 * weak, or looks them up with dlsym(RTLD_DEFAULT, "svidwrap_peer_id").
 */
#ifndef SVIDWRAP_SVIDWRAP_H
#define SVIDWRAP_SVIDWRAP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The SPIFFE ID of the peer on an authenticated connection, NUL-terminated, in buf of len bytes (2049
 * hold any). Returns its length without the NUL; -1 and errno: ENOTCONN (not a connection that svidwrap
 * protects), ERANGE (len is too small). */
int svidwrap_peer_id(int fd, char *buf, size_t len);

/* The version of the loaded shim, a static string. */
const char *svidwrap_version(void);

#ifdef __cplusplus
}
#endif
#endif
