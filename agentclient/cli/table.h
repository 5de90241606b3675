/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - tables for people: columns as wide as what is in them, colours where somebody looks.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum table_colour { TABLE_PLAIN = 0, TABLE_BOLD, TABLE_GREEN, TABLE_YELLOW, TABLE_RED, TABLE_DIM };

/* Is a person at the other end of it, who wants colours? (NO_COLOR, TERM=dumb) */
bool table_coloured(FILE *to);
/* Text in a colour, or as it is. */
void table_text(FILE *to, bool coloured, enum table_colour c, const char *text);

struct table;
/* headers: as many as there are columns, ended by NULL; one that begins with '>' is of a column of numbers, to the
 * right. NULL: out of memory, which the others take for a table that nobody wants. */
struct table *table_new(const char *const *headers);
/* The next cell; rows follow by themselves. */
void table_cell(struct table *t, enum table_colour c, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Prints it, unless it has no rows. */
void table_print(const struct table *t, FILE *to, bool coloured);
void table_free(struct table *t);

/* "1.5M", "3m12s", "in 2h". buf of 32 bytes. */
const char *table_bytes(char *buf, uint64_t n);
const char *table_duration(char *buf, int64_t ms);

#endif
