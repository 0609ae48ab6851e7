/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes that work, in pieces of every size, and those that must not. */
#include "fixture.h"

#include <string.h>

#include <openssl/err.h>

#include "base/util.h"

#include "base/banned.h"

static void alpn(struct peer *p, const char *protocols, size_t n)
{
    assert_int_equal(SSL_set_alpn_protos(p->client, (const unsigned char *)protocols, (unsigned)n),
                     0);
}
#define ALPN(p, text) alpn((p), "" text, sizeof(text) - 1)

static const char *chosen(struct peer *p)
{
    const unsigned char *name;
    unsigned n;
    SSL_get0_alpn_selected(p->client, &name, &n);
    if (n == 0)
        return "";
    assert_int_equal(n, 8);
    return memcmp(name, "http/1.1", 8) == 0 ? "http/1.1" : "other";
}

/* Byte by byte in both directions; by chance; and with no room half of the time. */
static void pieces(void **state)
{
    struct dir *d = *state;
    static const struct {
        size_t recv_max, send_max;
        bool random;
    } ways[] = {{0, 0, false}, {1, 1, false}, {0, 0, true}, {7, 100, false}};
    struct tls_context *c = default_context(d);
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct peer p;
            peer_init(&p, d, c);
            p.wire.recv_max = ways[i].recv_max;
            p.wire.send_max = ways[i].send_max;
            p.wire.random = ways[i].random;
            SSL_set_min_proto_version(p.client, version);
            SSL_set_max_proto_version(p.client, version);
            ALPN(&p, "\x02h2\x08http/1.1");
            assert_false(tls_conn_ready(p.server));
            assert_true(slice_is(tls_conn_version(p.server), ""));
            assert_true(slice_is(tls_conn_cipher(p.server), ""));
            assert_true(slice_is(tls_conn_server_name(p.server), ""));
            assert_int_equal(shake(&p), 1);
            assert_true(tls_conn_ready(p.server));
            talk(&p);
            assert_string_equal(chosen(&p), "http/1.1");
            assert_true(slice_is(tls_conn_version(p.server),
                                 version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2"));
            assert_true(slice_is(tls_conn_cipher(p.server),
                                 version == TLS1_3_VERSION
                                     ? "TLS_AES_128_GCM_SHA256"
                                     : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
            assert_true(slice_is(tls_conn_server_name(p.server), "localhost"));
            bool verified = true;
            assert_true(slice_is(tls_conn_client(p.server, &verified), ""));
            assert_false(verified);
            assert_int_equal(tls_conn_handshake(p.server, NULL), 1);
            peer_release(&p);
        }
    tls_context_unref(c);
}

/* recv and writev do it by themselves. */
static void by_itself(void **state)
{
    struct dir *d = *state;
    struct tls_context *c = default_context(d);
    struct peer p;
    char out[16];
    struct iovec iov = {(char[]){"first"}, 5};
    peer_init(&p, d, c);
    SSL_set_tlsext_host_name(p.client, NULL);
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), TLS_AGAIN);
    assert_int_equal(tls_conn_writev(p.server, &iov, 1, false), TLS_AGAIN);
    for (int i = 0; i < 4 && !tls_conn_ready(p.server); i++) {
        (void)SSL_do_handshake(p.client);
        carry(&p);
        if (i % 2)
            assert_int_equal(tls_conn_recv(p.server, out, sizeof out), TLS_AGAIN);
        else
            (void)tls_conn_writev(p.server, &iov, 1, false);
        carry(&p);
    }
    assert_true(tls_conn_ready(p.server));
    assert_true(slice_is(tls_conn_server_name(p.server), ""));
    talk(&p);
    peer_release(&p);
    /* The end of the handshake and the first request in one piece. */
    peer_init(&p, d, c);
    (void)SSL_do_handshake(p.client);
    carry(&p);
    assert_int_equal(tls_conn_handshake(p.server, NULL), 0);
    carry(&p);
    assert_int_equal(SSL_do_handshake(p.client), 1);
    client_write(&p, "request", 7);
    carry(&p);
    assert_int_equal(tls_conn_handshake(p.server, NULL), 1);
    assert_true(tls_conn_pending(p.server) > 0); /* epoll will not tell of it */
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), 7);
    assert_int_equal(tls_conn_pending(p.server), 0);
    peer_release(&p);
    tls_context_unref(c);
}

static void protocols(void **state)
{
    struct dir *d = *state;
    struct tls_context *c = default_context(d);
    static const struct {
        const char *list;
        size_t n;
        const char *got; /* NULL: refused */
    } cases[] = {
#define CASE(text, got) {"" text, sizeof(text) - 1, got}
        CASE("\x08http/1.1", "http/1.1"),
        CASE("\x02h2\x08http/1.1", "http/1.1"),
        CASE("\x04imap\x08http/1.1", "http/1.1"),
        CASE("\x02h2", ""),
        CASE("\x08http/1.0", ""),
        CASE("\x04imap\x02h2", ""),
        CASE("\x04imap", NULL),
        CASE("\x04smtp\x0bxmpp-client", NULL),
#undef CASE
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer p;
        struct error err = {0};
        peer_init(&p, d, c);
        alpn(&p, cases[i].list, cases[i].n);
        assert_int_equal(shake(&p), cases[i].got ? 1 : -1);
        if (cases[i].got) {
            assert_string_equal(chosen(&p), cases[i].got);
            talk(&p);
        } else {
            assert_int_equal(tls_conn_handshake(p.server, &err), -1);
            assert_non_null(strstr(err.message, "a protocol that is not HTTP"));
            assert_int_equal(SSL_do_handshake(p.client), -1);
            assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()),
                             SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
        }
        peer_release(&p);
    }
    tls_context_unref(c);
}

static void versions(void **state)
{
    struct dir *d = *state;
    struct error err = {0};
    struct peer p;
    save_default(d);
    struct tls_config config = {.certificate = in(d, "server.crt"), .key = in(d, "server.key")};
    static const char *const minimums[] = {NULL, "tls1.2", "tls1.3"};
    for (unsigned i = 0; i < ARRAY_LEN(minimums); i++)
        for (int version = TLS1_VERSION; version <= TLS1_3_VERSION; version++) {
            struct tls_context *c = NULL;
            bool good = version >= (i == 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
            config.minimum = minimums[i];
            assert_int_equal(tls_context_new(&config, &c, &err), 0);
            peer_init(&p, d, c);
            SSL_set_security_level(p.client, 0);
            assert_int_equal(SSL_set_min_proto_version(p.client, TLS1_VERSION), 1);
            assert_int_equal(SSL_set_max_proto_version(p.client, version), 1);
            assert_int_equal(shake(&p), good ? 1 : -1);
            if (!good) {
                assert_int_equal(tls_conn_handshake(p.server, &err), -1);
                assert_non_null(strstr(err.message, "older than the minimum"));
            }
            peer_release(&p);
            tls_context_unref(c);
        }
}

/* No common cipher suite, no common group; a client that does not like the certificate. */
static void refusals(void **state)
{
    struct dir *d = *state;
    struct tls_context *c = default_context(d);
    struct error err = {0};
    struct peer p;
    peer_init(&p, d, c);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    SSL_set_cipher_list(p.client, "ECDHE-RSA-AES128-GCM-SHA256");
    assert_int_equal(shake(&p), -1);
    assert_int_equal(tls_conn_handshake(p.server, &err), -1);
    assert_non_null(strstr(err.message, "no cipher suite in common"));
    peer_release(&p);

    peer_init(&p, d, c);
    assert_int_equal(SSL_set1_groups_list(p.client, "P-521"), 1);
    assert_int_equal(shake(&p), -1);
    peer_release(&p);

    /* The client's alert comes after the server's part is done. */
    peer_init(&p, d, c);
    X509_STORE *nobody = X509_STORE_new();
    SSL_set0_verify_cert_store(p.client, nobody);
    assert_int_equal(shake(&p), -1);
    assert_int_equal(tls_conn_handshake(p.server, &err), -1);
    assert_non_null(strstr(err.message, "give it ca.crt"));
    char byte;
    assert_int_equal(tls_conn_recv(p.server, &byte, 1), TLS_ERROR);
    assert_int_equal(tls_conn_recv(p.server, &byte, 1), TLS_ERROR);
    struct iovec iov = {&byte, 1};
    assert_int_equal(tls_conn_writev(p.server, &iov, 1, false), TLS_ERROR);
    assert_int_equal(tls_conn_pending(p.server), 0);
    tls_conn_shutdown(p.server); /* says nothing more */
    assert_int_equal(tls_conn_queued(p.server), 0);
    peer_release(&p);
    tls_context_unref(c);
}

/* Someone else's errors in OpenSSL's queue are not this connection's. */
static void dirty_queue(void **state)
{
    struct dir *d = *state;
    struct tls_context *c = default_context(d);
    struct peer p;
    char out[16];
    struct iovec iov = {(char[]){"x"}, 1};
    peer_init(&p, d, c);
    for (int i = 0; i < 6; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(p.client);
        carry(&p);
        ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
        assert_true(tls_conn_handshake(p.server, NULL) >= 0);
        carry(&p);
    }
    assert_true(tls_conn_ready(p.server));
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), TLS_AGAIN);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    assert_int_equal(tls_conn_writev(p.server, &iov, 1, false), 1);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    tls_conn_shutdown(p.server);
    carry(&p);
    assert_int_equal(client_read(&p, out, sizeof out), 1);
    assert_int_equal(SSL_get_shutdown(p.client), SSL_RECEIVED_SHUTDOWN);
    peer_release(&p);
    tls_context_unref(c);
}

/* Connections keep what they began with. */
static void replaced(void **state)
{
    struct dir *d = *state;
    struct tls_server *s = tls_server_new(default_context(d));
    struct tls_context *c = tls_server_current(s);
    struct error err = {0};
    struct peer old, half, fresh;
    peer_init(&old, d, c);
    assert_int_equal(shake(&old), 1);
    peer_init(&half, d, c); /* in the middle of its handshake */
    (void)SSL_do_handshake(half.client);
    carry(&half);
    assert_int_equal(tls_conn_handshake(half.server, NULL), 0);
    tls_context_unref(c);

    struct made other = make(&(struct make){.cn = "other"});
    save_chain(d, "ca.crt", other.cert, NULL);
    save_chain(d, "server.crt", other.cert, NULL);
    save_key(d, "server.key", other.key, NULL);
    struct tls_config config = {.certificate = in(d, "server.crt"), .key = in(d, "server.key")};
    assert_int_equal(tls_context_new(&config, &c, &err), 0);
    tls_server_replace(s, c);

    talk(&old);
    assert_int_equal(shake(&half), 1);
    talk(&half);
    c = tls_server_current(s);
    peer_init(&fresh, d, c);
    tls_context_unref(c);
    assert_int_equal(shake(&fresh), 1);
    assert_int_equal(X509_cmp(SSL_get0_peer_certificate(fresh.client), other.cert), 0);
    assert_int_not_equal(X509_cmp(SSL_get0_peer_certificate(half.client), other.cert), 0);
    tls_server_free(s);
    talk(&fresh);
    talk(&old);
    peer_release(&old);
    peer_release(&half);
    peer_release(&fresh);
    made_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(by_itself, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(protocols, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(versions, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(refusals, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(dirty_queue, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(replaced, dir_setup, dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
