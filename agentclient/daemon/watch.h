/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - sees that a configuration file has changed, and reads it again.
 *
 * Files are opened on a thread of their own, with the rights of the user whose program brought them: a file system
 * that does not answer holds nobody up, and no user has a root-run daemon read what he may not read himself. Who
 * replaces a file owned by one user by another's is not followed.
 */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include "config.h"

struct watch;
struct worker;

/* NULL: no memory, or no inotify: then only watch_reread() looks. */
struct watch *watch_new(struct worker *w);
void watch_free(struct watch *watch);

/* From now on, if its path leads the daemon to the file that the program brought; else this is logged once. */
void watch_config(struct watch *watch, struct config *c);
/* SIGHUP: all of them, now. */
void watch_reread(struct watch *watch);

#endif
