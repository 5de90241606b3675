/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.c - a JSON document in a memfd that nobody can change any more; see document.h.
 */
#include "document.h"
#include "memory.h"
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t len) {
  size_t done = 0;
  while (done < len) {
    ssize_t n = pwrite(fd, text + done, len - done, (off_t)done);
    if (n < 0 && errno != EINTR)
      return -1;
    done += n > 0 ? (size_t)n : 0;
  }
  return 0;
}

void document_answer(struct ctl *c, json_t *root) {
  char *text = root ? json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
  size_t len = text ? strlen(text) : 0;
  int fd = text ? memory_create("svidwrap-answer", len) : -1;
  json_decref(root);
  if (fd < 0 || write_all(fd, text, len) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    ctl_reply(c, WIRE_BUSY, ENOBUFS, "the daemon is out of memory or descriptors");
  } else {
    struct wire_reply r = {.status = WIRE_OK};
    message_header(&r.hdr, WIRE_REPLY, sizeof r);
    ctl_answer(c, &r, sizeof r, &fd, 1, false);
  }
  if (fd >= 0)
    close(fd);
  free(text);
}
