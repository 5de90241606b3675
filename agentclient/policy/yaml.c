/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.c - libyaml's events into bounded nodes; see yaml.h.
 *
 * libyaml never sees a text that is too long or not UTF-8, and it is stopped at the first event that asks
 * for more than a configuration needs, so that no input can make it work or allocate without bound.
 */
#include "yaml.h"

#include "text.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct build {
  struct pool *pool;
  yaml_parser_t parser;
  struct yaml_error *err;
  const char *text;
  size_t len;
  size_t bytes, chars; /* one place in the text, counted both ways: marks count characters */
  unsigned nodes;
};

static int fail(struct yaml_error *err, size_t line, size_t col, const char *text) {
  err->line = (unsigned)line;
  err->col = (unsigned)col;
  snprintf(err->text, sizeof err->text, "%s", text);
  return -1;
}

static int fail_mark(struct build *b, yaml_mark_t mark, const char *text) {
  return fail(b->err, mark.line + 1, mark.column + 1, text);
}

static int fail_offset(struct yaml_error *err, const char *text, size_t offset, const char *what) {
  size_t line = 1, col = 1;
  for (size_t i = 0; i < offset; i++) {
    if (text[i] == '\n') {
      line++;
      col = 1;
    } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
      col++;
    }
  }
  return fail(err, line, col, what);
}

/* A mark as an offset in bytes. Marks come in order but for a few, so each character is counted once or little more.
 */
static size_t offset_of(struct build *b, yaml_mark_t mark) {
  if (mark.index < b->chars)
    b->bytes = b->chars = 0;
  while (b->bytes < b->len && b->chars < mark.index) {
    do
      b->bytes++;
    while (b->bytes < b->len && ((unsigned char)b->text[b->bytes] & 0xc0) == 0x80);
    b->chars++;
  }
  return b->bytes;
}

/* The cure for what braces and brackets provoke: inside { } and [ ] those of a variable or of an IPv6
 * address are YAML's own. Judged by the line that the mark is in. */
static const char *flow_hint(const char *text, size_t len, size_t at) {
  size_t from = at, to = at;
  while (from > 0 && text[from - 1] != '\n')
    from--;
  while (to < len && text[to] != '\n')
    to++;
  if (memmem(text + from, to - from, "${", 2))
    return " (inside { } or [ ] a value with ${NAME} must stand in quotes)";
  if (memmem(text + from, to - from, "{trust_domain}", 14))
    return " (inside { } or [ ] a pattern with {trust_domain} must stand in quotes)";
  return memmem(text + from, to - from, "::", 2) ? " (an [IPv6] address must stand in quotes)" : "";
}

/* libyaml's own complaint, with the cure where it is a likely one. */
static int fail_libyaml(struct build *b) {
  const yaml_parser_t *p = &b->parser;
  const char *problem = p->problem ? p->problem : "cannot be read as YAML";
  char buf[256];
  if (p->error == YAML_READER_ERROR)
    return fail_offset(b->err, b->text, p->problem_offset, problem);
  if (p->error == YAML_MEMORY_ERROR)
    return fail(b->err, 1, 1, "out of memory");
  if (p->context && strstr(p->context, "alias"))
    return fail_mark(b, p->problem_mark, "a value that begins with '*' must stand in quotes: '*:6379'");
  const char *hint =
      p->context && strstr(p->context, "flow") ? flow_hint(b->text, b->len, offset_of(b, p->problem_mark)) : "";
  snprintf(buf, sizeof buf, "not valid YAML: %s%s%s%s", p->context ? p->context : "", p->context ? ", " : "", problem,
           hint);
  return fail_mark(b, p->problem_mark, buf);
}

static struct ynode *node_new(struct build *b, const yaml_event_t *e, enum ynode_kind kind) {
  if (++b->nodes > YAML_NODES_MAX) {
    fail_mark(b, e->start_mark, "too many values in this file (65536 at most)");
    return NULL;
  }
  struct ynode *n = pool_alloc(b->pool, sizeof *n);
  if (!n) {
    fail_mark(b, e->start_mark, "out of memory");
    return NULL;
  }
  n->kind = kind;
  n->line = (unsigned)e->start_mark.line + 1;
  n->col = (unsigned)e->start_mark.column + 1;
  n->start = offset_of(b, e->start_mark);
  n->end = offset_of(b, e->end_mark);
  return n;
}

static int node_scalar(struct build *b, const yaml_event_t *e, struct ynode *n) {
  const char *value = (const char *)e->data.scalar.value;
  n->len = e->data.scalar.length;
  n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  if (text_clean(value, n->len, "") != n->len)
    return fail_mark(b, e->start_mark, "a value must not hold control characters or line ends");
  n->text = pool_strndup(b->pool, value, n->len);
  return n->text ? 0 : fail_mark(b, e->start_mark, "out of memory");
}

static int refuse_extras(struct build *b, const yaml_event_t *e) {
  const yaml_char_t *anchor = NULL, *tag = NULL;
  switch (e->type) {
  case YAML_ALIAS_EVENT:
    return fail_mark(
        b, e->start_mark,
        "aliases (*name) are not accepted; write the value out, or put it in quotes if it begins with '*'");
  case YAML_SCALAR_EVENT:
    anchor = e->data.scalar.anchor;
    tag = e->data.scalar.tag;
    break;
  case YAML_SEQUENCE_START_EVENT:
    anchor = e->data.sequence_start.anchor;
    tag = e->data.sequence_start.tag;
    break;
  case YAML_MAPPING_START_EVENT:
    anchor = e->data.mapping_start.anchor;
    tag = e->data.mapping_start.tag;
    break;
  default:
    break;
  }
  if (anchor)
    return fail_mark(b, e->start_mark, "anchors (&name) are not accepted; write the value out where it is needed");
  if (tag)
    return fail_mark(b, e->start_mark, "tags (!name) are not accepted");
  return 0;
}

static int next_event(struct build *b, yaml_event_t *e) {
  if (!yaml_parser_parse(&b->parser, e))
    return fail_libyaml(b);
  if (refuse_extras(b, e) != 0) {
    yaml_event_delete(e);
    return -1;
  }
  return 0;
}

static int build_node(struct build *b, const yaml_event_t *e, unsigned depth, struct ynode **out);

/* The children of a list or map up to its end event. In a map every other scalar is a key. */
static int build_children(struct build *b, struct ynode *parent, unsigned depth) {
  struct ynode **tail = &parent->first;
  struct ynode *key = NULL;
  for (;;) {
    yaml_event_t e;
    if (next_event(b, &e) != 0)
      return -1;
    if (e.type == YAML_SEQUENCE_END_EVENT || e.type == YAML_MAPPING_END_EVENT) {
      parent->end = offset_of(b, e.end_mark);
      yaml_event_delete(&e);
      return 0;
    }
    struct ynode *n = NULL;
    int rc = 0;
    if (parent->kind == YNODE_MAP && !key && e.type != YAML_SCALAR_EVENT)
      rc = fail_mark(b, e.start_mark, "a key must be a plain word");
    else
      rc = build_node(b, &e, depth + 1, &n);
    yaml_event_delete(&e);
    if (rc != 0)
      return -1;
    if (parent->kind == YNODE_MAP && !key) {
      key = n;
      continue;
    }
    n->key = key;
    key = NULL;
    *tail = n;
    tail = &n->next;
    parent->count++;
  }
}

static int build_node(struct build *b, const yaml_event_t *e, unsigned depth, struct ynode **out) {
  if (depth > YAML_DEPTH_MAX)
    return fail_mark(b, e->start_mark, "nested too deeply");
  enum ynode_kind kind = e->type == YAML_SCALAR_EVENT           ? YNODE_SCALAR
                         : e->type == YAML_SEQUENCE_START_EVENT ? YNODE_LIST
                                                                : YNODE_MAP;
  struct ynode *n = node_new(b, e, kind);
  if (!n)
    return -1;
  *out = n;
  return kind == YNODE_SCALAR ? node_scalar(b, e, n) : build_children(b, n, depth);
}

static int build_stream(struct build *b, struct ynode **root) {
  unsigned documents = 0;
  for (;;) {
    yaml_event_t e;
    if (next_event(b, &e) != 0)
      return -1;
    yaml_event_type_t type = e.type;
    int rc = 0;
    if (type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
      rc = fail_mark(b, e.start_mark, "a second document ('---') is not accepted");
    else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
      rc = build_node(b, &e, 1, root);
    yaml_event_delete(&e);
    if (rc != 0 || type == YAML_STREAM_END_EVENT)
      return rc;
  }
}

/* libyaml takes U+2028 and U+2029 for the end of a line, and so of a comment; editors do not. */
static const char *line_separator(const char *text, size_t len) {
  const char *a = memmem(text, len, "\xe2\x80\xa8", 3);
  return a ? a : memmem(text, len, "\xe2\x80\xa9", 3);
}

int yaml_read(struct pool *pool, const char *text, size_t len, struct ynode **root, struct yaml_error *err) {
  *root = NULL;
  if (len > YAML_SIZE_MAX)
    return fail(err, 1, 1, "the file is larger than 1 MiB");
  size_t clean = text_clean(text, len, "\t\n\r");
  if (clean != len) {
    unsigned char c = (unsigned char)text[clean];
    return fail_offset(err, text, clean,
                       c < 0x20 || c == 0x7f || c == 0xc2 ? "control characters are not accepted"
                                                          : "the file is not UTF-8 from here on");
  }
  const char *separator = line_separator(text, len);
  if (separator)
    return fail_offset(err, text, (size_t)(separator - text), "line separators (U+2028, U+2029) are not accepted");
  struct build b = {.pool = pool, .err = err, .text = text, .len = len};
  if (!yaml_parser_initialize(&b.parser))
    return fail(err, 1, 1, "out of memory");
  yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
  int rc = build_stream(&b, root);
  yaml_parser_delete(&b.parser);
  return rc;
}
