/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending_fakes.h - what the tests of pending connects put in place of the daemon, the session and the
 * record engine: a daemon that answers as it is told, on a real SEQPACKET socket.
 */
#ifndef PENDING_FAKES_H
#define PENDING_FAKES_H

#include "fdtab.h"
#include "libc.h"
#include "pending.h"
#include "svidwrap/wire.h"

#include <netinet/in.h>
#include <stdatomic.h>

#define WAIT_MS 20000 /* for what must come; nothing is concluded from how long it took */

/* What the daemon does with WIRE_CONNECT. */
enum fake_answer {
  FAKE_OK,          /* at once */
  FAKE_HOLD,        /* nothing, until fake_release() */
  FAKE_REFUSE,      /* WIRE_REFUSED, fake_errno */
  FAKE_DIE,         /* closes the connection unanswered */
  FAKE_FORGETFUL,   /* WIRE_UNKNOWN_SESSION the first time, then OK */
  FAKE_NEEDS_AGENT, /* WIRE_NEED_AGENT the first time, then OK */
  FAKE_STUBBORN,    /* WIRE_UNKNOWN_SESSION every time */
  FAKE_GARBAGE,     /* a message that is no answer */
  FAKE_LIAR,        /* WIRE_TCP_FAILED although TCP is up */
  FAKE_LOOK_AGAIN,  /* WIRE_BAD_REQUEST the first time, then OK */
  FAKE_CONTRARY,    /* WIRE_BAD_REQUEST every time */
};
extern _Atomic int fake_answer, fake_errno;
extern _Atomic int fake_asked;    /* WIRE_CONNECTs so far */
extern _Atomic int fake_answered; /* those that have their answer, or none any more */
extern _Atomic int fake_hellos, fake_agents;
extern _Atomic int fake_gone;  /* held connections whose shim let go of the reply socket */
void fake_release(int answer); /* what is held is answered so */
void fake_reset(int answer);

/* Managed are destinations whose port is one of these, by this rule; enforce after fake_reset(). */
extern in_port_t fake_managed[4];
extern struct rules_entry fake_rule;
extern bool fake_refuses_plain; /* RULES_AUDITED: the daemon's answer */
/* When the daemon has been asked so often (0: never) the rule is this one. */
extern struct rules_entry fake_late;
extern int fake_late_at;
/* WIRE_PLAINs so far, of forked processes, too, and the last one. */
extern struct fake_told {
  _Atomic int count;
  struct wire_plain last;
} * fake_told;

/* A TCP server that accepts; one whose backlog is full, so that connect() stays in SYN_SENT; a closed port. */
struct fake_net {
  struct sockaddr_in open, stuck, closed;
  int open_fd, stuck_fd;
};
extern struct fake_net fake_net;
int fake_setup(void **state);

struct arena_slot *fake_last_slot(void);

/* Calls as a program makes them, through the hooks, or natively. */
struct fake_api {
  bool wrapped;
  int (*connect)(int, const struct sockaddr *, socklen_t);
  int (*poll)(struct pollfd *, nfds_t, int);
  int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
  int (*epoll_ctl)(int, int, int, struct epoll_event *);
  int (*epoll_wait)(int, struct epoll_event *, int, int);
};
extern const struct fake_api fake_native, fake_wrapped;
int fake_socket(const struct fake_api *api, bool nonblock);
int fake_close(const struct fake_api *api, int fd);
ssize_t fake_read(const struct fake_api *api, int fd, void *buf, size_t n);
ssize_t fake_write(const struct fake_api *api, int fd, const void *buf, size_t n);
int fake_so_error(const struct fake_api *api, int fd);
int fake_getpeername(const struct fake_api *api, int fd);
int fake_shutdown(const struct fake_api *api, int fd, int how);
pid_t fake_fork(void);
enum sock_kind fake_kind(int fd);

#endif
