/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.h - JSON as an answer, however long: in a sealed memfd, for no message holds more than 64 KiB.
 */
#ifndef DAEMON_DOCUMENT_H
#define DAEMON_DOCUMENT_H

#include "control.h"

#include <jansson.h>

/* Answers wire_reply with the document behind a descriptor, and closes the connection. Takes root over; NULL: out of
 * memory, and says so. */
void document_answer(struct ctl *c, json_t *root);

#endif
