/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/secret.h"

#include <string.h>

#include "base/hash.h"
#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

void secret_init(struct secret *s)
{
    unsigned char key[sizeof s->inner];
    os_random(key, sizeof key);
    for (size_t i = 0; i < sizeof key; i++) {
        s->inner[i] = key[i] ^ 0x36;
        s->outer[i] = key[i] ^ 0x5c;
    }
    explicit_bzero(key, sizeof key);
}

void secret_wipe(struct secret *s)
{
    explicit_bzero(s, sizeof *s);
}

static void finish(struct hasher *h, unsigned char out[MAC_BYTES])
{
    char hex[HASH_HEX_MAX + 1];
    hasher_hex(h, hex);
    int rc = hex_decode(slice_make(hex, (size_t)MAC_BYTES * 2), out, MAC_BYTES);
    CHECK(rc == 0);
}

void secret_mac(const struct secret *s, const struct slice *parts, unsigned n, struct mac *out)
{
    struct hasher *h = hasher_new(HASH_SHA256);
    hasher_update(h, s->inner, sizeof s->inner);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            hasher_update(h, "", 1);
        if (parts[i].n)
            hasher_update(h, parts[i].p, parts[i].n);
    }
    finish(h, out->p);
    hasher_reset(h);
    hasher_update(h, s->outer, sizeof s->outer);
    hasher_update(h, out->p, MAC_BYTES);
    finish(h, out->p);
    hasher_free(h);
}

bool secret_equal(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char differs = 0;
    for (size_t i = 0; i < n; i++)
        differs = (unsigned char)(differs | (x[i] ^ y[i]));
    return differs == 0;
}
