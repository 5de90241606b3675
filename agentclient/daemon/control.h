/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the daemon's own socket, and the connections that programs make to it.
 *
 * One message comes in on a connection, one goes out. Some connections then stay open as a sign of life. A
 * client that breaks the rules loses that connection and nothing else; how many one process or user may hold,
 * and how long it may keep silent, is bounded.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "svidwrap/wire.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/socket.h>

struct worker;
struct ctl;

/* A request that passed wire_check(). The handler takes descriptors by setting them to -1; the rest is closed
 * for it. It answers with ctl_answer() or ctl_reply(), now or later. */
typedef void (*ctl_handler)(struct ctl *c, const void *msg, size_t len, int fds[WIRE_FDS_MAX]);

struct ctl {
  TAILQ_ENTRY(ctl) link;
  struct worker *worker;
  int fd;
  struct ucred cred; /* SO_PEERCRED */
  bool asked;        /* the one message has come */
  uint32_t rings;    /* HELLO: WIRE_HELLO_RINGS */
  bool ending;       /* closes once the answer is out */
  unsigned heard;    /* control.rounds when control_hear() looked at it */
  struct event event;
  /* The client closed (or misbehaved). After it the connection is freed. */
  void (*hangup)(struct ctl *c, void *arg);
  void *arg;
  struct ctl_out *out; /* an answer that did not go out at the first try */
};
TAILQ_HEAD(ctl_list, ctl);

struct control {
  int fd;
  struct event event, timer;
  struct ctl_list all;
  unsigned count, silent;
  unsigned rounds;
  bool dispatching; /* a message is being looked at */
  uint64_t rejected, malformed;
};

/* Binds the daemon's name (without the leading NUL) and listens. 0; -1 and errno (EADDRINUSE: another one). */
int control_open(struct worker *w, const char *name);
/* The same with a socket that listens under that name already. -1: it does not. */
int control_adopt(struct worker *w, const char *name, int fd);
/* Takes new connections from now on. */
int control_start(struct worker *w);
/* Looks at every message that has come, on connections not accepted yet as well. A program may send and end: what it
 * said before its session's end counts, whatever the order in which we are told of the two. */
void control_hear(struct worker *w);
void control_close(struct worker *w); /* closes all connections, without calling hangup */

/* Answers. keep: the connection stays open, with hangup set by ctl_hold(); else it is closed, and c may be gone
 * when this returns. fds are not taken over. */
void ctl_answer(struct ctl *c, const void *msg, size_t len, const int *fds, int nfds, bool keep);
void ctl_hold(struct ctl *c, void (*hangup)(struct ctl *c, void *arg), void *arg);
void ctl_close(struct ctl *c);
/* A wire_reply with a text, and the connection closed behind it. */
void ctl_reply(struct ctl *c, enum wire_status status, int err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
