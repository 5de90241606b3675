/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_cursor.c - a position in the program's buffers: read()'s one, readv()'s many, or none (MSG_TRUNC).
 */
#include "conn_int.h"

#include <string.h>

int conn_cursor_init(struct conn_cursor *cur, const struct iovec *iov, int iovcnt) {
  const size_t most = 0x7ffff000; /* MAX_RW_COUNT */
  if (iovcnt < 0 || iovcnt > 1024)
    return -EINVAL;
  *cur = (struct conn_cursor){.iov = iov, .cnt = iovcnt};
  for (int i = 0; i < iovcnt; i++) {
    if (iov[i].iov_len > SSIZE_MAX)
      return -EINVAL;
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
