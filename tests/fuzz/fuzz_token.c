/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, and the files of keys. The first byte picks what the rest is: a token as it came from a
 * client; a payload, or a header and a payload, which are signed properly; a JWKS; a bundle. With
 * its high bit set it is a whole Authorization field and, behind a line feed, the `from` of a
 * mount, for every kind of login. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "auth/authn.h"
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

/* One of each kind, of files that are in memory. */
static struct authn *login(enum authn_kind kind)
{
    static struct authn *of[AUTHN_TOKEN + 1];
    if (of[kind])
        return of[kind];
    /* "user" with "password" */
    static const char users[] =
        "user:$2y$04$CC6sTLLt8NRwPKT2E6yLlu763NaSYKjrGq9gv.Nf2m6OT5CxLNW/q\n";
    const char *text = kind == AUTHN_TOKEN ? jwks : users;
    char path[64];
    int fd = memfd_create("login", 0); /* open as long as the process is */
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct authn_config c = {.kind = kind,
                             .realm = "realm",
                             .service = "s",
                             .issuer = "i",
                             .path = kind == AUTHN_HTPASSWD ? path : NULL,
                             .must_exist = true,
                             .jwks = kind == AUTHN_TOKEN ? path : NULL};
    int rc = authn_new(&c, &of[kind], NULL, NULL);
    CHECK(rc == 0);
    return of[kind];
}

/* What is sent back in a header has no byte that would end it, and nobody comes in but by a
 * password or a token. */
static void check_authorization(struct slice authorization, struct slice from)
{
    for (enum authn_kind kind = AUTHN_SILLY; kind <= AUTHN_TOKEN; kind++) {
        static int64_t now_s =
            NOW; /* a minute later each time, so that the limit does not hide the rest */
        struct authn_question q = {.authorization = authorization,
                                   .peer = SLICE_LIT("192.0.2.1"),
                                   .action = ACTION_PUSH,
                                   .repo = SLICE_LIT("a/b"),
                                   .from = from,
                                   .host = SLICE_LIT("h"),
                                   .now_s = now_s};
        struct principal who = {0};
        struct slice challenge = SLICE_NONE;
        struct error err = {0};
        struct arena *a = arena_new(1024);
        struct authn *l = login(kind);
        now_s += 60;
        enum authn_result result = authn_quick(l, &q, a, &who, &challenge, &err);
        if (result == AUTHN_SLOW)
            result = authn_verify(l, &q, a, &who, &challenge, &err);
        CHECK(result != AUTHN_SLOW);
        if (result == AUTHN_REFUSED)
            CHECK(err.code == ERR_UNAUTHORIZED || err.code == ERR_TOOMANYREQUESTS);
        else if (kind == AUTHN_HTPASSWD)
            CHECK(slice_is(who.name, "user"));
        CHECK(kind == AUTHN_SILLY || result == AUTHN_OK || challenge.n ||
              err.code == ERR_TOOMANYREQUESTS);
        for (size_t i = 0; i < challenge.n; i++)
            CHECK((unsigned char)challenge.p[i] >= 0x20 && challenge.p[i] != 0x7f);
        arena_free(a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct slice text = slice_make((const char *)data + 1, n - 1);
    if (data[0] & 0x80) {
        struct slice from = text, authorization = slice_cut(&from, '\n');
        check_authorization(authorization, from);
        return 0;
    }
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
