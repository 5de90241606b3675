/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops_stdio.c - streams of the C library on sockets: fdopen() of a second number, a few calls, fclose().
 *
 * What a stream read ahead goes with it: so much is told, and is gone from the connection. Not where a timer's
 * signals come: how far stdio gets when it is interrupted is open.
 */
#include "random.h"

/* p may be read in more than one way, and none of them stops at what the stream's bytes are. */
static long stream_in(FILE *f, uint8_t *p, uint32_t n, uint32_t how) {
  uint32_t got = 0;
  switch (how) {
  case 0:
    return (long)fread(p, 1, n, f);
  case 1:
    for (int c; got < n && (c = fgetc(f)) != EOF;)
      p[got++] = (uint8_t)c;
    return got;
  default: {
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while (got < n && (len = getdelim(&line, &room, '.', f)) > 0) { /* fillers: many */
      memcpy(p + got, line, (size_t)len);
      got += (uint32_t)len;
    }
    free(line);
    return got;
  }
  }
}

static long stream_out(FILE *f, const uint8_t *p, uint32_t n, uint32_t how) {
  uint32_t done = 0;
  switch (how) {
  case 0:
    return (long)fwrite(p, 1, n, f);
  case 1:
    while (done < n && fputc(p[done], f) != EOF)
      done++;
    return done;
  default: { /* "%c" for each of a few bytes, and "%.*s" up to the next zero byte */
    while (done < n) {
      int rc = p[done] ? fprintf(f, "%.*s", (int)(n - done), (const char *)p + done) : fprintf(f, "%c", 0);
      if (rc <= 0)
        break;
      done += (uint32_t)rc;
    }
    return done;
  }
  }
}

static void reads(FILE *f, struct object *o, uint32_t how) {
  bool some = o->kind == K_CONN && unread(o) > 0;
  uint32_t most = some ? (uint32_t)unread(o) : 1 + draw(100), n = 1 + draw(most);
  if (how == 2 && o->kind == K_CONN && !o->nonblock) /* the delimiter may be further on */
    how = 0;
  uint8_t *buf = malloc(most + 9000);
  errno = 0;
  long rc = stream_in(f, buf, n, how);
  size_t ahead = (size_t)(f->_IO_read_end - f->_IO_read_ptr);
  say("  %u bytes by %u = %ld and %zu ahead%s%s %s", n, how, rc, ahead, feof(f) ? " EOF" : "",
      ferror(f) ? " ERROR" : "", ferror(f) ? strerrorname_np(errno) : "");
  if (o->kind == K_CONN) {
    uint64_t at = conn_of(o)->from[!o->side].got;
    if ((uint64_t)rc + ahead > unread(o))
      say("  MORE than was sent");
    else if (!same(buf, (size_t)rc, o, at) || !same(f->_IO_read_ptr, ahead, o, at + (uint64_t)rc))
      say("  WRONG BYTES");
    conn_got(o, (uint64_t)rc + ahead);
  }
  free(buf);
}

/* small: each byte may become a record of its own, and the socket holds so many of them at a time. */
static void writes(FILE *f, struct object *o, uint32_t how, bool small, int index) {
  uint32_t n = 1 + draw(small ? 100 : chance(60) ? 200 : 9000);
  uint8_t *buf = malloc(n + 1);
  fill(buf, n, o, o->kind == K_CONN ? conn_of(o)->from[o->side].sent : 0);
  buf[n] = 0;
  errno = 0;
  long rc = stream_out(f, buf, n, how);
  int flushed = fflush(f);
  say("  %u bytes by %u = %ld, %d%s %s", n, how, rc, flushed, ferror(f) ? " ERROR" : "",
      ferror(f) ? strerrorname_np(errno) : "");
  if (o->kind == K_CONN && flushed == 0 && rc > 0) {
    conn_sent(o, (uint64_t)rc);
    published(index);
  }
  free(buf);
}

/* Not "a": that sets O_APPEND, with which the kernel refuses sendfile() and splice(); ours do them. */
static void op_stdio(void) {
  static const char *const modes[] = {"r", "w", "r+", "w+"};
  int i = pick_quiet(chance(90) ? K_CONN : K_SOCKET);
  uint32_t mode = draw(4), how = draw(3), buffer = draw(4);
  static char room[4096];
  if (i < 0 || me->noise || me->count > NUMBERS - 4)
    return;
  struct object *o = object_of(i);
  bool write = mode == 1 || (mode >= 2 && chance(50));
  settle(i);
  /* One write a stream: after a reset it is open which of several meets it. */
  if (o->kind == K_CONN && (unread(o) > EXACT || outstanding(o) > EXACT || reader_at(o) || peer_takes_none(o)))
    return;
  if (!write && would_block(o) && !o->nonblock)
    return;
  int fd = dup(me->table[i].fd);
  FILE *f = fdopen(fd, modes[mode]);
  say(" fdopen(%d, %s) = %s, buffer %u", fd, modes[mode], f ? "a stream" : strerrorname_np(errno), buffer);
  if (!f) {
    close(fd);
    return;
  }
  if (buffer == 1)
    setvbuf(f, NULL, _IONBF, 0);
  else if (buffer == 2)
    setvbuf(f, room, _IOFBF, 100 + draw(3900));
  else if (buffer == 3)
    setvbuf(f, NULL, _IOLBF, 0);
  say("  fileno %d", fileno(f));
  if (write)
    writes(f, o, how, buffer == 1 && how != 0, i);
  else
    reads(f, o, how);
  errno = 0;
  long rc = fclose(f);
  say("  fclose = %s", answer(rc, errno));
}

const struct op ops_stdio[] = {{"stdio", op_stdio, 40, F_IO, false}, {0}};
