/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - is this text, or bytes that could fool a reader of a log or of a configuration?
 */
#ifndef POLICY_TEXT_H
#define POLICY_TEXT_H

#include <stddef.h>

/* How many bytes of text are clean: UTF-8 (RFC 3629: no overlong forms, no surrogates) and no control
 * characters (C0, DEL, C1) but those in keep. len when all are; else the offset of the first that is not. */
size_t text_clean(const char *text, size_t len, const char *keep);

#endif
