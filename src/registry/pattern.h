/* SPDX-License-Identifier: Apache-2.0 */
/* Go's regular expressions (RE2 syntax), only to tell whether they match, on printable ASCII. Not
 * regcomp(3): flags of a group and half of the escapes cannot be said there, and regexec(3) took
 * 1.4 s and 35 MiB, which it keeps, for (a|b)*a(a|b){12}c on 16 KiB that whoever pushes a manifest
 * may choose. Here the time is at most the length of the text times that of the program, and the
 * memory that of the program. */
#ifndef REGISTRY_PATTERN_H
#define REGISTRY_PATTERN_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

enum { PATTERN_TEXT_MAX = 2048, PATTERN_STEPS_MAX = 2000 };

struct pattern; /* immutable; any thread */

/* What Go refuses is refused, and what berth does not have: \p{...}, \C, bytes that are not ASCII,
 * more than PATTERN_TEXT_MAX bytes or PATTERN_STEPS_MAX steps. ERR_BAD_REQUEST with a detail that
 * quotes the expression, says where and why. */
int pattern_new(struct slice expression, struct pattern **out, struct error *err);
void pattern_free(struct pattern *p); /* NULL is fine */
/* Does it match somewhere in the text? */
bool pattern_match(const struct pattern *p, struct slice text);

#endif
