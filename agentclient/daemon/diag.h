/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.h - what the kernel says about TCP sockets that we do not hold: is it still there, whose is it; and, where we
 * may (CAP_NET_ADMIN), ending one. By sock_diag(7) of this network namespace. The cookie tells a socket from the next
 * one with the same addresses.
 */
#ifndef DAEMON_DIAG_H
#define DAEMON_DIAG_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct diag_id {
  uint8_t family;                   /* AF_INET or AF_INET6 */
  uint16_t local_port, remote_port; /* network byte order */
  uint32_t local[4], remote[4];     /* the same; IPv4 in the first */
  uint64_t cookie;                  /* SO_COOKIE */
};
/* 0, or -1: not TCP addresses. */
int diag_id(struct diag_id *id, const struct sockaddr *local, const struct sockaddr *remote, uint64_t cookie);
/* And back. */
void diag_addresses(const struct diag_id *id, struct sockaddr_in6 *local, struct sockaddr_in6 *remote);

struct diag_socket {
  struct diag_id id;
  unsigned long inode; /* 0: no descriptor leads there any more */
  uid_t uid;
};

int diag_open(void); /* -1 and errno */
/* 0; -ENOENT: there is no such socket; another negative errno: cannot tell. */
int diag_look(int fd, const struct diag_id *id, struct diag_socket *out);
/* 0; -ENOENT; -EPERM or -EOPNOTSUPP where it cannot be done. Who waits on the socket wakes with ECONNABORTED; the
 * peer gets a reset. */
int diag_destroy(int fd, const struct diag_id *id);

#endif
