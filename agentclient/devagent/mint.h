/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mint.h - an SVID as files, for test peers that speak no Workload API.
 */
#ifndef DEVAGENT_MINT_H
#define DEVAGENT_MINT_H

#include <stddef.h>
#include <stdint.h>

/* Asks a running agent for an SVID and writes it to dir (made if need be): svid.pem, key.pem, bundle.pem.
 * Returns a sysexits code and a reason. */
int devagent_mint_remote(const char *socket_path, const char *spiffe_id, const char *dir, char *why, size_t why_len);
/* Writes the first SVID of a packed X509SVIDResponse to dir. 0, or -1 and a reason. */
int devagent_mint_write(const uint8_t *msg, size_t len, const char *dir, char *why, size_t why_len);

#endif
