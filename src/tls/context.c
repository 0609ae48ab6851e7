/* SPDX-License-Identifier: Apache-2.0 */
/* What a listener offers: certificate, key, versions, suites, and who may come in. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/util.h"
#include "os/clock.h"
#include "tls/tls_int.h"

#include "base/banned.h"

enum { DAY_S = 86400, SOON_DAYS = 14, CLIENT_DEPTH_MAX = 8 };

/* What is read before OpenSSL's context is made from it. */
struct material {
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    struct buf warning;
};

static void material_release(struct material *m)
{
    sk_X509_pop_free(m->chain, X509_free);
    EVP_PKEY_free(m->key);
    buf_release(&m->warning);
}
#define CLEANUP_MATERIAL __attribute__((cleanup(material_release)))

static void warn(struct material *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct material *m, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (m->warning.n)
        buf_puts(&m->warning, "; ");
    buf_puts(&m->warning, text);
}

/* --- certificate and key */

static enum tls_age age_at(int64_t from, int64_t to, int64_t now, char *text, size_t size)
{
    char day[11];
    int64_t left = (to - now) / DAY_S;
    if (to <= now) {
        tls_date(to, day);
        (void)snprintf(text, size, "the certificate has expired on %s", day);
        return TLS_AGE_OVER;
    }
    /* One that lives for a few days is renewed in time by whoever made it so. */
    if (left >= SOON_DAYS || to - now >= (to - from) / 3)
        return TLS_AGE_FINE;
    (void)snprintf(text, size, "the certificate expires in %jd days", (intmax_t)left);
    return TLS_AGE_SOON;
}

static void check_dates(struct material *m, X509 *leaf)
{
    int64_t now = os_wall_ms() / 1000;
    int64_t from = tls_time(X509_get0_notBefore(leaf)), to = tls_time(X509_get0_notAfter(leaf));
    char day[11], text[TLS_AGE_TEXT];
    if (from > now) {
        tls_date(from, day);
        warn(m, "the certificate is not valid before %s", day);
    }
    if (age_at(from, to, now, text, sizeof text) != TLS_AGE_FINE)
        warn(m, "%s", text);
}

static int check_pair(const struct tls_config *config, struct material *m, struct error *err)
{
    X509 *leaf = sk_X509_value(m->chain, 0);
    if (X509_check_private_key(leaf, m->key) == 1)
        return 0;
    for (int i = 1; i < sk_X509_num(m->chain); i++)
        if (X509_check_private_key(sk_X509_value(m->chain, i), m->key) == 1)
            return error_detail(err, ERR_BAD_REQUEST,
                                "%.200s: the key belongs to certificate %d of the file; that one "
                                "has to be the first, the others follow in the order of issue",
                                config->certificate, i + 1);
    return error_detail(err, ERR_BAD_REQUEST,
                        "the key %.200s does not belong to the certificate %.200s", config->key,
                        config->certificate);
}

static int load(const struct tls_config *config, struct material *m, struct error *err)
{
    unsigned strangers = 0;
    if (!config->certificate || !config->key)
        return error_detail(err, ERR_BAD_REQUEST, "a certificate and its key are needed, both");
    if (tls_pem_certificates(config->certificate, &m->chain, err) ||
        tls_pem_key(config->key, &m->key, err) || check_pair(config, m, err))
        return -1;
    X509 *leaf = sk_X509_value(m->chain, 0);
    check_dates(m, leaf);
    if (!tls_has_names(leaf))
        warn(m, "the certificate has no subject alternative name: clients refuse it");
    if (tls_chain_sort(m->chain, &strangers))
        warn(m,
             "the certificates of the chain were not in the order of issue; they are sent in it");
    if (strangers)
        warn(m, "%u of the certificates did not issue any other of the file", strangers);
    ERR_clear_error(); /* comparisons that did not match have left something */
    return 0;
}

static int failed(struct error *err, const char *what, const char *path)
{
    char why[128];
    return error_detail(err, ERR_BAD_REQUEST, "%s %.200s: OpenSSL refuses it: %s", what, path,
                        tls_reason(why, sizeof why));
}

static int install_pair(SSL_CTX *ssl, const struct tls_config *config, struct material *m,
                        struct error *err)
{
    if (SSL_CTX_use_certificate(ssl, sk_X509_value(m->chain, 0)) != 1)
        return failed(err, "certificate", config->certificate);
    if (SSL_CTX_use_PrivateKey(ssl, m->key) != 1)
        return failed(err, "key", config->key);
    for (int i = 1; i < sk_X509_num(m->chain); i++)
        if (SSL_CTX_add1_chain_cert(ssl, sk_X509_value(m->chain, i)) != 1)
            return failed(err, "chain of", config->certificate);
    return 0;
}

/* --- versions and suites */

static int install_versions(SSL_CTX *ssl, const struct tls_config *config, struct material *m,
                            struct error *err)
{
    const char *minimum = config->minimum ? config->minimum : "tls1.2";
    bool only_13 = strcmp(minimum, "tls1.3") == 0;
    if (!only_13 && strcmp(minimum, "tls1.2") != 0)
        return error_detail(err, ERR_BAD_REQUEST,
                            "minimum TLS version \"%.40s\": tls1.2 and tls1.3 are had; what is "
                            "older is broken",
                            minimum);
    struct tls_suites suites;
    int rc = tls_suites_parse(config->ciphers, config->n_ciphers, &suites, err);
    if (rc == 0 && !only_13) {
        bool rsa = EVP_PKEY_is_a(m->key, "RSA") == 1;
        only_13 = suites.only_13;
        if (!only_13 && !(rsa ? suites.rsa : suites.ecdsa))
            warn(m, "no cipher suite of TLS 1.2 in the list is for a key of kind %s",
                 rsa ? "RSA" : "ECDSA");
        if (!only_13 && SSL_CTX_set_cipher_list(ssl, suites.list.p) != 1)
            rc = failed(err, "cipher suites", suites.list.p);
    }
    buf_release(&suites.list);
    if (rc)
        return -1;
    /* AES-128 first: as safe here and a quarter faster. */
    if (SSL_CTX_set_min_proto_version(ssl, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                      "TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(ssl, "X25519:P-256:P-384") != 1)
        return failed(err, "TLS", minimum);
    return 0;
}

/* --- certificates of clients */

/* For the modes that look at a certificate without judging it. */
static int accept_any(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

static int add_ca(SSL_CTX *ssl, const char *path, struct error *err)
{
    CLEANUP_X509S STACK_OF(X509) *found = NULL;
    if (tls_pem_certificates(path, &found, err))
        return -1;
    for (int i = 0; i < sk_X509_num(found); i++) {
        X509 *x = sk_X509_value(found, i);
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), x) != 1 ||
            SSL_CTX_add_client_CA(ssl, x) != 1)
            return failed(err, "client CA", path);
    }
    return 0;
}

static int install_clients(struct tls_context *c, const struct tls_config *config,
                           struct error *err)
{
    enum tls_client_auth mode = config->client_auth;
    c->verifies = mode == TLS_CLIENT_VERIFY_IF_GIVEN || mode == TLS_CLIENT_REQUIRE_AND_VERIFY;
    if (mode == TLS_CLIENT_NONE)
        return 0;
    if (c->verifies && config->n_client_cas == 0)
        return error_detail(err, ERR_BAD_REQUEST,
                            "certificates of clients are to be verified, and there is no CA to do "
                            "it by: name one in clientcas");
    for (unsigned i = 0; i < config->n_client_cas; i++)
        if (add_ca(c->ssl, config->client_cas[i], err))
            return -1;
    bool required = mode == TLS_CLIENT_REQUIRE_ANY || mode == TLS_CLIENT_REQUIRE_AND_VERIFY;
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    SSL_CTX_set_verify_depth(c->ssl, CLIENT_DEPTH_MAX);
    if (!c->verifies)
        SSL_CTX_set_cert_verify_callback(c->ssl, accept_any, NULL);
    /* As Go: any certificate in the list is trusted, not only one that is signed by itself. */
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ssl), X509_V_FLAG_PARTIAL_CHAIN);
    return 0;
}

/* --- what the client says in its first message */

/* RFC 7301. One that speaks some HTTP but offers no http/1.1 is answered as one without ALPN, which
 * is what Go and nginx do; one that wants another protocol was led here (ALPACA) and is refused. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned n, void *arg)
{
    static const char *const http[] = {"h2", "http/1.0", "http/0.9", "h3"};
    bool speaks_http = false;
    (void)ssl;
    (void)arg;
    for (unsigned at = 0; at < n; at += 1u + in[at]) {
        struct slice name = {(const char *)in + at + 1, in[at]};
        if (slice_is(name, "http/1.1")) {
            *out = in + at + 1;
            *out_n = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
        for (unsigned i = 0; i < ARRAY_LEN(http); i++)
            speaks_http |= slice_is(name, http[i]);
    }
    return speaks_http ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Without it OpenSSL forgets the name that a resumed session of TLS 1.2 was made for. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

/* --- life */

static int configure(struct tls_context *c, const struct tls_config *config, struct material *m,
                     struct error *err)
{
    static const unsigned char id[] = "berth";
    SSL_CTX *ssl = c->ssl;
    SSL_CTX_set_app_data(ssl, c);
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                       /* A body's end is HTTP's to tell, not TLS's. */
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS |
                                    /* The chain is what is in the file. */
                                    SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_id_context(ssl, id, sizeof id - 1);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
    (void)SSL_CTX_set_tlsext_servername_callback(ssl, on_server_name);
    tls_tickets_install(&c->tickets, ssl);
    return install_versions(ssl, config, m, err) || install_pair(ssl, config, m, err) ||
                   install_clients(c, config, err)
               ? -1
               : 0;
}

int tls_context_new(const struct tls_config *config, struct tls_context **out, struct error *err)
{
    CLEANUP_MATERIAL struct material m = {0};
    buf_init(&m.warning, 4096);
    ERR_clear_error();
    if (load(config, &m, err))
        return -1;
    struct tls_context *c = xcalloc(1, sizeof *c);
    atomic_init(&c->refs, 1);
    tls_pool_init(&c->pool);
    int rc = tls_tickets_init(&c->tickets, err);
    c->ssl = SSL_CTX_new(TLS_server_method());
    c->bio = tls_bio_method();
    if (rc == 0 && (!c->ssl || !c->bio))
        rc = error_set(err, ERR_UNKNOWN, "out of memory");
    if (rc || configure(c, config, &m, err)) {
        tls_context_unref(c);
        return -1;
    }
    c->made = tls_time(X509_get0_notBefore(sk_X509_value(m.chain, 0)));
    c->expiry = tls_time(X509_get0_notAfter(sk_X509_value(m.chain, 0)));
    c->warning = buf_steal(&m.warning, NULL);
    ERR_clear_error();
    *out = c;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    unsigned before = atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    CHECK(before > 0 && before < UINT_MAX);
    return c;
}

void tls_context_unref(struct tls_context *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->bio);
    tls_tickets_release(&c->tickets);
    tls_pool_release(&c->pool);
    free(c->warning);
    free(c);
}

int64_t tls_context_expiry(const struct tls_context *c)
{
    return c->expiry;
}

enum tls_age tls_context_age(const struct tls_context *c, int64_t now, char text[TLS_AGE_TEXT])
{
    return age_at(c->made, c->expiry, now, text, TLS_AGE_TEXT);
}

const char *tls_context_warning(const struct tls_context *c)
{
    return c->warning;
}

/* --- the context in force */

struct tls_server {
    pthread_mutex_t lock; /* guards current */
    struct tls_context *current;
};

struct tls_server *tls_server_new(struct tls_context *c)
{
    struct tls_server *s = xcalloc(1, sizeof *s);
    CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
    s->current = c;
    return s;
}

void tls_server_replace(struct tls_server *s, struct tls_context *c)
{
    (void)pthread_mutex_lock(&s->lock);
    struct tls_context *old = s->current;
    s->current = c;
    (void)pthread_mutex_unlock(&s->lock);
    tls_context_unref(old);
}

struct tls_context *tls_server_current(struct tls_server *s)
{
    (void)pthread_mutex_lock(&s->lock);
    struct tls_context *c = tls_context_ref(s->current);
    (void)pthread_mutex_unlock(&s->lock);
    return c;
}

void tls_server_free(struct tls_server *s)
{
    if (!s)
        return;
    tls_context_unref(s->current);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
