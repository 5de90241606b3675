/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wirecheck.h - is this message one that the daemon may look into? Pure: no I/O, no state.
 *
 * A message that passes has the length its type asks for, lengths inside that add up, terminated
 * strings and a plausible number of descriptors. Whether it makes sense is decided behind this.
 */
#ifndef DAEMON_WIRECHECK_H
#define DAEMON_WIRECHECK_H

#include "svidwrap/wire.h"

#include <stdbool.h>
#include <stddef.h>

/* WIRE_OK, WIRE_BAD_REQUEST or WIRE_VERSION_MISMATCH. msg need not be aligned. */
enum wire_status wire_check(const void *msg, size_t len, int nfds);

/* The parts behind struct wire_hello in a message that passed. Pointers into msg. */
struct wire_hello_parts {
  const char *path; /* not NUL-terminated */
  size_t path_len;
  const char *vars;
  size_t vars_len;
  const char *program;
  size_t program_len;
};
void wire_hello_split(const void *msg, struct wire_hello_parts *parts);

/* The value of NAME among vars ("NAME=value\0..."), NUL-terminated, or NULL. */
const char *wire_vars_find(const char *vars, size_t vars_len, const char *name);

/* Names that can go into a comparison, a log line or a ClientHello: terminated, not empty, nothing below a blank.
 * Whether the program has a right to them is decided elsewhere. */
bool wire_hosts_valid(const struct rules_hosts *h);

/* "svidwrap/" and 32 lower-case hexadecimal digits, NUL-terminated inside WIRE_NAME_LEN bytes. */
bool wire_name_valid(const char name[WIRE_NAME_LEN]);

#endif
