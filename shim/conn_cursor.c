/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_cursor.c - a position in the program's buffers: read()'s one, readv()'s many, or none (MSG_TRUNC).
 */
#include "conn_int.h"

#include "conn_pages.h"

#include <string.h>

/* Above this there is no memory of a program's, but on machines with more levels of page tables. */
#define USER_TOP ((uintptr_t)1 << 47)

/* What the kernel looks at before anything else: is all of it below its own memory? */
static bool in_user_space(const struct iovec *v, size_t len) {
  uintptr_t base = (uintptr_t)v->iov_base, end = base + len;
  return end >= base && (end <= USER_TOP || pages_readable((const void *)(end - 1), 1) == 1);
}

int conn_cursor_init(struct conn_cursor *cur, const struct iovec *iov, int iovcnt) {
  const size_t most = 0x7ffff000; /* MAX_RW_COUNT */
  if (iovcnt < 0 || iovcnt > 1024)
    return -EINVAL;
  *cur = (struct conn_cursor){.iov = iov, .cnt = iovcnt};
  for (int i = 0; i < iovcnt; i++) {
    if (iov[i].iov_len > SSIZE_MAX)
      return -EINVAL;
    if (!in_user_space(&iov[i], iovcnt > 1 || iov[i].iov_len < most ? iov[i].iov_len : most))
      return -EFAULT;
    cur->left = iov[i].iov_len > most - cur->left ? most : cur->left + iov[i].iov_len;
  }
  return 0;
}

void conn_cursor_skip(struct conn_cursor *cur, size_t n) {
  cur->left -= n;
  while (n > 0 && cur->cnt > 0) {
    size_t here = cur->iov->iov_len - cur->off;
    if (n < here) {
      cur->off += n;
      return;
    }
    n -= here;
    cur->iov++;
    cur->cnt--;
    cur->off = 0;
  }
}

void conn_cursor_copy(struct conn_cursor *cur, const void *from, size_t n) {
  const uint8_t *p = from;
  if (cur->discard) {
    conn_cursor_skip(cur, n);
    return;
  }
  while (n > 0) {
    size_t here;
    void *to = conn_cursor_span(cur, &here);
    if (!to || here == 0)
      return;
    if (here > n)
      here = n;
    memcpy(to, p, here);
    conn_cursor_skip(cur, here);
    p += here;
    n -= here;
  }
}

/* Walks over the buffers in the next n bytes; look() tells how much of one is good. */
static size_t walk(const struct conn_cursor *cur, size_t n, size_t (*look)(const void *p, size_t n)) {
  size_t off = cur->off, good = 0;
  const struct iovec *v = cur->iov;
  for (int i = 0; i < cur->cnt && good < n; i++, v++, off = 0) {
    size_t here = v->iov_len - off < n - good ? v->iov_len - off : n - good;
    size_t have = here ? look((const uint8_t *)v->iov_base + off, here) : 0;
    good += have;
    if (have < here)
      break;
  }
  return good;
}

size_t conn_cursor_readable(const struct conn_cursor *cur, size_t n) { return walk(cur, n, pages_readable); }

bool conn_cursor_writable(const struct conn_cursor *cur, size_t n) {
  return cur->discard || walk(cur, n, pages_writable) == n;
}

static size_t ends(const void *p, size_t n) {
  const uint8_t *at = p;
  return pages_writable(at, 1) == 1 && pages_writable(at + n - 1, 1) == 1 ? n : 0;
}

bool conn_cursor_promising(const struct conn_cursor *cur, size_t n) {
  return cur->discard || walk(cur, n, ends) == n;
}
