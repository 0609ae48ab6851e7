/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, and the files of keys. The first byte picks what the rest is: a token as it came from a
 * client; a payload, or a header and a payload, which are signed properly; a JWKS; a bundle. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "auth/encoding.h"
#include "auth/token.h"
#include "base/buf.h"
#include "base/util.h"

#include "base/banned.h"

#define NOW INT64_C(1700000000)
#define SECRET "a shared secret of some forty-two bytes..."

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char bundle[] = "-----BEGIN CERTIFICATE-----\n"
                             "MIIBcDCCARWgAwIBAgIUe/9IW4AICOcrYDA3wCF9k5Yi6U4wCgYIKoZIzj0EAwIw\n"
                             "DDEKMAgGA1UEAwwBcjAgFw0yNjExMjExNTIwMDZaGA8yMTI2MTAyODE1MjAwNlow\n"
                             "DDEKMAgGA1UEAwwBcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDkX4BMnLzec\n"
                             "mNy2OS7m+jRKEpUNdfwirA0RuTGH0IFn3zXeIo6AHwC6ZbreV9vFChjvBUi6t8z2\n"
                             "1kIlPsUc0LajUzBRMB0GA1UdDgQWBBQIfbrKr/KziELXnEMUiqa5hG5mkjAfBgNV\n"
                             "HSMEGDAWgBQIfbrKr/KziELXnEMUiqa5hG5mkjAPBgNVHRMBAf8EBTADAQH/MAoG\n"
                             "CCqGSM49BAMCA0kAMEYCIQDSp6Owu0CIuwGwY87GMfBRm4/li8JRZ4G5uJ2Wb/bs\n"
                             "EAIhANBcotjdCGOXeXEc7v6uoBgRRfjUQy6Abzq9StUEkdmD\n"
                             "-----END CERTIFICATE-----\n";

static const char jwks[] = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"shared\",\"k\":"
                           "\"YSBzaGFyZWQgc2VjcmV0IG9mIHNvbWUgZm9ydHktdHdvIGJ5dGVzLi4u\"},"
                           "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\",\"x\":"
                           "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void put_b64(struct buf *b, struct slice s)
{
    char *text = xcalloc(1, b64_encoded_room(s.n));
    b64_encode(s.p, s.n, B64_URL, text);
    buf_puts(b, text);
    free(text);
}

static void put_signed(struct buf *b, struct slice header, struct slice payload)
{
    unsigned char mac[64];
    size_t n = 0;
    put_b64(b, header);
    buf_putc(b, '.');
    put_b64(b, payload);
    unsigned char *ok = EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, SECRET, strlen(SECRET),
                                  (const unsigned char *)b->p, b->n, mac, sizeof mac, &n);
    CHECK(ok);
    buf_putc(b, '.');
    put_b64(b, slice_make((const char *)mac, n));
}

/* Decoding and encoding again gives the same text: one value, one encoding. */
static void check_encoding(struct slice text)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        unsigned char *raw = xcalloc(1, b64_decoded_room(text.n));
        size_t n = 0;
        if (b64_decode(text, (enum b64_kind)kind, raw, &n) == 0) {
            char *again = xcalloc(1, b64_encoded_room(n));
            CHECK(n <= b64_decoded_room(text.n));
            b64_encode(raw, n, (enum b64_kind)kind, again);
            CHECK(slice_is(text, again));
            free(again);
        }
        free(raw);
    }
}

static void check_token(const struct token_keys *keys, struct slice token)
{
    struct token_claims c = {0};
    struct error err = {0};
    struct arena *a = arena_new(1024);
    if (token_verify(keys, token, "i", "s", NOW, a, &c, &err)) {
        CHECK(err.code == ERR_UNAUTHORIZED && err.detail[0]);
        CHECK(!c.grants && !c.n_grants && !c.subject.p);
    } else {
        CHECK(token.n <= TOKEN_BYTES_MAX && c.expires_s >= NOW - TOKEN_LEEWAY_S);
        for (unsigned i = 0; i < c.n_grants; i++) {
            CHECK(c.grants[i].type.p && c.grants[i].name.p);
            for (unsigned k = 0; k < c.grants[i].n_actions; k++)
                CHECK(c.grants[i].actions[k].p);
        }
    }
    arena_free(a);
}

static void check_keys(struct slice pem, struct slice set)
{
    struct token_keys *k = NULL;
    struct error err = {0};
    if (token_keys_new(pem, set, NULL, 0, &k, &err)) {
        CHECK(err.code == ERR_BAD_REQUEST && err.detail[0]);
        return;
    }
    CHECK(token_keys_count(k) > 0);
    token_keys_free(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct slice text = slice_make((const char *)data + 1, n - 1);
    if (data[0] % 5 == 3) {
        check_keys(SLICE_NONE, text);
        return 0;
    }
    if (data[0] % 5 == 4) {
        check_keys(text, SLICE_NONE);
        return 0;
    }
    static struct token_keys *keys; /* made once: reading them costs more than a token does */
    if (!keys) {
        int rc = token_keys_new(SLICE_LIT(bundle), SLICE_LIT(jwks), NULL, 0, &keys, NULL);
        CHECK(rc == 0);
    }
    struct buf b;
    buf_init(&b, 1 << 20);
    if (data[0] % 5 == 0) {
        check_encoding(text);
        check_token(keys, text);
    } else if (data[0] % 5 == 1) {
        put_signed(&b, SLICE_LIT("{\"alg\":\"HS256\"}"), text);
        check_token(keys, buf_view(&b));
    } else {
        struct slice payload = text, header = slice_cut(&payload, '\n');
        put_signed(&b, header, payload);
        check_token(keys, buf_view(&b));
    }
    buf_release(&b);
    return 0;
}
