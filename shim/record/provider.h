/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider.h - what libcrypto leaves undone until the shim makes its first keys (provider.c).
 */
#ifndef SHIM_RECORD_PROVIDER_H
#define SHIM_RECORD_PROVIDER_H

/* Before the first call of libcrypto that computes anything: from here on it may look at the processor. */
void record_provider_wanted(void);

#endif
