/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "tls_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/util.h"

#include "base/banned.h"

static void extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static FILE *temporary(char *path, size_t n)
{
    (void)snprintf(path, n, "/tmp/berth-test-cert-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    return fdopen(fd, "w");
}

void test_cert_make(struct test_cert *c, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_true(key && x);
    assert_int_equal(X509_set_version(x, 2), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x), (long)getpid() + (long)strlen(name));
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 90L * 24 * 3600);
    X509_set_pubkey(x, key);
    X509_NAME *subject = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    extension(x, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    extension(x, NID_basic_constraints, "CA:TRUE");
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *f = temporary(c->certificate, sizeof c->certificate);
    assert_int_equal(PEM_write_X509(f, x), 1);
    (void)fclose(f);
    f = temporary(c->key, sizeof c->key);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

void test_cert_remove(struct test_cert *c)
{
    (void)unlink(c->certificate);
    (void)unlink(c->key);
}

struct tls_context *test_context(const struct test_cert *c, const struct test_cert *ca)
{
    const char *cas[] = {ca ? ca->certificate : NULL};
    struct tls_config config = {
        .certificate = c->certificate,
        .key = c->key,
        .client_cas = cas,
        .n_client_cas = ca ? 1 : 0,
        .client_auth = ca ? TLS_CLIENT_VERIFY_IF_GIVEN : TLS_CLIENT_NONE,
    };
    struct tls_context *context = NULL;
    struct error err = {0};
    if (tls_context_new(&config, &context, &err))
        fail_msg("tls_context_new: %s", err.message);
    return context;
}

bool tls_open(struct tls_peer *p, int fd, const struct test_cert *own, int version)
{
    p->fd = fd;
    p->ctx = SSL_CTX_new(TLS_client_method());
    if (version)
        SSL_CTX_set_max_proto_version(p->ctx, version);
    if (own) {
        assert_int_equal(SSL_CTX_use_certificate_file(p->ctx, own->certificate, SSL_FILETYPE_PEM),
                         1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(p->ctx, own->key, SSL_FILETYPE_PEM), 1);
    }
    p->ssl = SSL_new(p->ctx);
    SSL_set_fd(p->ssl, fd);
    SSL_set_tlsext_host_name(p->ssl, "localhost");
    return SSL_connect(p->ssl) == 1;
}

void tls_send(struct tls_peer *p, const void *data, size_t n)
{
    size_t at = 0, put = 0;
    while (at < n && SSL_write_ex(p->ssl, (const char *)data + at, n - at, &put) == 1)
        at += put; /* the server may close early: the answer tells */
}

void tls_text(struct tls_peer *p, const char *text)
{
    tls_send(p, text, strlen(text));
}

void tls_receive(struct tls_peer *p, struct reply *out, bool head_only)
{
    memset(out, 0, sizeof *out);
    size_t n = 0;
    while (n < sizeof out->head - 1) {
        if (SSL_read(p->ssl, out->head + n, 1) <= 0)
            return;
        n++;
        if (n >= 4 && memcmp(out->head + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    int status = (int)strtol(out->head + 9, NULL, 10);
    const char *length = reply_field(out, "Content-Length");
    size_t want = length && !head_only ? strtoull(length, NULL, 10) : 0, got = 0;
    out->body = xcalloc(1, want + 1);
    while (out->n < want) {
        if (SSL_read_ex(p->ssl, out->body + out->n, want - out->n, &got) != 1)
            return;
        out->n += got;
    }
    out->status = status;
}

bool tls_ended(struct tls_peer *p)
{
    char sink[4096];
    int n;
    while ((n = SSL_read(p->ssl, sink, sizeof sink)) > 0)
        ;
    return SSL_get_error(p->ssl, n) == SSL_ERROR_ZERO_RETURN;
}

void tls_close(struct tls_peer *p)
{
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    (void)close(p->fd);
}
