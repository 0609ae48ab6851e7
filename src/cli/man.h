/* SPDX-License-Identifier: Apache-2.0 */
/* Man pages and completions, made from the command table and the option table. */
#ifndef CLI_MAN_H
#define CLI_MAN_H

#include "base/buf.h"

/* The names of all pages, one a line: "berth.1", "berth-serve.1", ..., "berth-config.5". */
void man_names(struct buf *out);
/* A page in roff. "berth-serve.1", "berth-serve" and "serve" are one; berth-config without a
 * section is the command, when there is one. Its date is $SOURCE_DATE_EPOCH, else today. 0, or -1
 * when there is no such page. */
int man_page(const char *name, struct buf *out);
/* A completion script for bash, zsh or fish. 0, or -1 for another shell. */
int completion(const char *shell, struct buf *out);

#endif
