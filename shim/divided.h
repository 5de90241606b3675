/* SPDX-License-Identifier: Apache-2.0 */
/*
 * divided.h - one process whose threads do not have one table of descriptors: unshare(CLONE_FILES) in a thread,
 * close_range() with CLOSE_RANGE_UNSHARE, a child on its parent's memory.
 *
 * The shim has one table of connections a process. With two tables of descriptors a number would mean two things, and
 * what one thread closes would lay the other's connection bare. So it is refused where there is a TCP socket; and
 * where there is none yet, nothing gets protected, and so nothing managed gets connected, as long as it lasts.
 *
 * The reverse is no better: two processes with one table of descriptors (CLONE_FILES without CLONE_VM) have a table
 * of connections each, and what one of them connects is a plain socket to the other. That lasts for good.
 */
#ifndef SHIM_DIVIDED_H
#define SHIM_DIVIDED_H

#include <stdbool.h>

/* Before such a call, named `what` for the log. True: it is refused, errno is EPERM. */
bool divided_refused(const char *what);
/* The same for a new child that gets a table of its own and shares the memory: nobody is alone any more then. */
bool divided_child_refused(const char *what);
/* The same for a child that shares the table and has a memory of its own. */
bool divided_sharing_refused(const char *what);

/* Before a child of vfork() runs on this memory: from now on nothing may be protected. False: it may not, one does
 * already. */
bool divided_lend(void);
/* The child has executed something, or is gone; or there is none; or this is a child of fork(), on memory of its own.
 */
void divided_returned(void);
/* Is this a child on its parent's memory? What it remembers its parent would, too. */
bool divided_lent(void);
/* The same where it asks for a connection: says in the log that it gets none. */
bool divided_lent_refused(void);

/* May nothing be protected, for the tables are two? Says so in the log. Costs one load where they never were. */
bool divided(void);

#endif
