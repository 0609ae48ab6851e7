/* SPDX-License-Identifier: Apache-2.0 */
/* `berth cert show`: what a chain is, and what a client would say to it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/util.h"
#include "os/clock.h"
#include "tls/cert.h"
#include "tls/tls_int.h"

#include "base/banned.h"

enum { DAY_S = 86400, DAYS_MAX = 825, SOON_DAYS = 30, RSA_BITS = 2048, EC_BITS = 256 };

struct report {
    const struct cert_check *check;
    STACK_OF(X509) * chain;
    struct buf *out;
    struct buf problems;
    unsigned n;
};

static void problem(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void problem(struct report *r, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_printf(&r->problems, "problem: %s\n", text);
    r->n++;
}

/* --- what it is */

/* Names in certificates are whatever their maker liked. */
static void put_printable(struct buf *out, const unsigned char *p, int n)
{
    for (int i = 0; i < n; i++)
        buf_putc(out, p[i] > ' ' && p[i] < 0x7f ? (char)p[i] : '?');
}

static void put_address(struct buf *out, const unsigned char *p, int n)
{
    char text[INET6_ADDRSTRLEN];
    if ((n == 4 || n == 16) && inet_ntop(n == 4 ? AF_INET : AF_INET6, p, text, sizeof text))
        buf_puts(out, text);
    else
        buf_puts(out, "?");
}

static void put_names(struct buf *out, X509 *x, const char *between)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    const char *before = "";
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type = 0;
        const ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type != GEN_DNS && type != GEN_IPADD)
            continue;
        buf_puts(out, before);
        before = between;
        if (type == GEN_DNS)
            put_printable(out, ASN1_STRING_get0_data(s), ASN1_STRING_length(s));
        else
            put_address(out, ASN1_STRING_get0_data(s), ASN1_STRING_length(s));
    }
    GENERAL_NAMES_free(names);
}

static void put_key(struct buf *out, X509 *x)
{
    EVP_PKEY *key = X509_get0_pubkey(x);
    char group[64] = "";
    if (!key) {
        buf_puts(out, "not known to OpenSSL");
        return;
    }
    const char *type = EVP_PKEY_get0_type_name(key);
    if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1)
        buf_printf(out, "%s %s", type, group);
    else
        buf_printf(out, "%s %d bits", type ? type : "?", EVP_PKEY_get_bits(key));
}

static void put_fingerprint(struct buf *out, X509 *x)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!X509_digest(x, EVP_sha256(), digest, &n))
        return;
    for (unsigned i = 0; i < n; i++)
        buf_printf(out, "%s%02X", i ? ":" : "", digest[i]);
}

static void put_dates(struct buf *out, X509 *x)
{
    int64_t from = tls_time(X509_get0_notBefore(x)), to = tls_time(X509_get0_notAfter(x));
    int64_t now = os_wall_ms() / 1000;
    char a[11], b[11];
    tls_date(from, a);
    tls_date(to, b);
    buf_printf(out, "  valid:        %s to %s (", a, b);
    if (to <= now)
        buf_puts(out, "expired");
    else
        buf_printf(out, "%jd days left", (intmax_t)((to - now) / DAY_S));
    buf_puts(out, ")\n");
}

static void describe(struct report *r, int i)
{
    X509 *x = sk_X509_value(r->chain, i);
    struct buf *out = r->out;
    buf_printf(out, "certificate %d%s\n  subject:      ", i + 1,
               X509_check_ca(x) == 1 ? " (a CA)" : "");
    tls_name_text(X509_get_subject_name(x), out);
    buf_puts(out, "\n  issuer:       ");
    tls_name_text(X509_get_issuer_name(x), out);
    if (tls_has_names(x)) {
        buf_puts(out, "\n  names:        ");
        put_names(out, x, ", ");
    }
    buf_puts(out, "\n");
    put_dates(out, x);
    buf_puts(out, "  key:          ");
    put_key(out, x);
    buf_printf(out, "\n  signature:    %s\n  fingerprint:  SHA256 ",
               OBJ_nid2ln(X509_get_signature_nid(x)));
    put_fingerprint(out, x);
    buf_puts(out, "\n");
}

/* --- what is wrong with each */

static void check_strength(struct report *r, int i)
{
    X509 *x = sk_X509_value(r->chain, i);
    EVP_PKEY *key = X509_get0_pubkey(x);
    int md = NID_undef, bits = key ? EVP_PKEY_get_bits(key) : 0;
    bool rsa = key && (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"));
    bool ec = key && EVP_PKEY_is_a(key, "EC");
    if (!key)
        problem(r, "certificate %d: its kind of key is not known to OpenSSL", i + 1);
    else if ((rsa && bits < RSA_BITS) || (ec && bits < EC_BITS))
        problem(r,
                "certificate %d: the key is weak (%d bits); take ECDSA P-256, or RSA of %d or more",
                i + 1, bits, RSA_BITS);
    /* Nobody checks the signature of what is trusted by itself. */
    (void)X509_get_signature_info(x, &md, NULL, NULL, NULL);
    if (!tls_issued(x, x) && (md == NID_md5 || md == NID_sha1 || md == NID_md5_sha1))
        problem(r, "certificate %d is signed with %s, which is broken", i + 1, OBJ_nid2sn(md));
}

static void check_leaf(struct report *r)
{
    X509 *leaf = sk_X509_value(r->chain, 0);
    int64_t from = tls_time(X509_get0_notBefore(leaf)), to = tls_time(X509_get0_notAfter(leaf));
    int64_t now = os_wall_ms() / 1000;
    if (!tls_has_names(leaf))
        problem(r, "no subject alternative name: clients do not look at the CN (%s)",
                "Go, browsers, curl");
    if (to - from > (int64_t)DAYS_MAX * DAY_S)
        problem(r, "it lives for %jd days: clients of Apple refuse more than %d",
                (intmax_t)((to - from) / DAY_S), DAYS_MAX);
    if (to > now && to - now < SOON_DAYS * DAY_S && to - now < (to - from) / 3)
        buf_printf(r->out, "note: it expires in %jd days\n", (intmax_t)((to - now) / DAY_S));
}

static void check_order(struct report *r)
{
    unsigned strangers = 0;
    STACK_OF(X509) *sorted = sk_X509_dup(r->chain);
    if (sorted && tls_chain_sort(sorted, &strangers))
        problem(r, "the certificates are not in the order of issue: %s",
                "the server's own first, then the one that issued it, and so on");
    if (strangers)
        problem(r, "%u of the certificates did not issue any other of the file", strangers);
    sk_X509_free(sorted);
}

static int check_key(struct report *r, struct error *err)
{
    CLEANUP_PKEY EVP_PKEY *key = NULL;
    if (!r->check->key)
        return 0;
    if (tls_pem_key(r->check->key, &key, err))
        return -1;
    if (X509_check_private_key(sk_X509_value(r->chain, 0), key) != 1)
        problem(r, "the key %.200s does not belong to the certificate", r->check->key);
    return 0;
}

static void check_name(struct report *r)
{
    X509 *leaf = sk_X509_value(r->chain, 0);
    const char *name = r->check->name;
    unsigned char a[16];
    if (!name)
        return;
    bool address = inet_pton(AF_INET, name, a) == 1 || inet_pton(AF_INET6, name, a) == 1;
    int good = address ? X509_check_ip_asc(leaf, name, 0)
                       : X509_check_host(leaf, name, strlen(name),
                                         X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL);
    if (good == 1)
        return;
    CLEANUP_BUF struct buf names = {0};
    buf_init(&names, 16 * 1024);
    put_names(&names, leaf, ", ");
    problem(r, "it is not for %.100s; it is for %.700s", name,
            names.n ? names.p : "no name at all");
}

/* --- the way to somebody who is trusted */

/* In words, or NULL: said elsewhere. */
static const char *verdict(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "is not valid yet";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "is signed by itself, and no client trusts it; `berth cert create` makes a CA and a "
               "certificate";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "is a CA that this client does not trust (--ca FILE names one that is)";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        return "was issued by one that is neither in the file nor trusted: an intermediate "
               "certificate is missing, or the CA (--ca FILE)";
    case X509_V_ERR_INVALID_PURPOSE:
        return "may not be used for this: the extended key usage (serverAuth) does not allow it";
    case X509_V_ERR_INVALID_CA:
        return "is used as a CA, and may not be one";
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return NULL; /* follows from the missing issuer */
    default:
        return X509_verify_cert_error_string(error);
    }
}

/* Goes on after each error, so that all are found. */
static int on_verify(int ok, X509_STORE_CTX *ctx)
{
    struct report *r = X509_STORE_CTX_get_app_data(ctx);
    const char *text = ok ? NULL : verdict(X509_STORE_CTX_get_error(ctx));
    X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    if (!text)
        return 1;
    CLEANUP_BUF struct buf name = {0};
    buf_init(&name, 16 * 1024);
    if (x)
        tls_name_text(X509_get_subject_name(x), &name);
    problem(r, "%.300s %s", name.n ? name.p : "the certificate", text);
    return 1;
}

static int check_trust(struct report *r, struct error *err)
{
    CLEANUP_X509S STACK_OF(X509) *cas = NULL;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int rc = -1;
    bool ok = store && ctx;
    if (ok && r->check->ca && tls_pem_certificates(r->check->ca, &cas, err))
        goto out;
    for (int i = 0; ok && i < sk_X509_num(cas); i++)
        ok = X509_STORE_add_cert(store, sk_X509_value(cas, i)) == 1;
    if (ok && !r->check->ca)
        ok = X509_STORE_set_default_paths(store) == 1;
    ok = ok && X509_STORE_CTX_init(ctx, store, sk_X509_value(r->chain, 0), r->chain) == 1 &&
         X509_STORE_CTX_set_default(ctx, "ssl_server") == 1;
    if (!ok) {
        char why[128];
        (void)error_set(err, ERR_UNKNOWN, "OpenSSL: %s", tls_reason(why, sizeof why));
        goto out;
    }
    X509_STORE_CTX_set_app_data(ctx, r);
    X509_STORE_CTX_set_verify_cb(ctx, on_verify);
    (void)X509_verify_cert(ctx);
    rc = 0;
out:
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return rc;
}

int cert_show(const struct cert_check *check, struct buf *out, unsigned *problems,
              struct error *err)
{
    CLEANUP_X509S STACK_OF(X509) *chain = NULL;
    CLEANUP_BUF struct buf found = {0};
    buf_init(&found, 256 * 1024);
    ERR_clear_error();
    if (tls_pem_certificates(check->certificate, &chain, err))
        return -1;
    struct report r = {.check = check, .chain = chain, .out = out, .problems = found};
    for (int i = 0; i < sk_X509_num(chain); i++) {
        describe(&r, i);
        check_strength(&r, i);
    }
    check_leaf(&r);
    check_order(&r);
    check_name(&r);
    int rc = check_key(&r, err) || check_trust(&r, err) ? -1 : 0;
    found = r.problems;
    if (rc)
        return -1;
    if (found.n)
        buf_add(out, found.p, found.n);
    *problems = r.n;
    return 0;
}
