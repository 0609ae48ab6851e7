/* SPDX-License-Identifier: Apache-2.0 */
/* `berth cert create`: a CA of one's own, and a certificate that it signs. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/util.h"
#include "os/clock.h"
#include "tls/cert.h"
#include "tls/cert_int.h"
#include "tls/tls_int.h"

#include "base/banned.h"

enum {
    DAY_S = 86400,
    DAYS_MAX = 825, /* Apple's clients accept no more, from any CA */
    CA_DAYS_MAX = 36500,
    EARLY_S = 3600, /* clocks of clients that are behind */
    NAMES_MAX = 100,
    NAME_MAX_BYTES = 253, /* RFC 1035 */
    LABEL_MAX = 63,
    CN_MAX = 64, /* ub-common-name, RFC 5280 */
    PEM_MAX = 64 * 1024
};

/* --- names */

static bool is_address(const char *name)
{
    unsigned char a[16];
    return inet_pton(AF_INET, name, a) == 1 || inet_pton(AF_INET6, name, a) == 1;
}

static bool is_label(struct slice s)
{
    if (s.n == 0 || s.n > LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

static bool is_dns(const char *name)
{
    struct slice rest = slice_cstr(name);
    bool digits = true;
    if (rest.n > NAME_MAX_BYTES)
        return false;
    if (slice_starts(rest, SLICE_LIT("*."))) {
        rest = slice_from(rest, 2);
        if (!strchr(name + 2, '.')) /* *.org is accepted by nobody */
            return false;
    }
    while (rest.p) {
        struct slice label = slice_cut(&rest, '.');
        if (!is_label(label))
            return false;
        digits = true;
        for (size_t i = 0; i < label.n; i++)
            digits &= label.p[i] >= '0' && label.p[i] <= '9';
    }
    return !digits; /* the last label: 1.2.3 is a mistyped address */
}

static int check_request(const struct cert_request *r, struct error *err)
{
    if (r->n_names == 0 || r->n_names > NAMES_MAX)
        return error_detail(err, ERR_BAD_REQUEST, "1 to %d names, please", NAMES_MAX);
    for (unsigned i = 0; i < r->n_names; i++)
        if (!is_address(r->names[i]) && !is_dns(r->names[i]))
            return error_detail(err, ERR_BAD_REQUEST,
                                "\"%.100s\" is neither a host name nor an IP address (a port or "
                                "https:// is not part of a name)",
                                r->names[i]);
    if (r->days == 0 || r->days > DAYS_MAX)
        return error_detail(err, ERR_BAD_REQUEST, "1 to %d days: clients refuse what lives longer",
                            DAYS_MAX);
    if (r->ca_days == 0 || r->ca_days > CA_DAYS_MAX)
        return error_detail(err, ERR_BAD_REQUEST, "1 to %d days for the CA", CA_DAYS_MAX);
    return 0;
}

/* --- making */

static int openssl_failed(struct error *err, const char *what)
{
    char why[128];
    return error_set(err, ERR_UNKNOWN, "%s: OpenSSL: %s", what, tls_reason(why, sizeof why));
}

static EVP_PKEY *make_key(enum cert_key kind)
{
    return kind == CERT_RSA_4096 ? EVP_RSA_gen(4096) : EVP_EC_gen("P-256");
}

static bool extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    return ok;
}

/* A certificate without extensions and signature. Valid from an hour ago. */
static X509 *begin(const char *cn, const X509_NAME *issuer, EVP_PKEY *key, int64_t from, int64_t to)
{
    CLEANUP_X509 X509 *x = X509_new();
    unsigned char serial[16];
    os_random(serial, sizeof serial);
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and always 16 bytes */
    BIGNUM *bn = BN_bin2bn(serial, sizeof serial, NULL);
    X509_NAME *name = X509_NAME_new();
    bool ok = x && bn && name && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) &&
              X509_set_version(x, X509_VERSION_3) &&
              X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"berth",
                                         -1, -1, 0) &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1,
                                         -1, 0) &&
              X509_set_subject_name(x, name) && X509_set_issuer_name(x, issuer ? issuer : name) &&
              ASN1_TIME_set(X509_getm_notBefore(x), (time_t)from) &&
              ASN1_TIME_set(X509_getm_notAfter(x), (time_t)to) && X509_set_pubkey(x, key);
    BN_free(bn);
    X509_NAME_free(name);
    return ok ? STEAL(x) : NULL;
}

static int make_ca(const struct cert_request *r, X509 **cert, EVP_PKEY **key, struct error *err)
{
    int64_t from = os_wall_ms() / 1000 - EARLY_S;
    unsigned char random[4];
    char hex[9], day[11], cn[CN_MAX];
    os_random(random, sizeof random);
    hex_encode(random, sizeof random, hex);
    tls_date(os_wall_ms() / 1000, day);
    /* A name of its own: a machine that trusts two CAs of one name tries the wrong one. */
    (void)snprintf(cn, sizeof cn, "berth CA %s %s", day, hex);
    CLEANUP_PKEY EVP_PKEY *k = make_key(r->key);
    CLEANUP_X509 X509 *x =
        k ? begin(cn, NULL, k, from, from + (int64_t)r->ca_days * DAY_S - 1) : NULL;
    if (!x || !extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !extend(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !extend(x, x, NID_subject_key_identifier, "hash") || !X509_sign(x, k, EVP_sha256()))
        return openssl_failed(err, "make the CA");
    *cert = STEAL(x);
    *key = STEAL(k);
    return 0;
}

static void names_text(const struct cert_request *r, struct buf *out)
{
    buf_init(out, (size_t)NAMES_MAX * (NAME_MAX_BYTES + 8));
    for (unsigned i = 0; i < r->n_names; i++)
        buf_printf(out, "%s%s:%s", i ? "," : "", is_address(r->names[i]) ? "IP" : "DNS",
                   r->names[i]);
}

static int make_server(const struct cert_request *r, X509 *ca, EVP_PKEY *ca_key, X509 **cert,
                       EVP_PKEY **key, struct error *err)
{
    int64_t from = os_wall_ms() / 1000 - EARLY_S;
    int64_t to = from + (int64_t)r->days * DAY_S - 1;
    CLEANUP_BUF struct buf names = {0};
    char day[11];
    int64_t ca_to = tls_time(X509_get0_notAfter(ca));
    if (to > ca_to) {
        tls_date(ca_to, day);
        return error_detail(err, ERR_BAD_REQUEST,
                            "the CA %.200s ends on %s, before the certificate would: take fewer "
                            "days, or move the CA away and give the new one to the clients",
                            r->ca_certificate, day);
    }
    names_text(r, &names);
    const char *cn = r->names[0];
    if (strlen(cn) > CN_MAX)
        cn = "berth";
    const char *usage = r->key == CERT_RSA_4096 ? "critical,digitalSignature,keyEncipherment"
                                                : "critical,digitalSignature";
    CLEANUP_PKEY EVP_PKEY *k = make_key(r->key);
    CLEANUP_X509 X509 *x = k ? begin(cn, X509_get_subject_name(ca), k, from, to) : NULL;
    if (!x || names.failed || !extend(x, ca, NID_basic_constraints, "critical,CA:FALSE") ||
        !extend(x, ca, NID_key_usage, usage) || !extend(x, ca, NID_ext_key_usage, "serverAuth") ||
        !extend(x, ca, NID_subject_alt_name, names.p) ||
        !extend(x, ca, NID_subject_key_identifier, "hash") ||
        (X509_get0_subject_key_id(ca) && !extend(x, ca, NID_authority_key_identifier, "keyid")) ||
        !X509_sign(x, ca_key, EVP_sha256()))
        return openssl_failed(err, "make the certificate");
    *cert = STEAL(x);
    *key = STEAL(k);
    return 0;
}

/* --- the CA that is there */

static int load_ca(const struct cert_request *r, X509 **cert, EVP_PKEY **key, struct error *err)
{
    CLEANUP_X509S STACK_OF(X509) *found = NULL;
    CLEANUP_PKEY EVP_PKEY *k = NULL;
    if (tls_pem_certificates(r->ca_certificate, &found, err) || tls_pem_key(r->ca_key, &k, err))
        return -1;
    X509 *x = sk_X509_value(found, 0);
    if (X509_check_private_key(x, k) != 1) {
        ERR_clear_error();
        return error_detail(err, ERR_BAD_REQUEST, "the key %.200s does not belong to the CA %.200s",
                            r->ca_key, r->ca_certificate);
    }
    if (X509_check_ca(x) != 1 || !(X509_get_key_usage(x) & KU_KEY_CERT_SIGN))
        return error_detail(err, ERR_BAD_REQUEST, "%.300s is not a CA: it may not sign others",
                            r->ca_certificate);
    *cert = sk_X509_shift(found);
    *key = STEAL(k);
    return 0;
}

/* Both files or none. 1: they are there, 0: neither is. */
static int has_ca(const struct cert_request *r, struct error *err)
{
    bool cert = access(r->ca_certificate, F_OK) == 0, key = access(r->ca_key, F_OK) == 0;
    if (cert == key)
        return cert;
    return error_detail(err, ERR_BAD_REQUEST,
                        "%.160s is there and %.160s is not: bring it back, or move the other away "
                        "for a new CA",
                        cert ? r->ca_certificate : r->ca_key, cert ? r->ca_key : r->ca_certificate);
}

/* --- all of it */

static int to_pem(X509 *cert, EVP_PKEY *key, struct buf *out, struct error *err)
{
    CLEANUP_BIO BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when it grows and when it goes */
    char *p = NULL;
    int ok = !bio   ? 0
             : cert ? PEM_write_bio_X509(bio, cert)
                    : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    long n = ok ? BIO_get_mem_data(bio, &p) : 0;
    if (n <= 0 || buf_reserve(out, (size_t)n) || buf_add(out, p, (size_t)n))
        return openssl_failed(err, "write PEM");
    return 0;
}

int cert_create(const struct cert_request *r, bool *ca_made, struct error *err)
{
    CLEANUP_X509 X509 *ca = NULL;
    CLEANUP_X509 X509 *cert = NULL;
    CLEANUP_PKEY EVP_PKEY *ca_key = NULL;
    CLEANUP_PKEY EVP_PKEY *key = NULL;
    CLEANUP_SECRET struct buf text = {0};
    CLEANUP_SECRET struct buf secret = {0};
    CLEANUP_SECRET struct buf ca_text = {0};
    CLEANUP_SECRET struct buf ca_secret = {0};
    ERR_clear_error();
    if (check_request(r, err))
        return -1;
    int there = has_ca(r, err);
    if (there < 0 || (there ? load_ca(r, &ca, &ca_key, err) : make_ca(r, &ca, &ca_key, err)) ||
        make_server(r, ca, ca_key, &cert, &key, err))
        return -1;
    buf_init(&text, PEM_MAX);
    buf_init(&secret, PEM_MAX);
    buf_init(&ca_text, PEM_MAX);
    buf_init(&ca_secret, PEM_MAX);
    if (to_pem(cert, NULL, &text, err) || to_pem(NULL, key, &secret, err) ||
        to_pem(ca, NULL, &ca_text, err) || to_pem(NULL, ca_key, &ca_secret, err))
        return -1;
    /* A CA under another one: clients trust that one, and have to be given the one between. */
    if (!tls_issued(ca, ca) && buf_add(&text, ca_text.p, ca_text.n))
        return error_set(err, ERR_UNKNOWN, "out of memory");
    ERR_clear_error();
    const struct cert_file files[] = {
        {r->private_key, 0600, &secret, r->replace},
        {r->certificate, 0644, &text, r->replace},
        {r->ca_key, 0600, &ca_secret, false},
        {r->ca_certificate, 0644, &ca_text, false},
    };
    if (cert_write(files, there ? 2 : 4, err))
        return -1;
    *ca_made = !there;
    return 0;
}
