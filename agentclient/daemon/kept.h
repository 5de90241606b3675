/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.h - relayed connections that other processes of the program still hold as TCP sockets: their common end of the
 * pair is kept for them until they have asked for it, closed, or died. While it is kept, the peer cannot be told that
 * everybody has closed; so it is looked at often.
 */
#ifndef DAEMON_KEPT_H
#define DAEMON_KEPT_H

#include "slots.h"

#include <event2/event.h>
#include <sys/queue.h>
#include <sys/types.h>

struct kept;
TAILQ_HEAD(kept_queue, kept);
struct kept_list {
  struct kept_queue all;
  struct event *tick;
};

int kept_open(struct kept_list *k, struct event_base *base); /* 0, or -1: out of memory */
void kept_close(struct kept_list *k);
/* Keeps a copy of end, the program's, if anybody but the sender holds the slot's connection. inode: of the TCP
 * socket. */
void kept_add(struct kept_list *k, struct slots *a, struct slots_ticket t, ino_t inode, int end);
/* The end for who shows the same socket; borrowed. -1: none is kept. */
int kept_find(const struct kept_list *k, const struct slots *a, struct slots_ticket t, int tcp);

#endif
