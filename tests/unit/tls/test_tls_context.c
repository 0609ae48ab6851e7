/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of certificates, keys and settings before anybody connects. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/util.h"

#include "base/banned.h"

/* The detail of the refusal has these words in it. */
static void refused_config(const struct tls_config *config, const char *words)
{
    struct error err = {0};
    struct tls_context *c = NULL;
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH); /* somebody's rest */
    int rc = tls_context_new(config, &c, &err);
    if (rc != -1 || c || !strstr(err.detail, words))
        fail_msg("%d: \"%s\" has no \"%s\"", rc, err.detail, words);
    assert_int_equal(err.code, ERR_BAD_REQUEST);
}

static void refused(struct dir *d, const char *cert, const char *key, const char *words)
{
    struct tls_config config = {.certificate = cert ? in(d, cert) : NULL,
                                .key = key ? in(d, key) : NULL};
    refused_config(&config, words);
}

static struct tls_context *loaded(const struct tls_config *config)
{
    struct error err = {0};
    struct tls_context *c = NULL;
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    if (tls_context_new(config, &c, &err))
        fail_msg("%s", err.message);
    assert_int_equal(ERR_peek_error(), 0);
    return c;
}

/* Loads, and warns with these words; NULL: does not warn. */
static void warned(struct dir *d, const char *cert, const char *key, const char *words)
{
    struct tls_config config = {.certificate = in(d, cert), .key = in(d, key)};
    struct tls_context *c = loaded(&config);
    const char *warning = tls_context_warning(c);
    if (!words)
        assert_null(warning);
    else if (!warning || !strstr(warning, words))
        fail_msg("\"%s\" has no \"%s\"", warning ? warning : "", words);
    tls_context_unref(c);
}

static void files(void **state)
{
    struct dir *d = *state;
    save_default(d);
    refused(d, NULL, "server.key", "both");
    refused(d, "server.crt", NULL, "both");
    refused(d, "none.crt", "server.key", "none.crt: No such file");
    refused(d, "server.crt", "none.key", "none.key: No such file");
    refused(d, "server.key", "server.crt", "are the two exchanged?");
    refused(d, "server.crt", "server.crt", "holds a certificate and no key");
    put_file(d, "empty", "", 0);
    refused(d, "empty", "server.key", "no certificate in PEM form");
    refused(d, "server.crt", "empty", "no private key in PEM form");
    refused(d, ".", "server.key", "Is a directory");
    char *big = xcalloc(1, 1024 * 1024 + 1);
    put_file(d, "big", big, 1024 * 1024 + 1);
    free(big);
    refused(d, "big", "server.key", "larger than 1 MiB");
    static const char request[] = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
                                  "-----END CERTIFICATE REQUEST-----\n";
    put_file(d, "csr", request, sizeof request - 1);
    refused(d, "csr", "server.key", "have it signed first");
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    put_file(d, "broken", broken, sizeof broken - 1);
    refused(d, "broken", "server.key", "certificate 1 is damaged");
    static const char bad_key[] = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    put_file(d, "bad_key", bad_key, sizeof bad_key - 1);
    refused(d, "server.crt", "bad_key", "cannot be read");
}

static void forms(void **state)
{
    struct dir *d = *state;
    struct made m = make(&(struct make){0});
    unsigned char *der = NULL;
    int n = i2d_X509(m.cert, &der);
    put_file(d, "der", der, (size_t)n);
    OPENSSL_free(der);
    save_chain(d, "a.crt", m.cert, NULL);
    save_key(d, "a.key", m.key, NULL);
    save_key(d, "secret.key", m.key, "password");
    refused(d, "der", "a.key", "openssl x509 -inform der");
    refused(d, "a.crt", "secret.key", "is encrypted");
    warned(d, "a.crt", "a.key", NULL);
    /* Both in one file, and through a symbolic link. */
    FILE *f = fopen(in(d, "both"), "w");
    PEM_write_PKCS8PrivateKey(f, m.key, NULL, NULL, 0, NULL, NULL);
    PEM_write_X509(f, m.cert);
    fclose(f);
    assert_int_equal(symlink("both", in(d, "link")), 0);
    warned(d, "link", "link", NULL);
    made_free(&m);
}

static void pairs(void **state)
{
    struct dir *d = *state;
    struct made ca = make(&(struct make){.cn = "CA", .ca = true});
    struct made a = make(&(struct make){.by = &ca}), b = make(&(struct make){.by = &ca});
    save_chain(d, "a.crt", a.cert, NULL);
    save_chain(d, "wrong.crt", ca.cert, a.cert, NULL);
    save_key(d, "a.key", a.key, NULL);
    save_key(d, "b.key", b.key, NULL);
    refused(d, "a.crt", "b.key", "does not belong to");
    refused(d, "wrong.crt", "a.key", "belongs to certificate 2 of the file");
    made_free(&a);
    made_free(&b);
    made_free(&ca);
}

static void dates(void **state)
{
    struct dir *d = *state;
    static const struct {
        int from, to;
        const char *words;
    } cases[] = {
        {-10, -1, "has expired on 20"},
        {1, 30, "is not valid before 20"},
        {-80, 9, "expires in 9 days"},
        {-1, 5, NULL}, /* a short life: renewed every day */
        {-60, 30, NULL},
        {-20, 13, NULL},
        {-300, 13, "expires in 13 days"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct made m = make(&(struct make){.from_days = cases[i].from, .to_days = cases[i].to});
        save_chain(d, "a.crt", m.cert, NULL);
        save_key(d, "a.key", m.key, NULL);
        warned(d, "a.crt", "a.key", cases[i].words);
        made_free(&m);
    }
    struct made m = make(&(struct make){.from_days = -1, .to_days = 50});
    save_chain(d, "a.crt", m.cert, NULL);
    save_key(d, "a.key", m.key, NULL);
    struct tls_context *c =
        loaded(&(struct tls_config){.certificate = in(d, "a.crt"), .key = in(d, "a.key")});
    int64_t left = tls_context_expiry(c) - (int64_t)time(NULL) - 50 * 86400;
    assert_true(left > 0 && left <= 600);
    /* While it is in force. */
    char text[TLS_AGE_TEXT] = "";
    int64_t end = tls_context_expiry(c), day = 86400;
    assert_int_equal(tls_context_age(c, end - 14 * day, text), TLS_AGE_FINE);
    assert_string_equal(text, "");
    assert_int_equal(tls_context_age(c, end - 14 * day + 1, text), TLS_AGE_SOON);
    assert_string_equal(text, "the certificate expires in 13 days");
    assert_int_equal(tls_context_age(c, end - 1, text), TLS_AGE_SOON);
    assert_int_equal(tls_context_age(c, end, text), TLS_AGE_OVER);
    assert_non_null(strstr(text, "has expired on 20"));
    tls_context_unref(c);
    /* What is no date is long over. */
    assert_int_equal(ASN1_STRING_set(X509_getm_notAfter(m.cert), "someday", -1), 1);
    assert_true(X509_sign(m.cert, m.key, EVP_sha256()) > 0);
    save_chain(d, "a.crt", m.cert, NULL);
    warned(d, "a.crt", "a.key", "has expired on 0000-01-01");
    made_free(&m);
}

static void names(void **state)
{
    struct dir *d = *state;
    struct made m = make(&(struct make){.names = ""});
    save_chain(d, "a.crt", m.cert, NULL);
    save_key(d, "a.key", m.key, NULL);
    warned(d, "a.crt", "a.key", "no subject alternative name");
    made_free(&m);
    m = make(&(struct make){.names = "email:a@example.org"});
    save_chain(d, "a.crt", m.cert, NULL);
    save_key(d, "a.key", m.key, NULL);
    warned(d, "a.crt", "a.key", "no subject alternative name");
    made_free(&m);
    struct made weak = make(&(struct make){.rsa_bits = 1024});
    save_chain(d, "w.crt", weak.cert, NULL);
    save_key(d, "w.key", weak.key, NULL);
    refused(d, "w.crt", "w.key", "key too small");
    struct made old = make(&(struct make){.cn = "old", .ca = true, .rsa_bits = 1024});
    struct made leaf = make(&(struct make){.by = &old});
    save_chain(d, "w.crt", leaf.cert, old.cert, NULL);
    save_key(d, "w.key", leaf.key, NULL);
    refused(d, "w.crt", "w.key", "key too small");
    made_free(&leaf);
    made_free(&old);
    made_free(&weak);
}

/* What a client gets, in the order in which it comes. */
static void sent_chain(struct dir *d, X509 *const *want, int n)
{
    struct peer p;
    struct tls_context *c =
        loaded(&(struct tls_config){.certificate = in(d, "a.crt"), .key = in(d, "a.key")});
    peer_init(&p, d, c);
    assert_int_equal(shake(&p), 1);
    STACK_OF(X509) *got = SSL_get_peer_cert_chain(p.client);
    assert_int_equal(sk_X509_num(got), n);
    for (int i = 0; i < n; i++)
        assert_int_equal(X509_cmp(sk_X509_value(got, i), want[i]), 0);
    peer_release(&p);
    tls_context_unref(c);
}

static void order(void **state)
{
    struct dir *d = *state;
    struct made root = make(&(struct make){.cn = "root", .ca = true});
    struct made one = make(&(struct make){.cn = "one", .ca = true, .by = &root});
    struct made two = make(&(struct make){.cn = "two", .ca = true, .by = &one});
    struct made leaf = make(&(struct make){.by = &two});
    struct made other = make(&(struct make){.cn = "other", .ca = true});
    save_chain(d, "ca.crt", root.cert, NULL);
    save_key(d, "a.key", leaf.key, NULL);
    save_chain(d, "a.crt", leaf.cert, two.cert, one.cert, NULL);
    warned(d, "a.crt", "a.key", NULL);
    sent_chain(d, (X509 *[]){leaf.cert, two.cert, one.cert}, 3);
    save_chain(d, "a.crt", leaf.cert, one.cert, two.cert, NULL);
    warned(d, "a.crt", "a.key", "not in the order of issue");
    sent_chain(d, (X509 *[]){leaf.cert, two.cert, one.cert}, 3);
    save_chain(d, "a.crt", leaf.cert, other.cert, two.cert, one.cert, root.cert, NULL);
    warned(d, "a.crt", "a.key", "1 of the certificates did not issue");
    sent_chain(d, (X509 *[]){leaf.cert, two.cert, one.cert, root.cert, other.cert}, 5);
    /* Only what is in the file, although the CAs for clients could complete it. */
    save_chain(d, "a.crt", leaf.cert, NULL);
    const char *ca = in(d, "ca.crt");
    save_chain(d, "ca.crt", root.cert, one.cert, two.cert, NULL);
    struct tls_context *c = loaded(&(struct tls_config){.certificate = in(d, "a.crt"),
                                                        .key = in(d, "a.key"),
                                                        .client_cas = &ca,
                                                        .n_client_cas = 1,
                                                        .client_auth = TLS_CLIENT_REQUEST});
    struct peer p;
    peer_init(&p, d, c);
    assert_int_equal(shake(&p), 1);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(p.client)), 1);
    peer_release(&p);
    tls_context_unref(c);
    made_free(&leaf);
    made_free(&two);
    made_free(&one);
    made_free(&root);
    made_free(&other);
}

static void settings(void **state)
{
    struct dir *d = *state;
    save_default(d);
    struct tls_config config = {.certificate = in(d, "server.crt"), .key = in(d, "server.key")};
    config.minimum = "tls1.1";
    refused_config(&config, "tls1.2 and tls1.3 are had");
    config.minimum = NULL;
    config.client_auth = TLS_CLIENT_REQUIRE_AND_VERIFY;
    refused_config(&config, "there is no CA");
    const char *cas[] = {in(d, "nobody.crt")};
    config.client_cas = cas;
    config.n_client_cas = 1;
    refused_config(&config, "nobody.crt: No such file");
    cas[0] = config.certificate;
    tls_context_unref(loaded(&config));
}

/* --- replacing while others use it */

struct users {
    const char *path;
    struct tls_server *server;
    atomic_bool stop;
};

static void *use(void *arg)
{
    struct users *u = arg;
    struct dir own = {.at = 0};
    memcpy(own.path, u->path, sizeof own.path);
    while (!atomic_load(&u->stop)) {
        struct tls_context *c = tls_server_current(u->server);
        struct peer p;
        peer_init(&p, &own, c);
        tls_context_unref(c);
        assert_int_equal(shake(&p), 1);
        talk(&p);
        peer_release(&p);
    }
    for (unsigned i = 0; i < ARRAY_LEN(own.text); i++)
        free(own.text[i]);
    return NULL;
}

static void threads(void **state)
{
    struct dir *d = *state;
    struct users u = {.path = d->path, .server = tls_server_new(default_context(d))};
    struct tls_config config = {.certificate = in(d, "server.crt"), .key = in(d, "server.key")};
    pthread_t t[3];
    for (unsigned i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, use, &u), 0);
    for (int i = 0; i < 50; i++)
        tls_server_replace(u.server, loaded(&config));
    atomic_store(&u.stop, true);
    for (unsigned i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    tls_server_free(u.server);
    tls_server_free(NULL);
    tls_context_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(forms, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(pairs, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(dates, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(names, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(order, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(settings, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(threads, dir_setup, dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
