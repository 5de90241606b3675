/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parcel.h - a protected connection goes into the next image. Its number there is no TCP socket but a unix socket, in
 * whose queue the TCP socket travels with the arena and a label; the shim of the next image takes them out and goes
 * on with the record engine. An image without the shim has nothing that it could write plaintext to.
 */
#ifndef SHIM_PARCEL_H
#define SHIM_PARCEL_H

#include "fdtab.h"

/* Number fd, a connection, is packed: only for a process that executes something next. false: it cannot be. This
 * process's hold on the connection goes with it. */
bool parcel_pack(int fd, struct sock *s);
/* Does one of the parcels hold this connection? */
bool parcel_holds(const struct sock *s);
/* Is this number a parcel? */
bool parcel_at(int fd);
/* exec failed: all is as it was. */
void parcel_unpack(void);

/* In the new image. True: fd was a parcel, and is a connection now (or ended). */
bool parcel_open(int fd);

#endif
