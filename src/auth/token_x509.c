/* SPDX-License-Identifier: Apache-2.0 */
/* x5c (RFC 7515 4.1.6): the key of a certificate that came with the token, when its chain leads to
 * one that the administrator trusts. */
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "auth/encoding.h"
#include "auth/token_int.h"
#include "base/util.h"

#include "base/banned.h"

static X509 *decode(struct slice text)
{
    X509 *cert = NULL;
    size_t n = 0;
    unsigned char *der = OPENSSL_malloc(b64_decoded_room(text.n));
    if (der && text.n && b64_decode(text, B64_STANDARD, der, &n) == 0) {
        const unsigned char *end = der;
        cert = d2i_X509(NULL, &end, (long)n);
        if (cert && end != der + n) {
            X509_free(cert);
            cert = NULL;
        }
    }
    OPENSSL_free(der);
    return cert;
}

/* Any certificate of the bundle ends a chain, a root or not, as in registry; whoever signs another
 * has to be a CA; hashes and keys are of 112 bits or more; for any purpose. */
static int verify(const struct token_keys *keys, X509 *leaf, STACK_OF(X509) * others, int64_t now_s,
                  struct error *err)
{
    int failed = -1;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (ctx && X509_STORE_CTX_init(ctx, keys->roots, leaf, others) == 1) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
        (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
        X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
        X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX);
        X509_VERIFY_PARAM_set_auth_level(param, 2);
        failed = X509_verify_cert(ctx) == 1 ? 0 : -1;
    }
    if (failed)
        error_detail(
            err, ERR_UNAUTHORIZED, "the certificates of the token (x5c) are not trusted: %s",
            ctx ? X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)) : "out of memory");
    X509_STORE_CTX_free(ctx);
    return failed;
}

static int read_chain(const struct json_value *x5c, X509 **leaf, STACK_OF(X509) * others,
                      struct error *err)
{
    size_t n = jv_count(x5c);
    if (jv_kind(x5c) != JSON_ARRAY_ || n == 0 || n > CHAIN_MAX)
        return error_detail(err, ERR_UNAUTHORIZED, "x5c of the token is not a list of 1 to %d",
                            CHAIN_MAX);
    for (size_t i = 0; i < n; i++) {
        X509 *cert = decode(jv_string(jv_at(x5c, i)));
        if (!cert)
            return error_detail(err, ERR_UNAUTHORIZED,
                                "certificate %zu of the token (x5c) is not base64 of DER", i + 1);
        if (i == 0)
            *leaf = cert;
        else if (sk_X509_push(others, cert) == 0)
            X509_free(cert);
    }
    return 0;
}

int token_chain(const struct token_keys *keys, const struct json_value *x5c, int64_t now_s,
                EVP_PKEY **out, struct error *err)
{
    X509 *leaf = NULL;
    STACK_OF(X509) *others = sk_X509_new_null();
    CHECK(others);
    int failed = read_chain(x5c, &leaf, others, err);
    if (!failed)
        failed = verify(keys, leaf, others, now_s, err);
    EVP_PKEY *pkey = failed ? NULL : X509_get_pubkey(leaf);
    if (!failed && !pkey)
        failed = error_detail(err, ERR_UNAUTHORIZED,
                              "the certificate of the token has a key of an unknown kind");
    if (!failed && token_pkey_check(pkey, err)) {
        EVP_PKEY_free(pkey);
        failed = -1;
    }
    X509_free(leaf);
    sk_X509_pop_free(others, X509_free);
    ERR_clear_error();
    if (!failed)
        *out = pkey;
    return failed;
}
