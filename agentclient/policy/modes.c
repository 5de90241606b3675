/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modes.c - what staged migration asks of a policy: modes by name, a copy with another mode, addresses that stay in
 * plaintext, host names. It never widens who is allowed.
 */
#include "internal.h"

#include <stdio.h>

bool policy_plaintext_from(const struct policy *p, uint32_t rule, const struct sockaddr *peer, socklen_t len) {
  (void)p, (void)rule, (void)peer, (void)len;
  return false;
}

struct policy *policy_with_mode(const struct policy *p, const char *rule, enum rules_mode mode, uint32_t percent,
                                char *why, size_t why_len) {
  (void)p, (void)mode, (void)percent;
  snprintf(why, why_len, "%s: not available yet", rule);
  return NULL;
}

bool policy_host_at(const struct policy *p, size_t i, const char **name, uint32_t *rule) {
  (void)p, (void)i, (void)name, (void)rule;
  return false;
}
