/* SPDX-License-Identifier: Apache-2.0 */
/*
 * close.h - close() as the other hooks call it.
 */
#ifndef HOOKS_CLOSE_H
#define HOOKS_CLOSE_H

int close_fd(int fd);

#endif
