/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - a protected connection leaves for where hooks cannot follow: standard streams, an image that is executed,
 * a process that gets the descriptor passed. The daemon's relay takes it over in mid-stream; from then on the numbers
 * are one end of a stream pair, which anybody may read and write.
 */
#ifndef SHIM_RELAY_H
#define SHIM_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct sock;

/* From now on the daemon's relay is where a connection goes that is closed with bytes unsent. */
void relay_init(void);

/* Is this number a connection of ours (connected, or on its way there)? */
bool relay_needed(int fd);
/* Every number of this process that stands for fd's connection becomes the pair's end. 0, or a negative errno and a
 * line for the operator: the connection is what it was, or broken, and never in clear. what: "descriptor 1", for the
 * line. */
int relay_convert(int fd, const char *what);

/* shutdown() of a protected connection in both directions, where that would lose bytes the peer has no room for: the
 * daemon goes on with it, and the numbers are what is left of it, shut down. false: it is the connection's to do. */
bool relay_shutdown(struct sock *s, int fd, int how);

/* Another process that holds the connection has given it to the relay, and s is what is left of it here: its numbers
 * become the pair's end, too, and are nobody's in the table. false: it is not so, or the daemon has no end left to
 * give. */
bool relay_follow(struct sock *s, int fd);
/* The same for whatever stands behind a number. Only a process that forked can have such: others leave at once. */
void relay_follow_number(int fd);
void relay_forked(void);

/* What a relayed number answers for itself: its TCP addresses, as the daemon's end of the pair spells them. 1: *sa is
 * it; 0: this is no relay's. errno is left alone. */
int relay_address(int fd, bool peer, struct sockaddr_storage *sa, socklen_t *len);
/* The same with the inode that its TCP socket had: programs tell each other which descriptor they pass by it. */
bool relay_inode(int fd, uint32_t *inode);

#endif
