/* SPDX-License-Identifier: Apache-2.0 */
/* Go's names of cipher suites, against OpenSSL's own table of the standard names. */
#include "fixture.h"

#include <string.h>

#include "base/util.h"

#include "base/banned.h"

/* crypto/tls of Go 1.24, cipher_suites.go: all constants, the two legacy names too. */
static const struct {
    const char *name;
    char kind; /* 3: of TLS 1.3, e: ECDSA, r: RSA, -: not had */
} go[] = {
    {"TLS_RSA_WITH_RC4_128_SHA", '-'},
    {"TLS_RSA_WITH_3DES_EDE_CBC_SHA", '-'},
    {"TLS_RSA_WITH_AES_128_CBC_SHA", 'r'},
    {"TLS_RSA_WITH_AES_256_CBC_SHA", 'r'},
    {"TLS_RSA_WITH_AES_128_CBC_SHA256", 'r'},
    {"TLS_RSA_WITH_AES_128_GCM_SHA256", 'r'},
    {"TLS_RSA_WITH_AES_256_GCM_SHA384", 'r'},
    {"TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", '-'},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 'e'},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", 'e'},
    {"TLS_ECDHE_RSA_WITH_RC4_128_SHA", '-'},
    {"TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", '-'},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 'r'},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 'r'},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 'e'},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 'r'},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 'r'},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 'e'},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 'r'},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 'e'},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 'r'},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 'e'},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", 'r'},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", 'e'},
    {"TLS_AES_128_GCM_SHA256", '3'},
    {"TLS_AES_256_GCM_SHA384", '3'},
    {"TLS_CHACHA20_POLY1305_SHA256", '3'},
};

static int save_kinds(void **state)
{
    if (dir_setup(state))
        return -1;
    struct dir *d = *state;
    struct made ca = make(&(struct make){.cn = "CA", .ca = true});
    struct made e = make(&(struct make){.by = &ca});
    struct made r = make(&(struct make){.by = &ca, .rsa_bits = 2048});
    save_chain(d, "ca.crt", ca.cert, NULL);
    save_chain(d, "e.crt", e.cert, NULL);
    save_key(d, "e.key", e.key, NULL);
    save_chain(d, "r.crt", r.cert, NULL);
    save_key(d, "r.key", r.key, NULL);
    made_free(&ca);
    made_free(&e);
    made_free(&r);
    return 0;
}

static int load(struct dir *d, char kind, const char *const *names, unsigned n,
                struct tls_context **c, struct error *err)
{
    struct tls_config config = {.certificate = in(d, kind == 'r' ? "r.crt" : "e.crt"),
                                .key = in(d, kind == 'r' ? "r.key" : "e.key"),
                                .ciphers = names,
                                .n_ciphers = n};
    return tls_context_new(&config, c, err);
}

static bool same_name(const char *go_name, struct slice got)
{
    struct slice want = slice_cstr(go_name);
    /* Before the RFC had a number for the hash. */
    if (slice_ends(want, SLICE_LIT("_POLY1305")))
        return slice_eq(want, slice_first(got, want.n)) &&
               slice_is(slice_from(got, want.n), "_SHA256");
    return slice_eq(want, got);
}

/* Each name alone makes a connection with just that suite. */
static void each(void **state)
{
    struct dir *d = *state;
    for (unsigned i = 0; i < ARRAY_LEN(go); i++) {
        bool supported = false;
        assert_true(tls_cipher_known(go[i].name, &supported));
        assert_int_equal(supported, go[i].kind != '-');
        struct tls_context *c = NULL;
        struct error err = {0};
        int rc = load(d, go[i].kind, &go[i].name, 1, &c, &err);
        if (!supported) {
            assert_int_equal(rc, -1);
            assert_non_null(strstr(err.detail, "none of the cipher suites"));
            continue;
        }
        if (rc)
            fail_msg("%s: %s", go[i].name, err.message);
        assert_null(tls_context_warning(c));
        struct peer p;
        peer_init(&p, d, c);
        SSL_set_cipher_list(p.client, "ALL:@SECLEVEL=0");
        if (go[i].kind != '3')
            SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
        else
            SSL_set_ciphersuites(p.client, go[i].name);
        if (shake(&p) != 1)
            fail_msg("%s: no connection", go[i].name);
        if (!same_name(go[i].name, tls_conn_cipher(p.server)))
            fail_msg("%s: got %.*s", go[i].name, SLICE_ARG(tls_conn_cipher(p.server)));
        talk(&p);
        peer_release(&p);
        /* Those of TLS 1.3 alone: nothing is left for 1.2. */
        if (go[i].kind == '3') {
            peer_init(&p, d, c);
            SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
            assert_int_equal(shake(&p), -1);
            peer_release(&p);
        }
        tls_context_unref(c);
    }
}

static void lists(void **state)
{
    struct dir *d = *state;
    struct tls_context *c = NULL;
    struct error err = {0};
    bool supported = true;
    assert_false(tls_cipher_known("ECDHE-RSA-AES128-GCM-SHA256", &supported));
    assert_false(tls_cipher_known("", &supported));
    assert_true(supported);
    const char *unknown[] = {"TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_NULL_SHA"};
    assert_int_equal(load(d, 'e', unknown, 2, &c, &err), -1);
    assert_non_null(strstr(err.detail, "there is no cipher suite \"TLS_RSA_WITH_NULL_SHA\""));
    /* What cannot be had is left out. */
    const char *some[] = {"TLS_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"};
    assert_int_equal(load(d, 'e', some, 2, &c, &err), 0);
    assert_null(tls_context_warning(c));
    tls_context_unref(c);
    assert_int_equal(load(d, 'r', some, 2, &c, &err), 0);
    assert_non_null(strstr(tls_context_warning(c), "for a key of kind RSA"));
    tls_context_unref(c);
    const char *many[600];
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        many[i] = some[1];
    assert_int_equal(load(d, 'e', many, ARRAY_LEN(many), &c, &err), -1);
    assert_non_null(strstr(err.detail, "too many"));
}

/* Without a list: forward secrecy and authenticated encryption, in the server's order. */
static void defaults(void **state)
{
    struct dir *d = *state;
    static const struct {
        char kind;
        const char *client, *got;
    } cases[] = {
        {'e', "ALL:@SECLEVEL=0", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
        {'r', "ALL:@SECLEVEL=0", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
        {'r', "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256",
         "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
        /* A client that puts ChaCha first has no AES in hardware. */
        {'r', "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256",
         "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
        {'r', "ECDHE-RSA-AES128-SHA:AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256", NULL},
        {'e', "ECDHE-ECDSA-AES128-SHA256", NULL},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_context *c = NULL;
        struct error err = {0};
        struct peer p;
        assert_int_equal(load(d, cases[i].kind, NULL, 0, &c, &err), 0);
        peer_init(&p, d, c);
        assert_int_equal(SSL_set_cipher_list(p.client, cases[i].client), 1);
        SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
        assert_int_equal(shake(&p), cases[i].got ? 1 : -1);
        if (cases[i].got)
            assert_true(slice_is(tls_conn_cipher(p.server), cases[i].got));
        peer_release(&p);
        tls_context_unref(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each),
        cmocka_unit_test(lists),
        cmocka_unit_test(defaults),
    };
    return cmocka_run_group_tests(tests, save_kinds, dir_teardown);
}
