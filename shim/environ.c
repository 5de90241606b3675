/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environ.c - the environment as it was when the program started.
 *
 * Programs empty their environment (nginx, inetd) or overwrite it in place (setproctitle). What svidwrap
 * lives by is copied in the constructor, into static memory, and put back into every new image.
 */
#include "environ.h"

#include <stdio.h>
#include <string.h>

#define KEEP_BYTES 16384

static char kept[KEEP_BYTES];
static size_t kept_used;
static char *entries[SESSION_ENV_MAX];
static size_t entry_count;

static bool wanted(const char *entry) {
  return strncmp(entry, "SVIDWRAP_", 9) == 0 || strncmp(entry, "LD_PRELOAD=", 11) == 0 ||
         strncmp(entry, "SPIFFE_ENDPOINT_SOCKET=", 23) == 0;
}

/* The length of "NAME=". */
static size_t name_length(const char *entry) {
  const char *eq = strchr(entry, '=');
  return eq ? (size_t)(eq - entry) + 1 : strlen(entry);
}

void environ_save(char **envp) {
  for (; envp && *envp && entry_count + 2 < SESSION_ENV_MAX; envp++) {
    size_t n = strlen(*envp) + 1;
    if (!wanted(*envp) || n > KEEP_BYTES - kept_used)
      continue;
    memcpy(kept + kept_used, *envp, n);
    entries[entry_count++] = kept + kept_used;
    kept_used += n;
  }
}

const char *environ_get(const char *name) {
  size_t n = strlen(name);
  for (size_t i = 0; i < entry_count; i++) {
    if (strncmp(entries[i], name, n) == 0 && entries[i][n] == '=')
      return entries[i] + n + 1;
  }
  return NULL;
}

void environ_drop(const char *name) {
  size_t n = strlen(name);
  for (size_t i = 0; i < entry_count; i++) {
    if (strncmp(entries[i], name, n) == 0 && entries[i][n] == '=') {
      entries[i] = entries[--entry_count];
      return;
    }
  }
}

size_t environ_count(char *const envp[]) {
  size_t n = 0;
  while (envp && envp[n])
    n++;
  return n;
}

static const char *preload_of(char *const envp[]) {
  for (; envp && *envp; envp++) {
    if (strncmp(*envp, "LD_PRELOAD=", 11) == 0)
      return *envp + 11;
  }
  return NULL;
}

char **session_environment(char *const envp[], char **out) {
  bool complete = entry_count > 0;
  const char *ours = environ_get("LD_PRELOAD"), *theirs = preload_of(envp);
  /* A program that sets an LD_PRELOAD of its own which still names us is left alone. */
  bool preload_ok = !ours || (theirs && strstr(theirs, "libsvidwrap.so"));
  for (size_t i = 0; i < entry_count && complete; i++) {
    bool found = false;
    size_t n = name_length(entries[i]);
    for (char *const *e = envp; e && *e && !found; e++)
      found = strncmp(*e, entries[i], n) == 0;
    complete = found;
  }
  if (entry_count == 0 || (complete && preload_ok))
    return (char **)(uintptr_t)envp;

  size_t used = 0;
  for (char *const *e = envp; e && *e; e++) {
    if (preload_ok || strncmp(*e, "LD_PRELOAD=", 11) != 0)
      out[used++] = *e;
  }
  size_t theirs_end = used;
  for (size_t i = 0; i < entry_count; i++) {
    bool found = false;
    size_t n = name_length(entries[i]);
    for (size_t k = 0; k < theirs_end && !found; k++)
      found = strncmp(out[k], entries[i], n) == 0;
    if (!found)
      out[used++] = entries[i];
  }
  out[used] = NULL;
  return out;
}

void environ_each(bool (*fn)(const char *entry, void *arg), void *arg) {
  for (size_t i = 0; i < entry_count; i++) {
    if (!fn(entries[i], arg))
      return;
  }
}
