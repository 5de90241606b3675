/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headroom.h - room for descriptors of ours when the program's are used up.
 *
 * connect() and accept() take one number of the program's over TCP, and must not need a second one only because we
 * do. A soft limit that is below the hard one is raised for a moment; what is opened meanwhile goes above the
 * program's numbers and stays good when the limit is back. Where both are the same there is no room.
 */
#ifndef SHIM_HEADROOM_H
#define SHIM_HEADROOM_H

#include <stdbool.h>

/* true: there is, until headroom_close(). */
bool headroom_open(void);
/* Call it also where headroom_open() said false; errno is left alone by both. */
void headroom_close(bool opened);
/* The same, but only where hardly any numbers are left: not as many as an exchange of descriptors with the daemon
 * takes. A few system calls. */
bool headroom_open_if_crowded(void);
/* Is this number beyond the limit, so that closing it gives the program nothing? */
bool headroom_beyond(int fd);

void headroom_after_fork(void);

#endif
