/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - what dev-agent.yaml says. A configuration is immutable once loaded; a reload makes a new one.
 */
#ifndef DEVAGENT_CONFIG_H
#define DEVAGENT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

struct devagent_entry {
  char *spiffe_id;
  char *hint;       /* "" where there is none */
  char **selectors; /* "unix:uid:0"; all of them must hold */
  size_t selector_count;
  int64_t ttl_s;
};

struct devagent_federation {
  char *trust_domain;
  uint8_t *bundle; /* DER certificates, one after another */
  size_t bundle_len;
};

struct devagent_config {
  char *trust_domain; /* "example.org" */
  int64_t svid_ttl_s;
  char *ca_cert, *ca_key; /* files of an outside CA; NULL: our own, in memory */
  struct devagent_entry *entries;
  size_t entry_count;
  struct devagent_federation *federation;
  size_t federation_count;
};

/* Reads the file; relative names in it are relative to its directory. NULL and "path:line:col: message". */
struct devagent_config *devagent_config_read(const char *path, char *why, size_t why_len);
/* The same for a text that is in memory already; path serves messages and relative names. */
struct devagent_config *devagent_config_parse(const char *path, const char *text, size_t len, char *why,
                                              size_t why_len);
/* What holds without a file: example.org, 1h, and spiffe://example.org/dev for one uid. */
struct devagent_config *devagent_config_default(unsigned uid);
void devagent_config_free(struct devagent_config *c);

/* "1h", "90s", "1h30m", "2d" in seconds; -1 when it is not a duration from 1 second to 10 years. */
int64_t devagent_duration(const char *text);

#endif
