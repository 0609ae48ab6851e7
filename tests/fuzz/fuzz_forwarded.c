/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding fields: the input is field lines, of which the first letter says the name. Whatever
 * comes out is an address, a scheme, an authority; and "everybody" and "nobody" as the list do not
 * invent anything. The input is also taken as an entry of the list, and as a target for the log. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "http/forwarded.h"
#include "http/head_int.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct trusted_peers *list_of(const char *entry)
{
    struct trusted_peers *t = NULL;
    struct error err;
    (void)trusted_peers_new(&entry, 1, &t, &err);
    return t;
}

static void check(const char *entry, const struct http_head *head, struct arena *a)
{
    struct trusted_peers *t = list_of(entry), *all4 = list_of("0.0.0.0/0"), *all6 = list_of("::/0");
    struct forwarded f;
    forwarded_read(t, head, a, &f);
    CHECK(!f.peer.n || trusted_peer(all4, f.peer) || trusted_peer(all6, f.peer));
    CHECK(!f.proto.n || slice_is(f.proto, "http") || slice_is(f.proto, "https"));
    CHECK(!f.host.n || http_host_valid(f.host));
    trusted_peers_free(t);
    trusted_peers_free(all4);
    trusted_peers_free(all6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"Forwarded",        "X-Forwarded-For",  "X-Forwarded-Proto",
                                        "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip"};
    struct arena *a = arena_new(4096);
    struct http_head *head = ARENA_NEW(a, struct http_head);
    struct slice rest = {(const char *)data, size};
    while (rest.n > 1 && head->n_fields < HTTP_FIELDS_MAX) {
        struct slice line = slice_cut(&rest, '\n');
        if (line.n)
            head->fields[head->n_fields++] =
                (struct http_field){slice_cstr(names[(unsigned char)line.p[0] % ARRAY_LEN(names)]),
                                    slice_trim(slice_from(line, 1))};
    }
    check("10.0.0.0/8", head, a);
    check("*", head, a);
    char *entry = xstrndup((const char *)data, size);
    trusted_peers_free(list_of(entry));
    free(entry);
    struct slice target = {(const char *)data, size};
    struct slice logged = access_target(a, target);
    CHECK(logged.n <= (size_t)LOGGED_MAX * 3);
    CHECK(slice_starts(logged, slice_cut(&target, '?')) || size > LOGGED_MAX);
    arena_free(a);
    return 0;
}
