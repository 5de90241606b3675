/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.h - a YAML text as a tree of nodes that know their line and column.
 *
 * It accepts what a configuration needs and nothing else: one document, scalars, lists and maps. Anchors,
 * aliases, tags, control characters, bytes that are not UTF-8, deep nesting and huge files are refused.
 */
#ifndef POLICY_YAML_H
#define POLICY_YAML_H

#include "pool.h"

#include <stdbool.h>

#define YAML_SIZE_MAX  (1024u * 1024u)
#define YAML_DEPTH_MAX 16u
#define YAML_NODES_MAX 65536u

enum ynode_kind { YNODE_SCALAR, YNODE_LIST, YNODE_MAP };

struct ynode {
  enum ynode_kind kind;
  unsigned line, col; /* from 1 */
  size_t start, end;  /* where it stands in the text: bytes, [start, end). A block list or map ends where what follows
                       * it begins */
  bool plain;         /* a scalar without quotes */
  const char *text;   /* of a scalar, NUL-terminated, without a NUL inside */
  size_t len;
  const struct ynode *key;    /* in a map: the scalar that names this node */
  struct ynode *first, *next; /* children of a list or map; siblings */
  unsigned count;             /* children */
};

struct yaml_error {
  unsigned line, col;
  char text[256];
};

/* Reads len bytes; the nodes live in pool. *root is NULL for a file that says nothing. 0 or -1 and *err. */
int yaml_read(struct pool *pool, const char *text, size_t len, struct ynode **root, struct yaml_error *err);

#endif
