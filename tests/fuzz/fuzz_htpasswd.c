/* SPDX-License-Identifier: Apache-2.0 */
/* htpasswd_parse: whatever is accepted has a well-formed hash for whoever it knows. */
#include <stdint.h>
#include <stdlib.h>

#include "auth/htpasswd.h"
#include "base/util.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_user(const struct htpasswd *h, struct slice user, unsigned *usable)
{
    const char *hash = htpasswd_find(h, user);
    if (!hash)
        return;
    struct slice s = slice_cstr(hash);
    CHECK(s.n == 60 && slice_starts(s, SLICE_LIT("$2")) && s.p[6] == '$');
    ++*usable;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct htpasswd *h = NULL;
    struct error err = {0};
    unsigned ignored = 0, usable = 0;
    struct slice text = slice_make((const char *)data, n);
    if (htpasswd_parse(text, &h, &ignored, &err)) {
        CHECK(err.code == ERR_BAD_REQUEST && err.detail[0]);
        return 0;
    }
    struct slice rest = text;
    while (rest.p) {
        struct slice line = slice_cut(&rest, '\n');
        line = slice_trim(line);
        check_user(h, slice_cut(&line, ':'), &usable);
    }
    CHECK(usable >= htpasswd_count(h) || memchr(data, '\v', n) || memchr(data, '\f', n) ||
          memchr(data, '\r', n));
    CHECK(slice_cstr(htpasswd_decoy(h)).n == 60);
    htpasswd_free(h);
    return 0;
}
