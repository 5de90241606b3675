/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program_cache.c - /etc/ld.so.cache: where the loader finds libraries by name. The format is glibc's own: a head
 * "glibc-ld.so.cache1.1", entries of 24 bytes with offsets of strings from that head, then the strings; before
 * glibc 2.32 ldconfig put an older table in front. Nothing in it is trusted.
 */
#include "program_elf_int.h"

#include "program.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE     "/etc/ld.so.cache"
#define CACHE_MAX (16u << 20)

static const char old_magic[] = "ld.so-1.7.0", new_magic[] = "glibc-ld.so.cache1.1";

struct old_head {
  char magic[sizeof old_magic - 1];
  uint32_t count; /* of entries of 12 bytes */
};
struct new_head {
  char magic[sizeof new_magic - 1];
  uint32_t count, strings;
  uint32_t other[5];
};
struct new_entry {
  int32_t flags;
  uint32_t key, value, os;
  uint64_t hwcap;
};

static char *load(size_t *len) {
  struct stat st;
  char *data = NULL;
  int fd = open(CACHE, O_RDONLY | O_CLOEXEC);
  if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < (off_t)CACHE_MAX)
    data = malloc((size_t)st.st_size + 1);
  if (data) {
    *len = elf_get_some(fd, 0, data, (size_t)st.st_size);
    data[*len] = '\0'; /* every string ends somewhere */
  }
  if (fd >= 0)
    close(fd);
  return data;
}

/* The new table: behind an old one, or at once. */
static const char *table(const char *data, size_t len, size_t *left) {
  size_t at = 0;
  if (len >= sizeof(struct old_head) && memcmp(data, old_magic, sizeof old_magic - 1) == 0) {
    struct old_head head;
    memcpy(&head, data, sizeof head);
    at = (sizeof head + (size_t)head.count * 12 + 7) & ~(size_t)7;
  }
  if (at > len || len - at < sizeof(struct new_head) || memcmp(data + at, new_magic, sizeof new_magic - 1) != 0)
    return NULL;
  *left = len - at;
  return data + at;
}

bool program_cache_find(const char *name, bool (*take)(void *arg, const char *path), void *arg) {
  static char *data; /* read once */
  static size_t len;
  size_t left = 0;
  struct new_head head;
  if (!data)
    data = load(&len);
  const char *at = data ? table(data, len, &left) : NULL;
  if (!at)
    return false;
  memcpy(&head, at, sizeof head);
  for (uint32_t i = 0; i < head.count && sizeof head + ((size_t)i + 1) * sizeof(struct new_entry) <= left; i++) {
    struct new_entry entry;
    memcpy(&entry, at + sizeof head + (size_t)i * sizeof entry, sizeof entry);
    if (entry.key < left && entry.value < left && strcmp(at + entry.key, name) == 0 && take(arg, at + entry.value))
      return true;
  }
  return false;
}
