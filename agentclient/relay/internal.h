/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - one relayed connection, as its lane's thread sees it. For the files of this directory.
 */
#ifndef RELAY_INTERNAL_H
#define RELAY_INTERNAL_H

#include "relay.h"
#include "shim/conn.h"
#include "shim/record/record.h"

#include <stdbool.h>
#include <sys/queue.h>

/* Full records that are moved at a time: with 4, each end wakes the other twice as often; with 16, the program sleeps
 * while they are opened. To take just as many at once, conn_readv() wants room for all but one of their overheads. */
#define PIPE_RECORDS 8u
#define PIPE_SEALED  (PIPE_RECORDS * (RECORD_PLAIN_MAX + RECORD_OVERHEAD))
#define PIPE_BYTES   (PIPE_SEALED - RECORD_OVERHEAD)
#define PIPE_TURNS   8 /* pieces of that size a connection may move in a row: then it is the others' turn */
/* Of the program's end, asked for: the kernel doubles it, where a socket has once as much by itself. Two pieces then
 * have room, and the next is opened while the program reads. */
#define PIPE_SNDBUF 212992

/* What one side gave and the other could not take yet. */
struct pipe_rest {
  uint8_t *data; /* at + len bytes, at most PIPE_BYTES; NULL while there is none */
  size_t at, len;
};

/* One of the two descriptors in the epoll set. */
struct leg {
  struct passage *passage;
  int fd;
  uint32_t watched; /* what the epoll set has; 0: nothing but errors and hangups */
  bool out;         /* it hung up, which would be told again and again: not in the set any more */
};

struct passage {
  TAILQ_ENTRY(passage) link;
  struct conn conn;
  struct arena_slot *slot;
  struct leg tcp, pair;
  struct pipe_rest inward, outward; /* to the program; to the network */
  bool inward_ended, outward_ended; /* end of the stream from the network; from the program */
  bool inward_shut, outward_shut;   /* and it was passed on */
  bool gone;                        /* the program closed its end */
  bool left_unread;                 /* with bytes in it that it had not read */
  bool dead;                        /* nothing more can come of it */
  bool broken;                      /* and not because both sides said so */
  bool fin_last;                    /* the socket reads no more (SHUT_RD): a FIN only when all else is acknowledged */
  bool lingers;                     /* linger.c has it: the program's end is closed */
  TAILQ_ENTRY(passage) linger_link;
  int linger_left; /* bytes that the peer has not acknowledged */
  int64_t linger_until_ms;
  pid_t pid;       /* who asked for it */
  uint64_t cookie; /* of the program's end */
};

/* Those of one lane that only wait for the peer to take the rest (linger.c). */
#define LINGER_MAX     256    /* of one lane */
#define LINGER_MS      300000 /* without progress; the kernel gives up its own orphans after about as long */
#define LINGER_TICK_MS 50
struct lingering {
  TAILQ_HEAD(, passage) all;
  unsigned count;
  uint64_t refused; /* there were too many */
};
/* A passage that is at its end (dead): has the peer still to take something? Then it lingers, and is not dead. */
bool linger_begin(struct lingering *l, struct passage *p);
bool linger_over(struct passage *p); /* looks; to be asked every now and then */
void linger_end(struct lingering *l, struct passage *p);

/* Moves what can be moved now; scratch: PIPE_BYTES, beside those of conn.sealed. Sets p->dead when the connection is
 * over. */
void passage_pump(struct passage *p, uint8_t *scratch, uint32_t pair_events);
/* What its two legs wait for now. */
uint32_t passage_tcp_events(const struct passage *p);
uint32_t passage_pair_events(const struct passage *p);
/* reset.c: whoever reads at the program's end, which this cookie names, is going to see ECONNRESET. */
bool reset_mark(pid_t pid, uint64_t cookie);

/* Ends it: close_notify where the program ended cleanly; closes, wipes, frees. */
void passage_free(struct passage *p);

#endif
