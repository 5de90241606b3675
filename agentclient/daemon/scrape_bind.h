/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrape_bind.h - the socket of the metrics' listener, by its address as the configuration spells it.
 */
#ifndef DAEMON_SCRAPE_BIND_H
#define DAEMON_SCRAPE_BIND_H

#include <stddef.h>
#include <sys/types.h>

struct scrape_bound {
  char address[256];
  int fd;
  dev_t dev; /* unix: what we made, so that nothing else is ever removed */
  ino_t ino;
};

/* Binds and listens. 0, or -1 and "ADDRESS: cause" in why. */
int scrape_bind(struct scrape_bound *b, const char *address, char *why, size_t why_len);
/* Closes the socket, if it is still ours, and removes a unix socket's name. */
void scrape_unbind(struct scrape_bound *b);

#endif
