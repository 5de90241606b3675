/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roots.h - trust bundles as files: PEM outside, concatenated DER inside (as the Workload API carries them).
 */
#ifndef DEVAGENT_ROOTS_H
#define DEVAGENT_ROOTS_H

#include <stddef.h>
#include <stdint.h>

/* Every certificate of a PEM file as DER, one after another; malloc()ed. 0, or -1 and a reason. */
int devagent_roots_read(const char *file, uint8_t **der, size_t *len, char *why, size_t why_len);
/* The reverse: PEM of concatenated DER certificates; malloc()ed, NULL when it is not that. */
char *devagent_roots_pem(const uint8_t *der, size_t len, size_t *pem_len);
/* Writes a file in one step: no reader ever sees half of it. 0, or -1 and errno. */
int devagent_file_replace(const char *file, const void *data, size_t len, unsigned mode);

#endif
