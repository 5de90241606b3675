/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.h - managed connects that go out in plaintext, because their rule says so: mode off and staged, and those
 * that a canary leaves out. It never decides for plaintext because something failed.
 */
#ifndef SHIM_PLAIN_H
#define SHIM_PLAIN_H

#include "svidwrap/rules.h"
#include "svidwrap/wire.h"

#include <stdbool.h>

/* Per-number flag (beside FDF_*): a connect() of this number was let through in plaintext. What the program asks
 * about it again (connect() once more, to see whether it is through) is the kernel's to answer, whatever the rules
 * say by then. */
#define FDF_PLAIN 0x80

/* 0: by mTLS; else enum wire_plain_why. Ask once for a connection: a canary draws lots. */
uint32_t plain_why(const struct rules_entry *rule);

/* Did it go out in plaintext, and is it connecting or connected still? */
bool plain_under_way(int fd);

/* Before it goes out, where there has to be an audit line (RULES_AUDITED): 0, or -1 and ECONNREFUSED after a line in
 * the log. Asks nobody elsewhere. */
int plain_ask(int fd, const struct rules_entry *rule, uint32_t why, const struct sockaddr *dest, socklen_t len,
              const struct rules_hosts *hosts);
/* For the daemon's audit log and counters, and so that it ends with its rule. Waits for no answer; where the daemon
 * cannot be told there is a line in the log, and the connection goes on. errno stays as it is. */
void plain_tell(int fd, const struct rules_entry *rule, uint32_t why, const struct sockaddr *dest, socklen_t len,
                const struct rules_hosts *hosts);

/* The whole of connect() for one of these. */
int plain_connect(int fd, const struct rules_entry *rule, uint32_t why, const struct sockaddr *dest, socklen_t len,
                  const struct rules_hosts *hosts);

#endif
