/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.c - --agent; see agent.h.
 */
#include "agent.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* A plain path becomes unix:///..., so that $SPIFFE_ENDPOINT_SOCKET holds what the standard wants: what a URI
 * gives a meaning to is escaped. */
static void path_to_uri(const char *cwd, const char *path, char *uri, size_t size) {
  const char *parts[] = {cwd, *cwd ? "/" : "", path};
  size_t at = (size_t)snprintf(uri, size, "unix://");
  for (size_t i = 0; i < 3; i++)
    for (const char *s = parts[i]; *s && at + 4 < size; s++)
      at += (size_t)snprintf(uri + at, size - at, strchr("%?#", *s) ? "%%%02x" : "%c", *s);
}

int agent_to_environment(const char *agent) {
  char cwd[PATH_MAX] = "", text[2 * PATH_MAX];
  if (strncmp(agent, "unix:", 5) == 0 || strncmp(agent, "tcp:", 4) == 0) {
    snprintf(text, sizeof text, "%s", agent);
  } else if (agent[0] != '/' && !getcwd(cwd, sizeof cwd)) {
    fprintf(stderr, "svidwrap: the working directory: %s\n", strerror(errno));
    return EX_OSERR;
  } else {
    path_to_uri(cwd, agent, text, sizeof text);
  }
  if (setenv("SPIFFE_ENDPOINT_SOCKET", text, 1) == 0)
    return EX_OK;
  fprintf(stderr, "svidwrap: %s\n", strerror(errno));
  return EX_OSERR;
}
