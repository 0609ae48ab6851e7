/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/digest.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "oci/oci_int.h"

#include "base/banned.h"

enum { GRAMMAR_MAX = 256 };

const char *oci_echo(struct slice s, char out[OCI_ECHO_SIZE])
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = c >= 0x20 && c < 0x7f;
        if (n + (plain ? 1 : 4) > OCI_ECHO_MAX) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        if (plain)
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, 5, "\\x%02x", (unsigned)c);
    }
    out[n] = '\0';
    return out;
}

static bool lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool encoded_char(char c)
{
    return lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '=' || c == '_' || c == '-';
}

static bool hex_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Offset of the first byte that breaks `algorithm ":" encoded`, or s.n: then it is right, or it
 * ends too early (*complete tells). */
static size_t grammar_span(struct slice s, bool *complete)
{
    size_t i = 0;
    bool word = false; /* the byte before was a letter or digit */
    *complete = false;
    for (; i < s.n && s.p[i] != ':'; i++) {
        char c = s.p[i];
        bool separator = c == '+' || c == '.' || c == '_' || c == '-';
        if (!lower_or_digit(c) && !(separator && word))
            return i;
        word = !separator;
    }
    if (i == s.n || !word)
        return i;
    for (i++; i < s.n; i++) {
        if (!encoded_char(s.p[i]))
            return i;
        *complete = true;
    }
    return i;
}

bool digest_grammar(struct slice s)
{
    bool complete;
    return s.n <= GRAMMAR_MAX && grammar_span(s, &complete) == s.n && complete;
}

#define DIGEST_HELP "expected \"sha256:\" and 64, or \"sha512:\" and 128 lower-case hex digits"

/* Called for what is not a digest: finds the first reason. */
static int explain(struct slice s, struct error *err)
{
    char echo[OCI_ECHO_SIZE];
    char bad[OCI_ECHO_SIZE];
    bool complete;
    if (s.n == 0)
        return error_detail(err, ERR_DIGEST_INVALID, "the digest is empty: " DIGEST_HELP);
    oci_echo(s, echo);
    if (s.n > GRAMMAR_MAX)
        return error_detail(err, ERR_DIGEST_INVALID, "digest \"%s\" has %zu bytes: " DIGEST_HELP,
                            echo, s.n);
    size_t at = grammar_span(s, &complete);
    if (at < s.n)
        return error_detail(err, ERR_DIGEST_INVALID,
                            "digest \"%s\" is not allowed at \"%s\" (offset %zu): " DIGEST_HELP,
                            echo, oci_echo(slice_make(s.p + at, 1), bad), at);
    if (!complete)
        return error_detail(err, ERR_DIGEST_INVALID, "digest \"%s\" ends too early: " DIGEST_HELP,
                            echo);

    struct slice encoded = s;
    struct slice name = slice_cut(&encoded, ':');
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++) {
        if (!slice_is(name, hash_name((enum hash_alg)alg)))
            continue;
        size_t want = hash_hex_len((enum hash_alg)alg);
        if (encoded.n != want)
            return error_detail(err, ERR_DIGEST_INVALID,
                                "digest \"%s\" has %zu digits after the colon, %s has %zu", echo,
                                encoded.n, hash_name((enum hash_alg)alg), want);
        for (at = 0; at < encoded.n && hex_char(encoded.p[at]); at++)
            ;
        return error_detail(err, ERR_DIGEST_INVALID,
                            "digest \"%s\" is not allowed at \"%s\" (offset %zu): " DIGEST_HELP,
                            echo, oci_echo(slice_first(slice_from(encoded, at), 1), bad),
                            name.n + 1 + at);
    }
    return error_detail(err, ERR_DIGEST_INVALID,
                        "digest \"%s\" is of an algorithm that this registry does not compute: "
                        "use sha256 or sha512",
                        echo);
}

int digest_parse(struct slice s, struct digest *out, struct error *err)
{
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++) {
        struct slice name = slice_cstr(hash_name((enum hash_alg)alg));
        if (s.n != name.n + 1 + hash_hex_len((enum hash_alg)alg) || !slice_starts(s, name) ||
            s.p[name.n] != ':')
            continue;
        size_t i = name.n + 1;
        while (i < s.n && hex_char(s.p[i]))
            i++;
        if (i < s.n)
            break;
        out->alg = (enum hash_alg)alg;
        memcpy(out->text, s.p, s.n);
        out->text[s.n] = '\0';
        return 0;
    }
    return explain(s, err);
}

void digest_make(enum hash_alg alg, const char *hex, struct digest *out)
{
    size_t n = strlen(hex);
    size_t name = strlen(hash_name(alg));
    CHECK(n == hash_hex_len(alg));
    out->alg = alg;
    memcpy(out->text, hash_name(alg), name);
    out->text[name] = ':';
    memcpy(out->text + name + 1, hex, n + 1);
}

void digest_of(enum hash_alg alg, struct slice content, struct digest *out)
{
    char hex[HASH_HEX_MAX + 1];
    hash_hex(alg, content.p, content.n, hex);
    digest_make(alg, hex, out);
}

struct slice digest_slice(const struct digest *d)
{
    return slice_make(d->text, strlen(hash_name(d->alg)) + 1 + hash_hex_len(d->alg));
}

struct slice digest_hex(const struct digest *d)
{
    return slice_from(digest_slice(d), strlen(hash_name(d->alg)) + 1);
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
    return slice_eq(digest_slice(a), digest_slice(b));
}
