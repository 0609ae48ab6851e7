/* SPDX-License-Identifier: Apache-2.0 */
/* `berth cert`: what is made, and what is said of what others made. */
#include "fixture.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/buf.h"
#include "base/util.h"
#include "os/fault.h"
#include "tls/cert.h"

#include "base/banned.h"

static const char *const names[] = {"registry.example.org", "*.example.org", "127.0.0.1", "::1"};

static struct cert_request request(struct dir *d)
{
    return (struct cert_request){
        .names = names,
        .n_names = ARRAY_LEN(names),
        .key = CERT_ECDSA_P256,
        .days = 397,
        .ca_days = 3650,
        .ca_certificate = in(d, "ca.crt"),
        .ca_key = in(d, "ca.key"),
        .certificate = in(d, "server.crt"),
        .private_key = in(d, "server.key"),
    };
}

static X509 *read_cert(struct dir *d, const char *name)
{
    FILE *f = fopen(in(d, name), "r");
    assert_non_null(f);
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    assert_non_null(x);
    fclose(f);
    return x;
}

static unsigned mode_of(struct dir *d, const char *name)
{
    struct stat st;
    return stat(in(d, name), &st) == 0 ? st.st_mode & 0777 : 0;
}

static void content(struct dir *d, const char *name, struct buf *out)
{
    FILE *f = fopen(in(d, name), "r");
    assert_non_null(f);
    buf_init(out, 65536);
    assert_int_equal(buf_reserve(out, 65536), 0);
    out->n = fread(out->p, 1, 65536, f);
    fclose(f);
}

/* Only these are in the directory. */
static void assert_files(struct dir *d, unsigned n)
{
    static const char *const all[] = {"ca.crt", "ca.key", "server.crt", "server.key"};
    unsigned found = 0;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        found += access(in(d, all[i]), F_OK) == 0;
    assert_int_equal(found, n);
    unsigned entries = 0;
    DIR *dir = opendir(d->path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        entries += e->d_name[0] != '.';
    closedir(dir);
    assert_int_equal(entries, n);
}

static unsigned shown(const struct cert_check *check, struct buf *out)
{
    struct error err = {0};
    unsigned problems = 99;
    buf_init(out, 65536);
    if (cert_show(check, out, &problems, &err))
        fail_msg("%s", err.message);
    buf_putc(out, '\0');
    return problems;
}

/* So many problems, one of them with these words. */
static void finds(const struct cert_check *check, unsigned n, const char *words)
{
    struct buf out;
    unsigned problems = shown(check, &out);
    if (problems != n || (words && !strstr(out.p, words)))
        fail_msg("%u problems, want %u with \"%s\":\n%s", problems, n, words, out.p ? out.p : "");
    unsigned lines = 0;
    for (const char *p = out.p; (p = strstr(p, "problem: ")); p++)
        lines++;
    assert_int_equal(lines, n);
    buf_release(&out);
}

static void created(void **state)
{
    struct dir *d = *state;
    for (int rsa = 0; rsa < 2; rsa++) {
        struct cert_request r = request(d);
        struct error err = {0};
        bool made = false;
        r.key = rsa ? CERT_RSA_4096 : CERT_ECDSA_P256;
        if (cert_create(&r, &made, &err))
            fail_msg("%s", err.message);
        assert_true(made);
        assert_files(d, 4);
        assert_int_equal(mode_of(d, "ca.key"), 0600);
        assert_int_equal(mode_of(d, "server.key"), 0600);
        assert_int_equal(mode_of(d, "ca.crt") & 0444, 0444);
        assert_int_equal(mode_of(d, "server.crt") & 0444, 0444);
        static const char *const good[] = {"registry.example.org", "a.example.org", "127.0.0.1",
                                           "::1"};
        for (unsigned i = 0; i < ARRAY_LEN(good); i++)
            finds(&(struct cert_check){.certificate = in(d, "server.crt"),
                                       .key = in(d, "server.key"),
                                       .ca = in(d, "ca.crt"),
                                       .name = good[i]},
                  0, rsa ? "RSA 4096 bits" : "EC prime256v1");
        static const char *const bad[] = {"example.org", "a.b.example.org", "127.0.0.2", "::2"};
        for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
            finds(&(struct cert_check){.certificate = in(d, "server.crt"),
                                       .ca = in(d, "ca.crt"),
                                       .name = bad[i]},
                  1, "it is for registry.example.org, *.example.org, 127.0.0.1, ::1");
        X509 *ca = read_cert(d, "ca.crt"), *x = read_cert(d, "server.crt");
        assert_int_equal(X509_get_pathlen(ca), 0);
        assert_int_equal(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
        assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
        assert_int_equal(X509_get_key_usage(x),
                         KU_DIGITAL_SIGNATURE | (rsa ? KU_KEY_ENCIPHERMENT : 0));
        int days, seconds;
        ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(x), X509_get0_notAfter(x));
        assert_int_equal(days, 396);
        assert_int_equal(seconds, 86399);
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(ca));
        assert_true(days >= 3648 && days < 3650);
        assert_true(X509_cmp_current_time(X509_get0_notBefore(x)) < 0);
        X509_free(ca);
        X509_free(x);
        /* It serves. */
        struct tls_context *c = NULL;
        struct tls_config config = {.certificate = r.certificate, .key = r.private_key};
        assert_int_equal(tls_context_new(&config, &c, &err), 0);
        assert_null(tls_context_warning(c));
        struct peer p;
        peer_init(&p, d, c);
        assert_int_equal(SSL_set1_host(p.client, "a.example.org"), 1);
        assert_int_equal(shake(&p), 1);
        talk(&p);
        peer_release(&p);
        tls_context_unref(c);
        assert_int_equal(unlink(in(d, "ca.crt")) + unlink(in(d, "ca.key")) +
                             unlink(in(d, "server.crt")) + unlink(in(d, "server.key")),
                         0);
    }
}

static void again(void **state)
{
    struct dir *d = *state;
    struct cert_request r = request(d);
    struct error err = {0};
    struct buf ca, ca2, cert, cert2, key, key2;
    bool made = false;
    assert_int_equal(cert_create(&r, &made, &err), 0);
    content(d, "ca.crt", &ca);
    content(d, "server.crt", &cert);
    content(d, "server.key", &key);
    assert_int_equal(cert_create(&r, &made, &err), -1);
    assert_non_null(strstr(err.detail, "is there already"));
    r.replace = true;
    made = true;
    assert_int_equal(cert_create(&r, &made, &err), 0);
    assert_false(made);
    content(d, "ca.crt", &ca2);
    content(d, "server.crt", &cert2);
    content(d, "server.key", &key2);
    assert_true(slice_eq(buf_view(&ca), buf_view(&ca2)));
    assert_false(slice_eq(buf_view(&cert), buf_view(&cert2)));
    assert_false(slice_eq(buf_view(&key), buf_view(&key2)));
    assert_int_equal(mode_of(d, "server.key"), 0600);
    finds(&(struct cert_check){.certificate = in(d, "server.crt"),
                               .key = in(d, "server.key"),
                               .ca = in(d, "ca.crt")},
          0, NULL);
    /* Half of a CA is none. */
    assert_int_equal(unlink(in(d, "ca.key")), 0);
    assert_int_equal(cert_create(&r, &made, &err), -1);
    assert_non_null(strstr(err.detail, "ca.key is not"));
    buf_release(&ca);
    buf_release(&ca2);
    buf_release(&cert);
    buf_release(&cert2);
    buf_release(&key);
    buf_release(&key2);
}

static void refused(struct cert_request *r, const char *words)
{
    struct error err = {0};
    bool made = false;
    if (cert_create(r, &made, &err) != -1 || !strstr(err.detail, words))
        fail_msg("\"%s\" has no \"%s\"", err.detail, words);
}

static void bad_requests(void **state)
{
    struct dir *d = *state;
    struct cert_request r = request(d);
    static const char *const bad[] = {
        "",
        "a b",
        "-a.org",
        "a-.org",
        "a..org",
        ".org",
        "a.org.",
        "*",
        "*.org",
        "a.*.org",
        "**.a.org",
        "registry.example.org:5000",
        "https://a.org",
        "1.2.3",
        "1.2.3.4.5",
        "::g",
        "[::1]",
        "a,DNS:b",
        "m\xc3\xbcnchen.de",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org" /* 64 */};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        const char *one[] = {"good.org", bad[i]};
        r.names = one;
        r.n_names = 2;
        refused(&r, "is neither a host name nor an IP address");
    }
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    for (unsigned i = 50; i < sizeof long_name; i += 50)
        long_name[i] = '.';
    long_name[254] = '\0';
    r.names = (const char *[]){long_name};
    r.n_names = 1;
    refused(&r, "is neither a host name");
    r.n_names = 0;
    refused(&r, "1 to 100 names");
    r = request(d);
    r.days = 826;
    refused(&r, "1 to 825 days");
    r.days = 0;
    refused(&r, "1 to 825 days");
    r.days = 825;
    r.ca_days = 0;
    refused(&r, "for the CA");
    r.ca_days = 800;
    refused(&r, "before the certificate would");
    r.ca_days = 3650;
    const char *lost = r.certificate;
    r.certificate = in(d, "no/server.crt");
    struct error err = {0};
    bool made = false;
    assert_int_equal(cert_create(&r, &made, &err), -1);
    assert_non_null(strstr(err.message, "no/server.crt"));
    r.certificate = lost;
    assert_files(d, 0);
    /* A name that is longer than a CN can be. */
    long_name[100] = '\0';
    r.names = (const char *[]){long_name};
    r.n_names = 1;
    assert_int_equal(cert_create(&r, &made, &err), 0);
    finds(&(struct cert_check){.certificate = r.certificate,
                               .ca = r.ca_certificate,
                               .name = long_name},
          0, "CN=berth,O=berth");
}

/* A CA that somebody else made. */
static void foreign_ca(void **state)
{
    struct dir *d = *state;
    struct cert_request r = request(d);
    struct made root = make(&(struct make){.cn = "root", .ca = true});
    struct made sub = make(&(struct make){.cn = "sub", .ca = true, .by = &root});
    struct made other = make(&(struct make){.cn = "leaf"});
    save_chain(d, "ca.crt", root.cert, NULL);
    save_key(d, "ca.key", sub.key, NULL);
    refused(&r, "does not belong to the CA");
    save_chain(d, "ca.crt", other.cert, NULL);
    save_key(d, "ca.key", other.key, NULL);
    refused(&r, "is not a CA");
    save_key(d, "ca.key", other.key, "password");
    refused(&r, "is encrypted");
    put_file(d, "ca.crt", "x", 1);
    refused(&r, "no certificate in PEM form");
    /* One under a root: the clients know the root, the server sends the one between. */
    save_chain(d, "ca.crt", sub.cert, NULL);
    save_key(d, "ca.key", sub.key, NULL);
    r.days = 60;
    struct error err = {0};
    bool made = true;
    if (cert_create(&r, &made, &err))
        fail_msg("%s", err.message);
    assert_false(made);
    save_chain(d, "root.crt", root.cert, NULL);
    finds(&(struct cert_check){.certificate = r.certificate, .ca = in(d, "root.crt")}, 0,
          "certificate 2 (a CA)");
    made_free(&root);
    made_free(&sub);
    made_free(&other);
}

/* Whatever step fails: all as before, and nothing beside it. */
static void half_made(void **state)
{
    struct dir *d = *state;
    struct cert_request r = request(d);
    struct error err = {0};
    bool made = false;
    if (fault_configure("cert.write=EIO@1000"))
        skip(); /* this build has no faults */
    assert_int_equal(cert_create(&r, &made, &err), 0);
    struct buf cert, key, now;
    content(d, "server.crt", &cert);
    content(d, "server.key", &key);
    r.replace = true;
    int failures = 0;
    for (unsigned step = 1; step < 100; step++) {
        char spec[64];
        (void)snprintf(spec, sizeof spec, "cert.write=EIO@%u", step);
        assert_int_equal(fault_configure(spec), 0);
        int rc = cert_create(&r, &made, &err);
        assert_int_equal(fault_configure(""), 0);
        if (rc == 0)
            break;
        failures++;
        content(d, "server.crt", &now);
        assert_true(slice_eq(buf_view(&cert), buf_view(&now)));
        buf_release(&now);
        content(d, "server.key", &now);
        assert_true(slice_eq(buf_view(&key), buf_view(&now)));
        buf_release(&now);
    }
    assert_true(failures >= 14);
    buf_release(&cert);
    buf_release(&key);
    /* And when there was nothing. */
    static const char *const all[] = {"ca.crt", "ca.key", "server.crt", "server.key"};
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        assert_int_equal(unlink(in(d, all[i])), 0);
    assert_int_equal(rmdir(d->path), 0); /* the failures left nothing else */
    assert_int_equal(mkdir(d->path, 0700), 0);
    r = request(d);
    for (unsigned step = 1; step < 100; step++) {
        char spec[64];
        (void)snprintf(spec, sizeof spec, "cert.write=ENOSPC@%u", step);
        assert_int_equal(fault_configure(spec), 0);
        int rc = cert_create(&r, &made, &err);
        assert_int_equal(fault_configure(""), 0);
        if (rc == 0)
            break;
        assert_int_equal(rmdir(d->path), 0);
        assert_int_equal(mkdir(d->path, 0700), 0);
    }
    assert_files(d, 4);
}

/* --- other people's certificates */

static void problems(void **state)
{
    struct dir *d = *state;
    struct made ca = make(&(struct make){.cn = "CA", .ca = true, .to_days = 4000});
    struct {
        struct make how;
        unsigned n;
        const char *words;
    } cases[] = {
        {{.by = &ca}, 0, "90 days left"},
        {{.by = &ca, .from_days = -30, .to_days = -1}, 1, "has expired"},
        {{.by = &ca, .from_days = 2, .to_days = 30}, 1, "is not valid yet"},
        {{.by = &ca, .from_days = -80, .to_days = 9}, 0, "note: it expires in 9 days"},
        {{.by = &ca, .names = ""}, 2, "no subject alternative name"},
        {{.by = &ca, .names = "DNS:example.org"}, 1, "it is for example.org"},
        {{.by = &ca, .names = "DNS:localhost,DNS:e\x01vil,email:a@b.c"}, 0, "localhost, e?vil\n"},
        {{.by = &ca, .eku = "clientAuth"}, 1, "the extended key usage"},
        {{.by = &ca, .from_days = -1, .to_days = 900}, 1, "it lives for 901 days"},
        {{.by = &ca, .rsa_bits = 1024}, 1, "the key is weak (1024 bits)"},
        {{.by = &ca, .rsa_bits = 2048}, 0, "RSA 2048 bits"},
        {{.by = &ca, .md = "SHA1"}, 1, "signed with SHA1"},
        {{.cn = "alone"}, 1, "CN=alone is signed by itself"},
    };
    save_chain(d, "ca.crt", ca.cert, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct made m = make(&cases[i].how);
        save_chain(d, "a.crt", m.cert, NULL);
        finds(&(struct cert_check){.certificate = in(d, "a.crt"),
                                   .ca = in(d, "ca.crt"),
                                   .name = "localhost"},
              cases[i].n, cases[i].words);
        made_free(&m);
    }
    for (int end = 0; end < 2; end++) { /* no date: of whatever is shown, OpenSSL says why */
        struct made odd = make(&(struct make){.by = &ca});
        ASN1_TIME *t = end ? X509_getm_notAfter(odd.cert) : X509_getm_notBefore(odd.cert);
        assert_int_equal(ASN1_STRING_set(t, "someday", -1), 1);
        assert_true(X509_sign(odd.cert, ca.key, EVP_sha256()) > 0);
        save_chain(d, "a.crt", odd.cert, NULL);
        finds(&(struct cert_check){.certificate = in(d, "a.crt"), .ca = in(d, "ca.crt")},
              end ? 1 : 2, end ? "format error in certificate's notAfter field" : "lives for");
        made_free(&odd);
    }
    struct made m = make(&(struct make){.by = &ca});
    save_chain(d, "a.crt", m.cert, NULL);
    save_key(d, "a.key", m.key, NULL);
    save_key(d, "ca.key", ca.key, NULL);
    finds(&(struct cert_check){.certificate = in(d, "a.crt"),
                               .ca = in(d, "ca.crt"),
                               .key = in(d, "a.key")},
          0, NULL);
    finds(&(struct cert_check){.certificate = in(d, "a.crt"),
                               .ca = in(d, "ca.crt"),
                               .key = in(d, "ca.key")},
          1, "does not belong to the certificate");
    /* The system does not know this CA. */
    finds(&(struct cert_check){.certificate = in(d, "a.crt")}, 1, "an intermediate certificate is");
    made_free(&m);
    made_free(&ca);
}

static void chains(void **state)
{
    struct dir *d = *state;
    struct made root = make(&(struct make){.cn = "root", .ca = true});
    struct made one = make(&(struct make){.cn = "one", .ca = true, .by = &root});
    struct made two = make(&(struct make){.cn = "two", .ca = true, .by = &one});
    struct made leaf = make(&(struct make){.by = &two});
    struct made fake = make(&(struct make){.cn = "fake", .by = &root});
    struct made under = make(&(struct make){.by = &fake});
    struct cert_check check = {.certificate = in(d, "a.crt"), .ca = in(d, "ca.crt")};
    save_chain(d, "ca.crt", root.cert, NULL);
    save_chain(d, "a.crt", leaf.cert, two.cert, one.cert, NULL);
    finds(&check, 0, "certificate 3 (a CA)");
    save_chain(d, "a.crt", leaf.cert, two.cert, one.cert, root.cert, NULL);
    finds(&check, 0, NULL);
    save_chain(d, "a.crt", leaf.cert, one.cert, two.cert, NULL);
    finds(&check, 1, "not in the order of issue");
    save_chain(d, "a.crt", leaf.cert, two.cert, NULL);
    finds(&check, 1, "CN=two was issued by one that is neither in the file nor trusted");
    save_chain(d, "a.crt", leaf.cert, NULL);
    finds(&check, 1, "CN=localhost was issued by one");
    save_chain(d, "a.crt", leaf.cert, fake.cert, two.cert, one.cert, NULL);
    finds(&check, 2, "1 of the certificates did not issue");
    save_chain(d, "a.crt", under.cert, fake.cert, NULL);
    unsigned n;
    struct buf out;
    n = shown(&check, &out);
    assert_true(n >= 1);
    assert_non_null(strstr(out.p, "CN=fake is used as a CA, and may not be one"));
    buf_release(&out);
    check.ca = NULL; /* the root is in the file, and trusted by nobody */
    save_chain(d, "a.crt", leaf.cert, two.cert, one.cert, root.cert, NULL);
    finds(&check, 1, "CN=root is a CA that this client does not trust");
    made_free(&root);
    made_free(&one);
    made_free(&two);
    made_free(&leaf);
    made_free(&fake);
    made_free(&under);
}

static void unreadable(void **state)
{
    struct dir *d = *state;
    struct cert_check check = {.certificate = in(d, "none.crt")};
    struct error err = {0};
    struct buf out;
    unsigned n = 7;
    buf_init(&out, 65536);
    save_default(d);
    assert_int_equal(cert_show(&check, &out, &n, &err), -1);
    assert_non_null(strstr(err.detail, "none.crt: No such file"));
    check.certificate = in(d, "server.crt");
    check.ca = in(d, "none.ca");
    assert_int_equal(cert_show(&check, &out, &n, &err), -1);
    assert_non_null(strstr(err.detail, "none.ca: No such file"));
    check.ca = NULL;
    check.key = in(d, "none.key");
    assert_int_equal(cert_show(&check, &out, &n, &err), -1);
    assert_non_null(strstr(err.detail, "none.key: No such file"));
    assert_int_equal(n, 7);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(created, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(again, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(bad_requests, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(foreign_ca, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(half_made, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(problems, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(chains, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(unreadable, dir_setup, dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
