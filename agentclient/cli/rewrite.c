/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.c - a temporary file beside the old one, synced, then renamed over it.
 */
#include "rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TEXT_MAX (1024 * 1024)

static int fail(const struct rewrite *r, const char *what, char *why, size_t why_len) {
  snprintf(why, why_len, "%.300s: %s: %s", r->path, what, strerror(errno));
  return -1;
}

static int read_text(struct rewrite *r, char *why, size_t why_len) {
  int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat(fd, &r->st) != 0)
    goto fail;
  if (!S_ISREG(r->st.st_mode) || r->st.st_size > TEXT_MAX) {
    errno = S_ISREG(r->st.st_mode) ? EFBIG : EINVAL;
    goto fail;
  }
  size_t size = (size_t)r->st.st_size, have = 0;
  r->text = calloc(1, size + 1);
  while (r->text && have < size) {
    ssize_t n = read(fd, r->text + have, size - have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    have += (size_t)n;
  }
  if (!r->text || have < size || strlen(r->text) != size)
    goto fail;
  close(fd);
  return 0;
fail:
  fail(r, "cannot be read", why, why_len);
  if (fd >= 0)
    close(fd);
  return -1;
}

/* Labels and access lists, where they can be had. */
static void copy_attributes(const struct rewrite *r) {
  char names[4096], value[4096];
  ssize_t len = listxattr(r->path, names, sizeof names);
  for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1) {
    ssize_t n = getxattr(r->path, names + at, value, sizeof value);
    if (n >= 0)
      fsetxattr(r->fd, names + at, value, (size_t)n, 0);
  }
}

int rewrite_begin(struct rewrite *r, const char *path, char *why, size_t why_len) {
  char copy[PATH_MAX], copy2[PATH_MAX];
  *r = (struct rewrite){.fd = -1};
  snprintf(r->path, sizeof r->path, "%s", path);
  if (!realpath(path, copy)) /* which leaves a part of a path there when it fails */
    return fail(r, "cannot be found", why, why_len);
  snprintf(r->path, sizeof r->path, "%s", copy);
  if (read_text(r, why, why_len) != 0)
    return -1;
  snprintf(copy, sizeof copy, "%s", r->path);
  snprintf(copy2, sizeof copy2, "%s", r->path);
  if (snprintf(r->temp, sizeof r->temp, "%s/.%s.XXXXXX", dirname(copy), basename(copy2)) >= (int)sizeof r->temp) {
    errno = ENAMETOOLONG;
    r->temp[0] = '\0';
    return fail(r, "cannot be replaced", why, why_len);
  }
  r->fd = mkostemp(r->temp, O_CLOEXEC);
  if (r->fd < 0) {
    r->temp[0] = '\0';
    return fail(r, "cannot be replaced", why, why_len);
  }
  copy_attributes(r);
  if ((fchown(r->fd, r->st.st_uid, r->st.st_gid) != 0 && (r->st.st_uid != geteuid() || r->st.st_gid != getegid())) ||
      fchmod(r->fd, r->st.st_mode & 07777) != 0)
    return fail(r, "cannot be replaced by a file of the same owner", why, why_len);
  return 0;
}

static int write_text(int fd, const char *text) {
  size_t left = strlen(text);
  while (left) {
    ssize_t n = write(fd, text, left);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return -1;
    text += n;
    left -= (size_t)n;
  }
  return fsync(fd);
}

static void sync_directory(const char *path) {
  char copy[PATH_MAX];
  snprintf(copy, sizeof copy, "%s", path);
  int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
}

int rewrite_commit(struct rewrite *r, const char *text, char *why, size_t why_len) {
  struct stat now;
  if (write_text(r->fd, text) != 0)
    return fail(r, "cannot be replaced", why, why_len);
  if (stat(r->path, &now) != 0 || now.st_ino != r->st.st_ino || now.st_size != r->st.st_size ||
      now.st_mtim.tv_sec != r->st.st_mtim.tv_sec || now.st_mtim.tv_nsec != r->st.st_mtim.tv_nsec) {
    snprintf(why, why_len, "%.300s: somebody else changes it at the same time", r->path);
    return -1;
  }
  if (rename(r->temp, r->path) != 0)
    return fail(r, "cannot be replaced", why, why_len);
  r->temp[0] = '\0';
  sync_directory(r->path);
  return 0;
}

void rewrite_end(struct rewrite *r) {
  if (r->temp[0])
    unlink(r->temp);
  if (r->fd >= 0)
    close(r->fd);
  free(r->text);
  *r = (struct rewrite){.fd = -1};
}
