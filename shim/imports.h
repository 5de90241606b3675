/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imports.h - what the program and its libraries call by name.
 */
#ifndef SHIM_IMPORTS_H
#define SHIM_IMPORTS_H

#include <stdbool.h>

/* Does anything that is loaded make sockets, as far as the dynamic linker knows: socket(), connect(), listen() or
 * accept()? (What makes them by syscall() or dlsym() is not seen.) Costs a call where nothing was loaded since it was
 * asked. */
bool imports_sockets(void);

#endif
