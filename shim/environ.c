/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environ.c - the environment as it was when the program started.
 *
 * Programs empty their environment (nginx, inetd) or overwrite it in place (setproctitle). What svidwrap
 * lives by is copied in the constructor, into static memory, and put back into every new image.
 */
#include "environ.h"

#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEEP_BYTES 16384

#define LIBRARY "libsvidwrap.so"
#define PRELOAD "LD_PRELOAD="

static char own[4096]; /* our own element of LD_PRELOAD, as it led to us; "" where something else did */
static char kept[KEEP_BYTES];
static size_t kept_used;
static char *entries[SESSION_ENV_MAX];
static size_t entry_count;
static struct lock save_lock;
static _Atomic bool saved;

static bool wanted(const char *entry) {
  return strncmp(entry, "SVIDWRAP_", 9) == 0 || strncmp(entry, "SPIFFE_ENDPOINT_SOCKET=", 23) == 0;
}

/* The length of "NAME=". */
static size_t name_length(const char *entry) {
  const char *eq = strchr(entry, '=');
  return eq ? (size_t)(eq - entry) + 1 : strlen(entry);
}

/* Our element of a list; NULL: it does not name us. */
static const char *our_element(const char *list, size_t *len) {
  for (const char *s = list; s && *(s += strspn(s, ": ")); s += *len) {
    *len = strcspn(s, ": ");
    size_t n = sizeof LIBRARY - 1;
    if (*len >= n && memcmp(s + *len - n, LIBRARY, n) == 0 && (*len == n || s[*len - n - 1] == '/'))
      return s;
  }
  return NULL;
}

static const char *preload_of(char *const envp[]) {
  for (; envp && *envp; envp++) {
    if (strncmp(*envp, PRELOAD, sizeof PRELOAD - 1) == 0)
      return *envp + sizeof PRELOAD - 1;
  }
  return NULL;
}

static void save(char **envp) {
  size_t len = 0;
  const char *us = our_element(preload_of(envp), &len);
  if (us && len < sizeof own)
    memcpy(own, us, len); /* the rest is zero */
  for (; envp && *envp && entry_count + 2 < SESSION_ENV_MAX; envp++) {
    size_t n = strlen(*envp) + 1;
    if (!wanted(*envp) || n > KEEP_BYTES - kept_used)
      continue;
    memcpy(kept + kept_used, *envp, n);
    entries[entry_count++] = kept + kept_used;
    kept_used += n;
  }
}

void environ_save(char **envp) {
  lock_signals signals;
  lock_take(&save_lock, &signals);
  if (!saved)
    save(envp);
  saved = true;
  lock_drop(&save_lock, &signals);
}

/* Constructors of the libraries that a program is linked with run before ours, and may connect. */
static void be_saved(void) {
  if (!saved && environ)
    environ_save(environ);
}

const char *environ_get(const char *name) {
  be_saved();
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

size_t environ_preload_size(char *const envp[]) {
  be_saved();
  const char *theirs = preload_of(envp);
  return sizeof PRELOAD + strlen(own) + 1 + (theirs ? strlen(theirs) : 0);
}

/* We come back; what the program wants preloaded stays. Sanitizers insist on being first. */
static void put_back(const char *theirs, char *preload) {
  bool first = theirs && (strstr(theirs, "libasan.so") || strstr(theirs, "libtsan.so"));
  char *end = stpcpy(preload, PRELOAD);
  if (first)
    end = stpcpy(stpcpy(end, theirs), ":");
  end = stpcpy(end, own);
  if (!first && theirs && *theirs)
    stpcpy(stpcpy(end, ":"), theirs);
}

static bool has(char *const *list, size_t count, const char *entry) {
  size_t n = name_length(entry);
  for (size_t i = 0; i < count; i++)
    if (strncmp(list[i], entry, n) == 0)
      return true;
  return false;
}

char **session_environment(char *const envp[], char **out, char *preload) {
  size_t count = environ_count(envp), used = 0, len;
  const char *theirs = preload_of(envp);
  bool gone = *own && !our_element(theirs, &len), complete = !gone;
  for (size_t i = 0; i < entry_count && complete; i++)
    complete = has(envp, count, entries[i]);
  if (complete)
    return (char **)(uintptr_t)envp;
  for (size_t i = 0; i < count; i++)
    if (!gone || strncmp(envp[i], PRELOAD, sizeof PRELOAD - 1) != 0)
      out[used++] = envp[i];
  count = used;
  for (size_t i = 0; i < entry_count; i++)
    if (!has(out, count, entries[i]))
      out[used++] = entries[i];
  if (gone) {
    put_back(theirs, preload);
    out[used++] = preload;
  }
  out[used] = NULL;
  return out;
}

const char *environ_unreachable(char *const envp[], char *path, size_t size) {
  size_t len;
  const char *us = our_element(preload_of(envp), &len);
  if (!us || len >= size || !memchr(us, '/', len))
    return NULL; /* not by LD_PRELOAD, or where the loader looks for it */
  memcpy(path, us, len);
  path[len] = '\0';
  int keep = errno;
  bool there = faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
  errno = keep;
  return there ? NULL : path;
}

void environ_each(bool (*fn)(const char *entry, void *arg), void *arg) {
  be_saved();
  for (size_t i = 0; i < entry_count; i++) {
    if (!fn(entries[i], arg))
      return;
  }
}
