/* SPDX-License-Identifier: Apache-2.0 */
/* A regular expression, a NUL, and a text; with what must hold between answers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "registry/pattern.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The expression between the two matches the text exactly if `expected`. What is too large only
 * with what they add is not looked at. */
static void check_form(const char *before, const char *after, struct slice expression,
                       struct slice text, bool expected)
{
    char wrapped[PATTERN_TEXT_MAX + 64];
    struct pattern *p = NULL;
    struct error err;
    int len = snprintf(wrapped, sizeof wrapped, "%s%.*s%s", before, SLICE_ARG(expression), after);
    CHECK(len > 0 && (size_t)len < sizeof wrapped);
    if (pattern_new(slice_make(wrapped, (size_t)len), &p, &err)) {
        CHECK(err.code == ERR_BAD_REQUEST);
        return;
    }
    CHECK(pattern_match(p, text) == expected);
    pattern_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice text = slice_make((const char *)data, n);
    struct slice expression = slice_cut(&text, '\0');
    struct pattern *p = NULL;
    struct error err;
    if (pattern_new(expression, &p, &err)) {
        CHECK(p == NULL && err.code == ERR_BAD_REQUEST && err.detail[0]);
        return 0;
    }
    bool matches = pattern_match(p, text);
    CHECK(pattern_match(p, text) == matches);
    pattern_free(p);
    check_form("(?:", ")", expression, text, matches);
    check_form("(", "){1}", expression, text, matches);
    check_form("(?:", ")+", expression, text, matches);
    check_form("(?:", ")?", expression, text, true);
    check_form("(?:", ")|[^\\x00-\\x7f]", expression, text, matches);
    return 0;
}
