/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.c - remembers which names the program resolved to which addresses.
 *
 * It lies in .bss: no call can fail for want of memory, and a process that resolves nothing pays nothing.
 */
#include "hosts.h"

#include "lock.h"

#include <arpa/inet.h>
#include <string.h>

struct name {
  uintptr_t by; /* the thread that asked */
  char text[HOSTS_NAME];
};

static struct {
  struct lock lock;
  uint32_t count;
  uint64_t clock;
  uint32_t judged; /* generation of the rules for which `ruled` was found */
  uint8_t addr[HOSTS_ADDRESSES][16];
  uint64_t used[HOSTS_ADDRESSES]; /* when it was recorded or looked up last */
  bool ruled[HOSTS_ADDRESSES];    /* a connect rule has one of its names */
  uint8_t names[HOSTS_ADDRESSES];
  struct name name[HOSTS_ADDRESSES][RULES_HOSTS_MAX]; /* the newest first */
} hosts;

static const struct rules_table *_Atomic rules;
static _Thread_local char here; /* its address tells threads apart */

/* -- names -- */

bool hosts_name(const char *asked, char name[HOSTS_NAME]) {
  struct in_addr in;
  size_t n = asked ? strnlen(asked, HOSTS_NAME + 1) : 0;
  if (n && asked[n - 1] == '.')
    n--;
  if (n == 0 || n >= HOSTS_NAME || strchr(asked, ':') || inet_aton(asked, &in))
    return false;
  for (size_t i = 0; i < n; i++) {
    if ((unsigned char)asked[i] <= ' ' || asked[i] == 0x7f) /* the daemon takes no such name from anybody */
      return false;
    name[i] = (char)(asked[i] >= 'A' && asked[i] <= 'Z' ? asked[i] - 'A' + 'a' : asked[i]);
  }
  name[n] = 0;
  return true;
}

/* May be wrong while the daemon rewrites the table: it decides about what is forgotten first, nothing else. */
static bool in_rules(const struct rules_table *t, const char *name) {
  for (uint32_t i = 0; t && i < t->count && i < RULES_MAX; i++) {
    uint32_t host = t->entry[i].host;
    if (host && host <= RULES_NAMES - HOSTS_NAME && strncmp(t->names + host - 1, name, HOSTS_NAME) == 0)
      return true;
  }
  return false;
}

static void judge(uint32_t at) {
  hosts.ruled[at] = false;
  for (unsigned i = 0; i < hosts.names[at] && !hosts.ruled[at]; i++)
    hosts.ruled[at] = in_rules(atomic_load(&rules), hosts.name[at][i].text);
}

static void judge_all(bool anew) {
  const struct rules_table *t = atomic_load(&rules);
  uint32_t generation = t ? atomic_load(&t->generation) : 0;
  if (generation == hosts.judged && !anew)
    return;
  hosts.judged = generation;
  for (uint32_t i = 0; i < hosts.count; i++)
    judge(i);
}

void hosts_rules(const struct rules_table *table) {
  lock_signals saved;
  lock_take(&hosts.lock, &saved);
  atomic_store(&rules, table);
  judge_all(true);
  lock_drop(&hosts.lock, &saved);
}

/* -- addresses -- */

static uint32_t find(const uint8_t addr[16]) {
  uint32_t i = 0;
  while (i < hosts.count && memcmp(hosts.addr[i], addr, 16) != 0)
    i++;
  return i;
}

/* The one that was not needed for longest, of those that no rule asks for if there is one. */
static uint32_t oldest(void) {
  uint32_t at = 0;
  judge_all(false);
  for (uint32_t i = 1; i < HOSTS_ADDRESSES; i++)
    if (hosts.ruled[i] != hosts.ruled[at] ? hosts.ruled[at] : hosts.used[i] < hosts.used[at])
      at = i;
  return at;
}

static uint32_t place(const uint8_t addr[16]) {
  uint32_t at = find(addr);
  if (at < hosts.count)
    return at;
  if (hosts.count < HOSTS_ADDRESSES)
    hosts.count++;
  else
    at = oldest();
  memcpy(hosts.addr[at], addr, 16);
  hosts.names[at] = 0;
  return at;
}

/* Puts the name first. A fifth one pushes out the oldest, of those that no rule has if there is one. */
static void add(uint32_t at, const char *name) {
  struct name *list = hosts.name[at];
  unsigned i = 0, n = hosts.names[at];
  while (i < n && strcmp(list[i].text, name) != 0)
    i++;
  if (i == RULES_HOSTS_MAX)
    for (i = n - 1; i > 0 && in_rules(atomic_load(&rules), list[i].text);)
      i--;
  else if (i == n)
    hosts.names[at]++;
  memmove(list + 1, list, i * sizeof *list);
  list[0].by = (uintptr_t)&here;
  memset(list[0].text, 0, sizeof list[0].text);
  memcpy(list[0].text, name, strnlen(name, HOSTS_NAME - 1));
  hosts.used[at] = ++hosts.clock;
  judge(at);
}

void hosts_record(const char *name, int family, const void *addr) {
  uint8_t key[16] = {[10] = 0xff, [11] = 0xff};
  if (family == AF_INET)
    memcpy(key + 12, addr, 4);
  else if (family == AF_INET6)
    memcpy(key, addr, 16);
  else
    return;
  lock_signals saved;
  lock_take(&hosts.lock, &saved);
  add(place(key), name);
  lock_drop(&hosts.lock, &saved);
}

void hosts_lookup(const uint8_t addr[16], struct rules_hosts *out) {
  lock_signals saved;
  memset(out, 0, sizeof *out); /* all of it travels to the daemon */
  lock_take(&hosts.lock, &saved);
  uint32_t at = find(addr);
  if (at < hosts.count) {
    unsigned mine = 0, n = hosts.names[at];
    while (mine < n && hosts.name[at][mine].by != (uintptr_t)&here)
      mine++;
    if (mine < n)
      memcpy(out->name[out->count++], hosts.name[at][mine].text, HOSTS_NAME);
    for (unsigned i = 0; i < n; i++)
      if (i != mine)
        memcpy(out->name[out->count++], hosts.name[at][i].text, HOSTS_NAME);
    hosts.used[at] = ++hosts.clock;
  }
  lock_drop(&hosts.lock, &saved);
}

/* -- fork -- */

static lock_signals fork_signals; /* only while the lock is held */

void hosts_before_fork(void) {
  lock_signals saved;
  lock_take(&hosts.lock, &saved);
  fork_signals = saved;
}

void hosts_after_fork_parent(void) {
  lock_signals saved = fork_signals;
  lock_drop(&hosts.lock, &saved);
}

void hosts_after_fork_child(void) {
  lock_signals saved = fork_signals;
  lock_reset(&hosts.lock);
  lock_signals_restore(&saved);
}
