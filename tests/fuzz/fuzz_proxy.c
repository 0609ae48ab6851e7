/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: what is found is the same in every longer input, and in no shorter one; the peer
 * is an address that our own parser takes. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"
#include "http/forwarded.h"
#include "http/proxy_protocol.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_peer(const struct proxy_header *h)
{
    static const char *const everything[] = {"0.0.0.0/0", "::/0", "unix"};
    struct trusted_peers *t;
    struct error err;
    CHECK(memchr(h->peer, '\0', sizeof h->peer));
    if (h->local) {
        CHECK(!h->peer[0]);
        return;
    }
    CHECK(trusted_peers_new(everything, ARRAY_LEN(everything), &t, &err) == 0);
    CHECK(trusted_peer(t, slice_cstr(h->peer)));
    trusted_peers_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {(const char *)data, size};
    struct proxy_header whole = {0}, part;
    int rc = proxy_header_parse(in, &whole);
    if (rc > 0) {
        CHECK(whole.length > 0 && whole.length <= size && whole.length <= PROXY_HEADER_MAX);
        check_peer(&whole);
    } else if (rc == 0) {
        CHECK(size < PROXY_HEADER_MAX);
    }
    for (size_t n = 0; n < MIN(size, (size_t)PROXY_HEADER_MAX); n++) {
        part = (struct proxy_header){0};
        int early = proxy_header_parse(slice_first(in, n), &part);
        if (early > 0) /* complete before the end: then it is the same */
            CHECK(rc > 0 && part.length == whole.length && !strcmp(part.peer, whole.peer));
        else if (early < 0) /* what can never become one does not */
            CHECK(rc < 0);
        else
            CHECK(rc <= 0 || n < whole.length);
    }
    return 0;
}
