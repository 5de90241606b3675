/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - what must be so around fork, exec and exit.
 */
#ifndef SHIM_IMAGE_H
#define SHIM_IMAGE_H

#include <spawn.h>
#include <stdbool.h>

/* Registers the fork handlers; in the constructor. */
void image_init(void);

/* In the constructor: connected TCP sockets on low numbers, left by a launcher, that the rules cover. Nobody has
 * keys for them: they are replaced by an end that is closed. */
void image_check_inherited(void);

/* fork() failed: takes back what the handlers did. */
void image_fork_failed(void);
/* For ways to fork that run no handlers (_Fork). */
void image_before_fork(void);
void image_after_fork_parent(void);
void image_after_fork_child(void);

/* Managed connections do not go into a new image: nobody there would protect them. On descriptors 0 to 2 they are
 * relayed, the others are made close-on-exec. replaces: this process itself becomes the new image, and gives up what
 * it holds; image_exec_failed() undoes both. (After posix_spawn() nothing is undone: another thread may be spawning.)
 */
void image_before_exec(bool replaces, const char *file); /* file: as exec's, NULL: not by name */
void image_exec_failed(void);
/* The connections that these file actions put into the new image are relayed from now on. false: one cannot be. */
bool image_actions_relay(const posix_spawn_file_actions_t *actions);

/* Last words of this process on all its connections; listeners are closed. */
void image_exit(void);

#endif
