/* SPDX-License-Identifier: Apache-2.0 */
/* Many bytes, through transports that take and give them in pieces of every size. */
#include "fixture.h"

#include <string.h>

#include "base/util.h"
#include "tls/conn_int.h"

#include "base/banned.h"

enum { MANY = 3 * 1024 * 1024 + 77 };

struct world {
    struct dir *d;
    struct tls_context *c;
    unsigned char *data, *got; /* MANY each */
};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    void *dir;
    if (dir_setup(&dir))
        return -1;
    w->d = dir;
    w->c = default_context(w->d);
    w->data = malloc(MANY);
    w->got = malloc(MANY);
    for (size_t i = 0; i < MANY; i++)
        w->data[i] = (unsigned char)next_random(256);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *dir = w->d;
    tls_context_unref(w->c);
    free(w->data);
    free(w->got);
    free(w);
    return dir_teardown(&dir);
}

static void connected(struct world *w, struct peer *p, int version)
{
    memset(w->got, 0, MANY);
    peer_init(p, w->d, w->c);
    SSL_set_max_proto_version(p->client, version);
    assert_int_equal(shake(p), 1);
    carry(p);
    char byte; /* takes in the tickets */
    assert_int_equal(client_read(p, &byte, 1), 0);
    p->wire.sends = p->wire.recvs = p->wire.empty = 0;
    p->wire.largest = 0;
}

/* Nothing is left of a buffer: what is idle is small. */
static void assert_idle(struct tls_conn *t)
{
    assert_null(t->in);
    assert_null(t->out);
    assert_int_equal(tls_conn_queued(t), 0);
    assert_int_equal(tls_conn_pending(t), 0);
    assert_false(tls_conn_wants_write(t));
}

/* --- down */

/* data[at, n) in pieces of these sizes, the last one over and over. */
static int slice_up(struct world *w, size_t at, size_t n, const size_t *sizes, struct iovec *iov,
                    int max)
{
    int k = 0;
    for (; k < max && at < n; k++) {
        size_t len = MIN(sizes[MIN(k, 3)], n - at);
        iov[k] = (struct iovec){w->data + at, len};
        at += len;
    }
    return k;
}

static size_t drain(struct world *w, struct peer *p, size_t got)
{
    carry(p);
    return got + client_read(p, w->got + got, MANY - got);
}

static void download(struct world *w, struct peer *p, const size_t *sizes, int pieces)
{
    size_t at = 0, got = 0;
    for (long turn = 0; got < MANY; turn++) {
        struct iovec iov[16];
        int n = slice_up(w, at, MANY, sizes, iov, pieces);
        if (n && !tls_conn_wants_write(p->server)) {
            ssize_t put = tls_conn_writev(p->server, iov, n, true);
            assert_true(put > 0 || put == TLS_AGAIN);
            at += put > 0 ? (size_t)put : 0;
        } else {
            assert_true(tls_conn_flush(p->server) >= 0);
        }
        assert_true(tls_conn_queued(p->server) <= TLS_BUFFER);
        got = drain(w, p, got);
        assert_true(turn < 1000000);
    }
    assert_int_equal(at, MANY);
    assert_memory_equal(w->data, w->got, MANY);
    assert_idle(p->server);
}

static void downloads(void **state)
{
    struct world *w = *state;
    static const struct {
        size_t sizes[4];
        int pieces;
    } cuts[] = {
        {{MANY}, 1},
        {{300, MANY}, 2},
        {{65536}, 1},
        {{1, 0, 5, 20000}, 8},
        {{0, MANY}, 2},
        {{16384, 16384, 16385, 16383}, 4},
        {{100, 100, 100, 100}, 16},
    };
    static const struct {
        size_t send_max, room;
        bool random;
    } ways[] = {{0, 0, false}, {0, 0, true}, {1460, 0, false}, {0, 70000, false}, {0, 999, true}};
    for (unsigned i = 0; i < ARRAY_LEN(cuts); i++)
        for (unsigned k = 0; k < ARRAY_LEN(ways); k++) {
            struct peer p;
            connected(w, &p, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
            p.wire.send_max = ways[k].send_max;
            p.wire.room = ways[k].room;
            p.wire.random = ways[k].random;
            download(w, &p, cuts[i].sizes, cuts[i].pieces);
            peer_release(&p);
        }
}

/* Whoever takes everything gets eight full records in a call. */
static void batches(void **state)
{
    struct world *w = *state;
    struct peer p;
    struct iovec iov[2] = {{w->data, 300}, {w->data + 300, MANY - 300}};
    connected(w, &p, TLS1_3_VERSION);
    assert_int_equal(tls_conn_writev(p.server, iov, 2, false), MANY);
    assert_int_equal(p.wire.largest, 8 * (TLS_PLAIN + 22));
    unsigned full = MANY / (8 * TLS_PLAIN);
    assert_true(p.wire.sends <= full + 5); /* it begins with one record, two, four */
    /* Full records, but for the last. */
    size_t records = 0, at = 0;
    while (at < p.wire.to_client.n) {
        const unsigned char *r = (const unsigned char *)p.wire.to_client.p + at;
        size_t n = (size_t)r[3] << 8 | r[4];
        at += 5 + n;
        records++;
        assert_true(n == TLS_PLAIN + 17 || at == p.wire.to_client.n);
    }
    assert_int_equal(records, (MANY + TLS_PLAIN - 1) / TLS_PLAIN);
    assert_int_equal(drain(w, &p, 0), MANY);
    assert_memory_equal(w->data, w->got, MANY);
    assert_idle(p.server);
    peer_release(&p);
}

/* Who takes little holds little. */
static void slow(void **state)
{
    struct world *w = *state;
    struct peer p;
    struct iovec iov = {w->data, 1024 * 1024};
    connected(w, &p, TLS1_3_VERSION);
    assert_int_equal(tls_conn_writev(p.server, &iov, 1, false), 1024 * 1024);
    p.wire.room = p.wire.to_client.n + 1000;
    assert_true(p.server->burst == TLS_BURST);
    ssize_t put = tls_conn_writev(p.server, &iov, 1, false);
    assert_int_equal(put, 8 * TLS_PLAIN);
    assert_true(tls_conn_wants_write(p.server));
    assert_int_equal(tls_conn_queued(p.server), 8 * (TLS_PLAIN + 22) - 1000);
    assert_int_equal(p.server->out_cap, tls_conn_queued(p.server));
    assert_int_equal(tls_conn_writev(p.server, &iov, 1, false), TLS_AGAIN);
    assert_int_equal(tls_conn_flush(p.server), 0);
    /* A few turns later only one record at a time waits. */
    for (int i = 0; i < 6; i++) {
        p.wire.room = p.wire.to_client.n + tls_conn_queued(p.server) + 100;
        assert_int_equal(tls_conn_flush(p.server), 1);
        assert_true(tls_conn_writev(p.server, &iov, 1, false) > 0);
    }
    assert_int_equal(p.server->burst, TLS_WIRE);
    assert_true(tls_conn_queued(p.server) <= TLS_WIRE);
    assert_true(p.server->out_cap <= TLS_WIRE);
    p.wire.room = 0;
    assert_int_equal(tls_conn_flush(p.server), 1);
    assert_idle(p.server);
    peer_release(&p);
}

static void nothing(void **state)
{
    struct world *w = *state;
    struct peer p;
    char byte;
    struct iovec iov[2] = {{w->data, 0}, {w->data, 0}};
    connected(w, &p, TLS1_3_VERSION);
    assert_int_equal(tls_conn_writev(p.server, iov, 2, false), 0);
    assert_int_equal(tls_conn_writev(p.server, iov, 0, false), 0);
    assert_int_equal(p.wire.sends, 0);
    assert_int_equal(tls_conn_recv(p.server, &byte, 0), TLS_AGAIN);
    assert_int_equal(p.wire.recvs, 0);
    assert_int_equal(tls_conn_flush(p.server), 1);
    assert_idle(p.server);
    peer_release(&p);
}

/* --- up */

static void upload(struct world *w, struct peer *p, size_t ask)
{
    size_t at = 0, got = 0;
    while (got < MANY) {
        for (int i = 0; i < 9 && at < MANY; i++) {
            size_t n = MIN((size_t)20000, MANY - at);
            client_write(p, w->data + at, n);
            at += n;
        }
        carry(p);
        size_t before = got;
        for (;;) {
            ssize_t n = tls_conn_recv(p->server, w->got + got, MIN(ask, MANY - got));
            if (n == TLS_AGAIN && p->wire.to_server.n)
                continue; /* not all of a record has come */
            if (n <= 0) {
                assert_int_equal(n, TLS_AGAIN);
                break;
            }
            got += (size_t)n;
            if (got == MANY)
                break;
        }
        assert_true(got > before);
    }
    assert_memory_equal(w->data, w->got, MANY);
}

static void uploads(void **state)
{
    struct world *w = *state;
    static const struct {
        size_t recv_max, ask;
        bool random;
    } ways[] = {{0, 65536, false},    {0, MANY, false},  {0, 1000, true},
                {1460, 65536, false}, {4, 16384, false}, {0, 16385, true}};
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        struct peer p;
        connected(w, &p, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
        p.wire.recv_max = ways[i].recv_max;
        p.wire.random = ways[i].random;
        upload(w, &p, ways[i].ask);
        if (!ways[i].recv_max && !ways[i].random) /* 180,000 bytes a turn: two calls, and one that
                                                    finds nothing */
            assert_true(p.wire.recvs <= 3 * (MANY / 180000 + 1));
        assert_idle(p.server);
        peer_release(&p);
    }
}

/* What has been read ahead must be told of: epoll does not. And nothing else must be. */
static void pending(void **state)
{
    struct world *w = *state;
    static const size_t asks[] = {1, 100, 5000, 16384, 40000};
    for (unsigned i = 0; i < ARRAY_LEN(asks); i++) {
        struct peer p;
        size_t got = 0, want = 0;
        connected(w, &p, TLS1_3_VERSION);
        for (int r = 0; r < 20; r++) {
            size_t n = 1 + next_random(2000);
            client_write(&p, w->data + want, n);
            want += n;
        }
        carry(&p);
        /* The last record comes but in part. */
        client_write(&p, w->data + want, 3000);
        char last[4000];
        int n_last = BIO_read(SSL_get_wbio(p.client), last, sizeof last);
        assert_int_equal(n_last, 3022);
        push_to_server(&p, last, 1500);
        assert_int_equal(tls_conn_pending(p.server), 0); /* nothing was read yet */
        ssize_t n = tls_conn_recv(p.server, w->got, asks[i]);
        assert_true(n > 0);
        got = (size_t)n;
        assert_int_equal(p.wire.to_server.n, 0); /* all of it is in here now */
        unsigned recvs = p.wire.recvs;
        while (tls_conn_pending(p.server) > 0) {
            n = tls_conn_recv(p.server, w->got + got, asks[i]);
            assert_true(n > 0);
            got += (size_t)n;
            assert_int_equal(p.wire.recvs, recvs);
        }
        assert_int_equal(got, want);
        assert_int_equal(tls_conn_recv(p.server, w->got + got, asks[i]), TLS_AGAIN);
        assert_int_equal(tls_conn_pending(p.server), 0);
        assert_null(p.server->in);
        push_to_server(&p, last + 1500, (size_t)n_last - 1500);
        n = tls_conn_recv(p.server, w->got + got, asks[i]);
        while (n > 0) {
            got += (size_t)n;
            n = tls_conn_pending(p.server) ? tls_conn_recv(p.server, w->got + got, asks[i]) : 0;
        }
        assert_int_equal(got, want + 3000);
        assert_memory_equal(w->got, w->data, got);
        assert_idle(p.server);
        peer_release(&p);
    }
}

/* Five bytes of a header and less, and a record that gives no data. */
static void pending_odd(void **state)
{
    struct world *w = *state;
    struct peer p;
    char part[256], out[16];
    connected(w, &p, TLS1_3_VERSION);
    client_write(&p, "0123456789", 10);
    carry(&p);
    client_write(&p, "abc", 3);
    int n = BIO_read(SSL_get_wbio(p.client), part, sizeof part);
    assert_int_equal(n, 25);
    push_to_server(&p, part, 3);
    assert_int_equal(tls_conn_recv(p.server, out, 4), 4);
    assert_true(tls_conn_pending(p.server) > 0);
    assert_int_equal(tls_conn_recv(p.server, out, 16), 6);
    assert_int_equal(tls_conn_pending(p.server), 0);
    push_to_server(&p, part + 3, (size_t)n - 3);
    assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(p.client), 1);
    carry(&p);
    assert_int_equal(tls_conn_recv(p.server, out, 3), 3);
    assert_true(tls_conn_pending(p.server) > 0); /* the key update */
    assert_int_equal(tls_conn_recv(p.server, out, 3), TLS_AGAIN);
    assert_idle(p.server);
    peer_release(&p);
}

/* A peer that gives a byte at a time, for ever, does not hold the loop. */
static void dribble(void **state)
{
    struct world *w = *state;
    struct peer p;
    char out[64];
    ssize_t n = TLS_AGAIN;
    connected(w, &p, TLS1_3_VERSION);
    p.wire.recv_max = 1;
    client_write(&p, "slow and steady", 15);
    carry(&p);
    for (int i = 0; i < 100 && n == TLS_AGAIN; i++) {
        unsigned before = p.wire.recvs;
        n = tls_conn_recv(p.server, out, sizeof out);
        assert_true(p.wire.recvs - before <= 16);
    }
    assert_int_equal(n, 15);
    assert_memory_equal(out, "slow and steady", 15);
    peer_release(&p);
}

/* --- both */

static void both(void **state)
{
    struct world *w = *state;
    struct peer p;
    static unsigned char up[MANY]; /* lint: globals: a test's */
    size_t sent = 0, got = 0, put = 0, back = 0;
    connected(w, &p, TLS1_3_VERSION);
    p.wire.random = true;
    p.wire.room = 50000;
    for (long turn = 0; got < MANY || back < MANY; turn++) {
        assert_true(turn < 1000000);
        if (sent < MANY && next_random(2)) {
            size_t n = MIN((size_t)1 + next_random(30000), MANY - sent);
            client_write(&p, w->data + sent, n);
            sent += n;
        }
        if (sent == MANY / 2)
            (void)SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED);
        ssize_t n =
            tls_conn_recv(p.server, up + got, MIN((size_t)1 + next_random(70000), MANY - got));
        if (got < MANY) {
            assert_true(n > 0 || n == TLS_AGAIN);
            got += n > 0 ? (size_t)n : 0;
        }
        struct iovec iov = {w->data + put, MIN((size_t)next_random(200000), MANY - put)};
        n = tls_conn_writev(p.server, &iov, 1, next_random(2));
        assert_true(n >= 0 || n == TLS_AGAIN);
        put += n > 0 ? (size_t)n : 0;
        if (next_random(2))
            assert_true(tls_conn_flush(p.server) >= 0);
        back = drain(w, &p, back);
    }
    assert_memory_equal(up, w->data, MANY);
    assert_memory_equal(w->got, w->data, MANY);
    peer_release(&p);
}

/* They cost a hundred times what they weigh: who sends nothing else is cut off, soon, and one who
 * renews keys between data is not. */
static void key_update_flood(void **state)
{
    struct world *w = *state;
    struct peer p;
    char out[64];
    struct error err;
    connected(w, &p, TLS1_3_VERSION);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        if (i % 100 == 99)
            client_write(&p, "x", 1);
        else
            assert_int_equal(SSL_do_handshake(p.client), 1);
        carry(&p);
        ssize_t n = tls_conn_recv(p.server, out, sizeof out);
        assert_true(n == (i % 100 == 99 ? 1 : TLS_AGAIN));
    }
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(p.client), 1);
        carry(&p);
    }
    assert_int_equal(tls_conn_recv(p.server, out, sizeof out), TLS_ERROR);
    assert_int_equal(tls_conn_handshake(p.server, &err), -1);
    assert_non_null(strstr(err.message, "no data"));
    assert_int_equal(tls_conn_pending(p.server), 0);
    peer_release(&p);
}

/* Each asks for an answer, and the client takes none of them: what waits has a bound. */
static void key_updates(void **state)
{
    struct world *w = *state;
    struct peer p;
    char out[64];
    connected(w, &p, TLS1_3_VERSION);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED), 1);
        talk(&p);
    }
    p.wire.room = 1;
    p.wire.to_client.n = 0;
    push_to_server(&p, "", 0);
    for (int i = 0; i < 8000; i++) {
        assert_int_equal(SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED), 1);
        client_write(&p, "x", 1);
        int n;
        char part[256];
        while ((n = BIO_read(SSL_get_wbio(p.client), part, sizeof part)) > 0)
            push_to_server(&p, part, (size_t)n);
        ssize_t r = tls_conn_recv(p.server, out, sizeof out);
        assert_true(r > 0 || r == TLS_AGAIN);
        assert_true(tls_conn_queued(p.server) <= TLS_BUFFER);
    }
    p.wire.room = 0;
    for (int i = 0; i < 100 && tls_conn_wants_write(p.server); i++)
        assert_true(tls_conn_flush(p.server) >= 0);
    while (tls_conn_recv(p.server, out, sizeof out) > 0)
        ;
    carry(&p);
    talk(&p);
    assert_idle(p.server);
    peer_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(downloads),
        cmocka_unit_test(batches),
        cmocka_unit_test(slow),
        cmocka_unit_test(nothing),
        cmocka_unit_test(uploads),
        cmocka_unit_test(pending),
        cmocka_unit_test(dribble),
        cmocka_unit_test(pending_odd),
        cmocka_unit_test(both),
        cmocka_unit_test(key_updates),
        cmocka_unit_test(key_update_flood),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
