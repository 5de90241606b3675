/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.h - another text for a file, all at once: who reads it sees the old one or the new one. Owner, group, mode
 * and extended attributes stay; a symbolic link stays one. A file that somebody else changed meanwhile is left alone.
 */
#ifndef CLI_REWRITE_H
#define CLI_REWRITE_H

#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>

struct rewrite {
  char path[PATH_MAX]; /* behind symbolic links */
  char temp[PATH_MAX];
  int fd; /* of temp; -1: none */
  struct stat st;
  char *text; /* what the file holds; NUL-terminated */
};

/* Reads the file and makes sure that one can be put in its place. 0, or -1 and why. */
int rewrite_begin(struct rewrite *r, const char *path, char *why, size_t why_len);
int rewrite_commit(struct rewrite *r, const char *text, char *why, size_t why_len);
void rewrite_end(struct rewrite *r); /* after either */

#endif
