/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio_kernel.h - io_submit, by libaio or as a bare system call (see aio_kernel.c).
 */
#ifndef SHIM_HOOKS_AIO_KERNEL_H
#define SHIM_HOOKS_AIO_KERNEL_H

#include "../libc.h"

struct iocb;
/* Relays what has to be. true: one of them cannot be, and none may be submitted. */
bool aio_kernel_refused(long count, struct iocb *const list[]);

#endif
