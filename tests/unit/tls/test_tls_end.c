/* SPDX-License-Identifier: Apache-2.0 */
/* How connections end, well and badly. */
#include "fixture.h"

#include <string.h>

#include <openssl/err.h>

#include "base/util.h"

#include "base/banned.h"

struct world {
    struct dir *d;
    struct tls_context *c;
};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    void *dir;
    if (dir_setup(&dir))
        return -1;
    w->d = dir;
    w->c = default_context(w->d);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *dir = w->d;
    tls_context_unref(w->c);
    free(w);
    return dir_teardown(&dir);
}

static void connected(struct world *w, struct peer *p)
{
    peer_init(p, w->d, w->c);
    assert_int_equal(shake(p), 1);
}

static ssize_t put(struct peer *p, const char *text)
{
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    return tls_conn_writev(p->server, &iov, 1, false);
}

static void failed_with(struct peer *p, const char *words)
{
    struct error err = {0};
    assert_int_equal(tls_conn_handshake(p->server, &err), -1);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" has no \"%s\"", err.message, words);
    assert_int_equal(tls_conn_handshake(p->server, NULL), -1);
}

/* The data first, then its end; once, and then pending is quiet. */
static void assert_ends(struct peer *p, const char *data, ssize_t end)
{
    char out[64];
    size_t n = strlen(data);
    if (n) {
        assert_int_equal(tls_conn_recv(p->server, out, sizeof out), n);
        assert_memory_equal(out, data, n);
    }
    if (end == 0 || n)
        assert_true(!n || tls_conn_pending(p->server) > 0 || p->wire.end || p->wire.broken);
    assert_int_equal(tls_conn_recv(p->server, out, sizeof out), end);
    assert_int_equal(tls_conn_pending(p->server), 0);
    assert_int_equal(tls_conn_recv(p->server, out, sizeof out), end);
}

static void by_client(void **state)
{
    struct world *w = *state;
    struct peer p;
    connected(w, &p);
    client_write(&p, "last words", 10);
    assert_int_equal(SSL_shutdown(p.client), 0);
    carry(&p);
    assert_ends(&p, "last words", 0);
    assert_int_equal(put(&p, "an answer"), 9); /* half closed */
    carry(&p);
    char out[16];
    assert_int_equal(client_read(&p, out, sizeof out), 9);
    tls_conn_shutdown(p.server);
    carry(&p);
    assert_int_equal(SSL_shutdown(p.client), 1);
    peer_release(&p);
}

static void by_server(void **state)
{
    struct world *w = *state;
    struct peer p;
    char out[16];
    connected(w, &p);
    assert_int_equal(put(&p, "goodbye"), 7);
    tls_conn_shutdown(p.server);
    unsigned sends = p.wire.sends;
    tls_conn_shutdown(p.server);
    assert_int_equal(p.wire.sends, sends);
    assert_int_equal(put(&p, "too late"), TLS_ERROR);
    carry(&p);
    assert_int_equal(client_read(&p, out, sizeof out), 7);
    assert_int_equal(SSL_get_shutdown(p.client), SSL_RECEIVED_SHUTDOWN);
    client_write(&p, "still here", 10);
    carry(&p);
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), 10);
    peer_release(&p);
    /* Before it began, and when nothing can be sent. */
    peer_init(&p, w->d, w->c);
    tls_conn_shutdown(p.server);
    assert_int_equal(p.wire.sends, 0);
    peer_release(&p);
    connected(w, &p);
    p.wire.room = 1;
    push_to_server(&p, "", 0);
    assert_int_equal(put(&p, "x"), 1);
    tls_conn_shutdown(p.server);
    assert_true(tls_conn_wants_write(p.server));
    p.wire.room = 0;
    assert_int_equal(tls_conn_flush(p.server), 1);
    carry(&p);
    assert_int_equal(client_read(&p, out, sizeof out), 1);
    assert_int_equal(SSL_get_shutdown(p.client), SSL_RECEIVED_SHUTDOWN);
    peer_release(&p);
}

/* The stream ends without a word: at a record, within one, within its header. */
static void truncated(void **state)
{
    struct world *w = *state;
    for (int cut = 0; cut < 3; cut++) {
        struct peer p;
        char part[64];
        connected(w, &p);
        client_write(&p, "whole", 5);
        carry(&p);
        client_write(&p, "lost", 4);
        int n = BIO_read(SSL_get_wbio(p.client), part, sizeof part);
        assert_true(n > 20);
        push_to_server(&p, part, cut == 0 ? 0 : cut == 1 ? 20 : 3);
        p.wire.end = true;
        assert_ends(&p, "whole", 0);
        assert_int_equal(put(&p, "an answer"), 9);
        peer_release(&p);
    }
}

static void left_early(void **state)
{
    struct world *w = *state;
    struct peer p;
    char out[16];
    peer_init(&p, w->d, w->c);
    p.wire.end = true;
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), TLS_ERROR);
    failed_with(&p, "the client left");
    assert_int_equal(tls_conn_pending(p.server), 0);
    peer_release(&p);
    peer_init(&p, w->d, w->c);
    (void)SSL_do_handshake(p.client);
    carry(&p);
    assert_int_equal(tls_conn_handshake(p.server, NULL), 0);
    p.wire.end = true;
    assert_int_equal(tls_conn_handshake(p.server, NULL), -1);
    failed_with(&p, "the client left");
    peer_release(&p);
}

static void garbage(void **state)
{
    struct world *w = *state;
    static const char *const starts[] = {"\x16\x03\x01\xff\xff", "SSH-2.0-OpenSSH_9.2\r\n",
                                         "\x80\x2e\x01\x03\x01", "GETAWAY NOW\r\n",
                                         "get / HTTP/1.1"};
    for (int i = 0; i < 300; i++) {
        struct peer p;
        unsigned char junk[600];
        size_t n = 100 + next_random(500);
        peer_init(&p, w->d, w->c);
        for (size_t k = 0; k < n; k++)
            junk[k] = (unsigned char)next_random(256);
        if (i < (int)ARRAY_LEN(starts))
            push_to_server(&p, starts[i], strlen(starts[i]));
        else if (i % 2) /* a record of the right kind, with rubbish in it */
            push_to_server(&p, "\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03", 11);
        push_to_server(&p, junk, n);
        p.wire.end = true;
        int r = 0;
        for (int turn = 0; turn < 50 && r == 0; turn++)
            r = tls_conn_handshake(p.server, NULL);
        assert_int_equal(r, -1);
        /* An alert or nothing; certainly not HTTP. */
        assert_true(p.wire.to_client.n == 0 || p.wire.to_client.p[0] == 21);
        peer_release(&p);
    }
}

/* A record that was changed on the way: what came before it is good. */
static void damaged(void **state)
{
    struct world *w = *state;
    for (int what = 0; what < 3; what++) {
        struct peer p;
        char part[64], out[64];
        connected(w, &p);
        client_write(&p, "good", 4);
        carry(&p);
        client_write(&p, "bad", 3);
        int n = BIO_read(SSL_get_wbio(p.client), part, sizeof part);
        if (what == 0)
            part[n - 1] ^= 1;
        else if (what == 1)
            part[3] = 0x7f; /* too long */
        else
            part[0] = 99; /* of no kind */
        push_to_server(&p, part, (size_t)n);
        client_write(&p, "never", 5);
        carry(&p);
        assert_ends(&p, "good", TLS_ERROR);
        failed_with(&p, "TLS: ");
        assert_int_equal(put(&p, "x"), TLS_ERROR);
        carry(&p);
        ERR_clear_error();
        assert_true(SSL_read(p.client, out, sizeof out) <= 0);
        assert_int_equal(ERR_GET_LIB(ERR_peek_last_error()), ERR_LIB_SSL);
        assert_true(ERR_GET_REASON(ERR_peek_last_error()) > SSL_AD_REASON_OFFSET); /* an alert */
        peer_release(&p);
    }
}

/* RFC 5746 and the rest: nobody negotiates twice. */
static void renegotiation(void **state)
{
    struct world *w = *state;
    struct peer p;
    char out[16];
    peer_init(&p, w->d, w->c);
    SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
    assert_int_equal(shake(&p), 1);
    talk(&p);
    assert_int_equal(SSL_renegotiate(p.client), 1);
    (void)SSL_do_handshake(p.client);
    carry(&p);
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), TLS_AGAIN);
    carry(&p);
    ERR_clear_error();
    assert_int_equal(SSL_do_handshake(p.client), -1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    peer_release(&p);
}

/* --- plain HTTP on this port */

static const char answer[] = "HTTP/1.0 400 Bad Request\r\n\r\n"
                             "Client sent an HTTP request to an HTTPS server.\n";

static void plain_http(void **state)
{
    struct world *w = *state;
    static const char *const methods[] = {"GET",    "HEAD",    "POST",    "PUT",  "PATCH",
                                          "DELETE", "OPTIONS", "CONNECT", "TRACE"};
    for (unsigned i = 0; i < ARRAY_LEN(methods); i++)
        for (int way = 0; way < 3; way++) {
            struct peer p;
            struct error err = {0};
            char request[128];
            int n = snprintf(request, sizeof request, "%s /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
                             methods[i]);
            peer_init(&p, w->d, w->c);
            push_to_server(&p, request, (size_t)n);
            if (way == 1)
                p.wire.recv_max = 1;
            if (way == 2)
                p.wire.room = 10;
            int r = 0;
            for (int turn = 0; turn < 10 && r == 0; turn++)
                r = tls_conn_handshake(p.server, &err);
            assert_int_equal(r, -1);
            assert_string_equal(
                err.detail, "TLS handshake: the client sent an HTTP request to an HTTPS server");
            if (way == 2) {
                assert_true(tls_conn_wants_write(p.server));
                p.wire.room = 0;
                assert_int_equal(tls_conn_flush(p.server), 1);
            }
            assert_int_equal(p.wire.to_client.n, sizeof answer - 1);
            assert_memory_equal(p.wire.to_client.p, answer, sizeof answer - 1);
            p.wire.to_client.n = 0;
            assert_int_equal(tls_conn_recv(p.server, request, sizeof request), TLS_ERROR);
            assert_int_equal(put(&p, "x"), TLS_ERROR);
            assert_int_equal(p.wire.to_client.n, 0);
            peer_release(&p);
        }
}

/* --- the transport breaks */

static void broken(void **state)
{
    struct world *w = *state;
    struct peer p;
    char out[16];
    peer_init(&p, w->d, w->c);
    p.wire.broken = true;
    assert_int_equal(tls_conn_handshake(p.server, NULL), -1);
    failed_with(&p, "TLS handshake: the connection broke");
    assert_int_equal(tls_conn_flush(p.server), -1);
    peer_release(&p);
    /* While the server's part of the handshake is sent. */
    peer_init(&p, w->d, w->c);
    p.wire.room = 1;
    (void)SSL_do_handshake(p.client);
    carry(&p);
    assert_int_equal(tls_conn_handshake(p.server, NULL), 0);
    assert_true(tls_conn_wants_write(p.server));
    p.wire.broken = true;
    assert_int_equal(tls_conn_flush(p.server), -1);
    assert_int_equal(tls_conn_handshake(p.server, NULL), -1);
    failed_with(&p, "the connection broke");
    peer_release(&p);

    connected(w, &p);
    p.wire.broken = true;
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), TLS_ERROR);
    assert_int_equal(tls_conn_pending(p.server), 0);
    failed_with(&p, "TLS: the connection broke");
    peer_release(&p);

    connected(w, &p);
    p.wire.broken = true;
    assert_int_equal(put(&p, "x"), TLS_ERROR);
    assert_int_equal(put(&p, "x"), TLS_ERROR);
    assert_int_equal(tls_conn_flush(p.server), -1);
    assert_int_equal(tls_conn_queued(p.server), 0);
    tls_conn_shutdown(p.server);
    peer_release(&p);

    /* What waits meets the break later; and an answer to a key update does. */
    connected(w, &p);
    p.wire.room = 1;
    push_to_server(&p, "", 0);
    assert_int_equal(put(&p, "xyz"), 3);
    p.wire.broken = true;
    assert_int_equal(put(&p, "x"), TLS_ERROR);
    peer_release(&p);
    connected(w, &p);
    assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED), 1);
    client_write(&p, "data", 4);
    carry(&p);
    assert_int_equal(tls_conn_recv(p.server, out, 0), TLS_AGAIN);
    p.wire.room = 1;
    p.wire.to_client.n = 1;
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), 4);
    p.wire.broken = true;
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), TLS_ERROR);
    peer_release(&p);
    tls_conn_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_client),  cmocka_unit_test(by_server), cmocka_unit_test(truncated),
        cmocka_unit_test(left_early), cmocka_unit_test(garbage),   cmocka_unit_test(damaged),
        cmocka_unit_test(plain_http), cmocka_unit_test(broken),    cmocka_unit_test(renegotiation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
