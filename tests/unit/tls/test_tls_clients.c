/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of clients: four modes, each with every kind of client. */
#include "fixture.h"

#include <string.h>

#include <openssl/err.h>

#include "base/util.h"

#include "base/banned.h"

enum { NOTHING, GOOD, UNDER, FOREIGN, EXPIRED, FOR_SERVERS, KINDS };

static const char *const kinds[KINDS] = {"none",    "good",    "by an intermediate",
                                         "foreign", "expired", "for servers"};

struct world {
    struct dir *d;
    struct made ca, between, stranger, client[KINDS];
};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    void *dir;
    if (dir_setup(&dir))
        return -1;
    w->d = dir;
    save_default(w->d);
    w->ca = make(&(struct make){.cn = "clients' CA", .ca = true});
    w->between = make(&(struct make){.cn = "between", .ca = true, .by = &w->ca});
    w->stranger = make(&(struct make){.cn = "stranger", .ca = true});
    w->client[GOOD] = make(
        &(struct make){.cn = "J\xc3\xbcrgen, the \"first\"", .eku = "clientAuth", .by = &w->ca});
    w->client[UNDER] = make(&(struct make){.cn = "under", .eku = "clientAuth", .by = &w->between});
    w->client[FOREIGN] =
        make(&(struct make){.cn = "foreign", .eku = "clientAuth", .by = &w->stranger});
    w->client[EXPIRED] = make(&(struct make){
        .cn = "expired", .eku = "clientAuth", .by = &w->ca, .from_days = -9, .to_days = -1});
    w->client[FOR_SERVERS] = make(&(struct make){.cn = "for servers", .by = &w->ca});
    save_chain(w->d, "clients.crt", w->ca.cert, NULL);
    save_chain(w->d, "between.crt", w->between.cert, NULL);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *dir = w->d;
    made_free(&w->ca);
    made_free(&w->between);
    made_free(&w->stranger);
    for (int i = GOOD; i < KINDS; i++)
        made_free(&w->client[i]);
    free(w);
    return dir_teardown(&dir);
}

static struct tls_context *load(struct world *w, enum tls_client_auth mode, const char *ca)
{
    const char *cas[] = {in(w->d, ca)};
    struct tls_config config = {.certificate = in(w->d, "server.crt"),
                                .key = in(w->d, "server.key"),
                                .client_cas = cas,
                                .n_client_cas = 1,
                                .client_auth = mode};
    struct tls_context *c = NULL;
    struct error err = {0};
    if (tls_context_new(&config, &c, &err))
        fail_msg("%s", err.message);
    return c;
}

static void present(struct world *w, struct peer *p, int kind)
{
    if (kind == NOTHING)
        return;
    assert_int_equal(SSL_use_certificate(p->client, w->client[kind].cert), 1);
    assert_int_equal(SSL_use_PrivateKey(p->client, w->client[kind].key), 1);
    if (kind == UNDER)
        assert_int_equal(SSL_add1_chain_cert(p->client, w->between.cert), 1);
}

/* Both have to have seen it: the client of TLS 1.3 is done before the server has looked at its
 * certificate. */
static int connect_as(struct world *w, struct peer *p, struct tls_context *c, int kind, int version)
{
    peer_init(p, w->d, c);
    SSL_set_min_proto_version(p->client, version);
    SSL_set_max_proto_version(p->client, version);
    present(w, p, kind);
    return shake(p);
}

static void modes(void **state)
{
    struct world *w = *state;
    /* By kind: r refused, a accepted without a look, v accepted and verified, . not asked for. */
    static const struct {
        enum tls_client_auth mode;
        const char *want;
    } cases[] = {
        {TLS_CLIENT_NONE, "......"},
        {TLS_CLIENT_REQUEST, ".aaaaa"},
        {TLS_CLIENT_REQUIRE_ANY, "raaaaa"},
        {TLS_CLIENT_VERIFY_IF_GIVEN, ".vvrrr"},
        {TLS_CLIENT_REQUIRE_AND_VERIFY, "rvvrrr"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_context *c = load(w, cases[i].mode, "clients.crt");
        for (int k = 0; k < KINDS; k++)
            for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
                struct peer p;
                struct error err = {0};
                char want = cases[i].want[k];
                int rc = connect_as(w, &p, c, k, version);
                if (rc != (want == 'r' ? -1 : 1))
                    fail_msg("mode %d, client %s: %d", (int)cases[i].mode, kinds[k], rc);
                bool verified = want != 'v';
                struct slice name = tls_conn_client(p.server, &verified);
                assert_int_equal(verified, want == 'v');
                assert_int_equal(name.n > 0, want == 'a' || want == 'v');
                if (k == GOOD && name.n)
                    assert_true(slice_is(name, "CN=J\\C3\\BCrgen\\, the \\\"first\\\""));
                if (want == 'r') {
                    assert_int_equal(tls_conn_handshake(p.server, &err), -1);
                    if (!strstr(err.message, k == NOTHING ? "the client sent no certificate"
                                                          : "client's certificate is refused: "))
                        fail_msg("%s", err.message);
                } else {
                    talk(&p);
                }
                peer_release(&p);
            }
        tls_context_unref(c);
    }
}

/* An intermediate in the list is trusted, as Go does. */
static void anchors(void **state)
{
    struct world *w = *state;
    struct tls_context *c = load(w, TLS_CLIENT_REQUIRE_AND_VERIFY, "between.crt");
    struct peer p;
    assert_int_equal(connect_as(w, &p, c, UNDER, TLS1_3_VERSION), 1);
    peer_release(&p);
    assert_int_equal(connect_as(w, &p, c, GOOD, TLS1_3_VERSION), -1);
    peer_release(&p);
    tls_context_unref(c);
}

/* The client is told which CAs will do. */
static void told(void **state)
{
    struct world *w = *state;
    struct tls_context *c = load(w, TLS_CLIENT_REQUEST, "clients.crt");
    struct peer p;
    assert_int_equal(connect_as(w, &p, c, NOTHING, TLS1_3_VERSION), 1);
    const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(p.client);
    assert_int_equal(sk_X509_NAME_num(names), 1);
    assert_int_equal(X509_NAME_cmp(sk_X509_NAME_value(names, 0), X509_get_subject_name(w->ca.cert)),
                     0);
    peer_release(&p);
    tls_context_unref(c);
}

static void again(struct world *w, struct peer *p, struct tls_context *c, int version,
                  SSL_SESSION *session)
{
    peer_init(p, w->d, c);
    SSL_set_min_proto_version(p->client, version);
    SSL_set_max_proto_version(p->client, version);
    assert_int_equal(SSL_set_session(p->client, session), 1);
    assert_int_equal(shake(p), 1);
}

/* Who a client is does not get lost when it comes again. */
static void resumed(void **state)
{
    struct world *w = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
        for (int strict = 0; strict < 2; strict++) {
            struct tls_context *c =
                load(w, strict ? TLS_CLIENT_REQUIRE_AND_VERIFY : TLS_CLIENT_REQUEST, "clients.crt");
            struct peer p;
            bool verified;
            assert_int_equal(connect_as(w, &p, c, GOOD, version), 1);
            talk(&p); /* the tickets of TLS 1.3 come with it */
            SSL_SESSION *session = SSL_get1_session(p.client);
            peer_release(&p);
            again(w, &p, c, version, session);
            assert_true(SSL_session_reused(p.client));
            struct slice name = tls_conn_client(p.server, &verified);
            assert_true(slice_starts(name, SLICE_LIT("CN=J")));
            assert_int_equal(verified, strict);
            talk(&p);
            peer_release(&p);
            /* Another context has other keys, and maybe other CAs. */
            struct tls_context *other = load(w, TLS_CLIENT_REQUEST, "clients.crt");
            again(w, &p, other, version, session);
            assert_false(SSL_session_reused(p.client));
            peer_release(&p);
            tls_context_unref(other);
            SSL_SESSION_free(session);
            tls_context_unref(c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes),
        cmocka_unit_test(anchors),
        cmocka_unit_test(told),
        cmocka_unit_test(resumed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
