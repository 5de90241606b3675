/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alert.h - alerts after the handshake, for the audit log (see alert.c).
 */
#ifndef SHIM_ALERT_H
#define SHIM_ALERT_H

/* Once, in the constructor. */
void alert_init(void);

#endif
