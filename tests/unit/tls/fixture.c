/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <ftw.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/util.h"

#include "base/banned.h"

int dir_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    struct dir *d = xcalloc(1, sizeof *d);
    (void)snprintf(d->path, sizeof d->path, "%s/berth-tls-XXXXXX", base ? base : "/tmp");
    *state = d;
    return mkdtemp(d->path) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int dir_teardown(void **state)
{
    struct dir *d = *state;
    int r = nftw(d->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    for (unsigned i = 0; i < ARRAY_LEN(d->text); i++)
        free(d->text[i]);
    free(d);
    ERR_clear_error();
    return r;
}

const char *in(struct dir *d, const char *name)
{
    size_t n = strlen(d->path) + strlen(name) + 2;
    char **at = &d->text[d->at++ % ARRAY_LEN(d->text)];
    free(*at);
    *at = xcalloc(1, n);
    (void)snprintf(*at, n, "%s/%s", d->path, name);
    return *at;
}

void put_file(struct dir *d, const char *name, const void *p, size_t n)
{
    FILE *f = fopen(in(d, name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* --- certificates */

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static void name_it(X509 *x, const struct make *m)
{
    const char *cn = m->cn ? m->cn : "localhost";
    X509_NAME *name = X509_get_subject_name(x);
    assert_int_equal(
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0),
        1);
    assert_int_equal(X509_set_issuer_name(x, m->by ? X509_get_subject_name(m->by->cert) : name), 1);
}

struct made make(const struct make *m)
{
    struct made r = {X509_new(), NULL};
    bool days = m->from_days || m->to_days;
    r.key = m->reuse      ? m->reuse
            : m->rsa_bits ? EVP_RSA_gen((unsigned)m->rsa_bits)
                          : EVP_EC_gen("P-256");
    assert_non_null(r.key);
    if (m->reuse)
        EVP_PKEY_up_ref(m->reuse);
    X509_set_version(r.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(r.cert), 1 + (long)next_random(1u << 30));
    name_it(r.cert, m);
    X509_time_adj_ex(X509_getm_notBefore(r.cert), days ? m->from_days : -1, 0, NULL);
    /* Some minutes more than the days: a test may take a while. */
    X509_time_adj_ex(X509_getm_notAfter(r.cert), days ? m->to_days : 90, 600, NULL);
    X509_set_pubkey(r.cert, r.key);
    X509 *issuer = m->by ? m->by->cert : r.cert;
    extend(r.cert, issuer, NID_basic_constraints, m->ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (m->ca)
        extend(r.cert, issuer, NID_key_usage, "critical,keyCertSign");
    const char *names = m->names ? m->names : m->ca ? "" : "DNS:localhost,IP:127.0.0.1";
    const char *eku = m->eku ? m->eku : m->ca ? "" : "serverAuth";
    if (*names)
        extend(r.cert, issuer, NID_subject_alt_name, names);
    if (*eku)
        extend(r.cert, issuer, NID_ext_key_usage, eku);
    const EVP_MD *md = EVP_get_digestbyname(m->md ? m->md : "SHA256");
    assert_true(X509_sign(r.cert, m->by ? m->by->key : r.key, md) > 0);
    return r;
}

void made_free(struct made *m)
{
    X509_free(m->cert);
    EVP_PKEY_free(m->key);
    *m = (struct made){0};
}

void save_chain(struct dir *d, const char *name, X509 *first, ...)
{
    va_list ap;
    FILE *f = fopen(in(d, name), "w");
    assert_non_null(f);
    va_start(ap, first);
    for (X509 *x = first; x; x = va_arg(ap, X509 *))
        assert_int_equal(PEM_write_X509(f, x), 1);
    va_end(ap);
    assert_int_equal(fclose(f), 0);
}

void save_key(struct dir *d, const char *name, EVP_PKEY *key, const char *password)
{
    FILE *f = fopen(in(d, name), "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, password ? EVP_aes_256_cbc() : NULL,
                                               password, password ? (int)strlen(password) : 0, NULL,
                                               NULL),
                     1);
    assert_int_equal(fclose(f), 0);
}

void save_default(struct dir *d)
{
    struct made ca = make(&(struct make){.cn = "test CA", .ca = true});
    struct made server = make(&(struct make){.by = &ca});
    save_chain(d, "ca.crt", ca.cert, NULL);
    save_key(d, "ca.key", ca.key, NULL);
    save_chain(d, "server.crt", server.cert, NULL);
    save_key(d, "server.key", server.key, NULL);
    made_free(&ca);
    made_free(&server);
}

struct tls_context *default_context(struct dir *d)
{
    struct tls_context *c = NULL;
    struct error err = {0};
    save_default(d);
    struct tls_config config = {.certificate = in(d, "server.crt"), .key = in(d, "server.key")};
    if (tls_context_new(&config, &c, &err))
        fail_msg("%s", err.message);
    assert_null(tls_context_warning(c));
    return c;
}

/* --- the wire */

unsigned next_random(unsigned below)
{
    static uint32_t x = 2463534242u; /* xorshift: the same in every run */
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % below;
}

static void queue_add(struct queue *q, const void *p, size_t n)
{
    if (q->at + q->n + n > q->cap) {
        if (q->n)
            memmove(q->p, q->p + q->at, q->n);
        q->at = 0;
        if (q->n + n > q->cap / 2) {
            q->cap = (q->n + n) * 2;
            q->p = realloc(q->p, q->cap);
            assert_non_null(q->p);
        }
    }
    if (n)
        memcpy(q->p + q->at + q->n, p, n);
    q->n += n;
}

static void queue_drop(struct queue *q, size_t n)
{
    q->n -= n;
    q->at = q->n ? q->at + n : 0;
}

static size_t cut(const struct wire *w, size_t n, size_t max)
{
    if (max && n > max)
        n = max;
    if (w->random && n > 1)
        n = 1 + next_random((unsigned)n);
    return n;
}

static ssize_t wire_recv(void *arg, void *p, size_t n)
{
    struct wire *w = arg;
    w->recvs++;
    if (w->broken)
        return TLS_ERROR;
    n = cut(w, MIN(n, w->to_server.n), w->recv_max);
    if (n == 0) {
        w->empty++;
        return w->end ? 0 : TLS_AGAIN;
    }
    memcpy(p, w->to_server.p + w->to_server.at, n);
    queue_drop(&w->to_server, n);
    return (ssize_t)n;
}

static ssize_t wire_send(void *arg, const void *p, size_t n, bool more)
{
    struct wire *w = arg;
    (void)more;
    w->sends++;
    w->largest = MAX(w->largest, n);
    assert_true(n > 0);
    if (w->broken)
        return TLS_ERROR;
    n = cut(w, n, w->send_max);
    if (w->room)
        n = MIN(n, w->room - MIN(w->room, w->to_client.n));
    if (n == 0)
        return TLS_AGAIN;
    queue_add(&w->to_client, p, n);
    return (ssize_t)n;
}

void push_to_server(struct peer *p, const void *data, size_t n)
{
    queue_add(&p->wire.to_server, data, n);
}

void peer_init(struct peer *p, struct dir *d, struct tls_context *c)
{
    *p = (struct peer){0};
    p->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(p->ctx);
    assert_int_equal(SSL_CTX_load_verify_locations(p->ctx, in(d, "ca.crt"), NULL), 1);
    SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
    p->client = SSL_new(p->ctx);
    SSL_set_bio(p->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(p->client), -1);
    assert_int_equal(SSL_set1_host(p->client, "localhost"), 1);
    SSL_set_tlsext_host_name(p->client, "localhost");
    SSL_set_connect_state(p->client);
    struct tls_io io = {wire_recv, wire_send, &p->wire};
    p->server = tls_conn_new(c, &io);
}

void peer_release(struct peer *p)
{
    tls_conn_free(p->server);
    /* Else OpenSSL spoils the session that a test has taken out. */
    SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(p->client);
    SSL_CTX_free(p->ctx);
    free(p->wire.to_server.p);
    free(p->wire.to_client.p);
    ERR_clear_error();
}

void carry(struct peer *p)
{
    char part[65536];
    int n;
    while ((n = BIO_read(SSL_get_wbio(p->client), part, sizeof part)) > 0)
        push_to_server(p, part, (size_t)n);
    if (p->wire.to_client.n) {
        assert_int_equal(
            BIO_write(SSL_get_rbio(p->client), p->wire.to_client.p, (int)p->wire.to_client.n),
            (int)p->wire.to_client.n);
        p->wire.to_client.n = 0;
    }
}

int shake(struct peer *p)
{
    struct error err = {0};
    for (int turn = 0; turn < 100000; turn++) {
        ERR_clear_error();
        int c = SSL_do_handshake(p->client);
        int what = c == 1 ? SSL_ERROR_NONE : SSL_get_error(p->client, c);
        carry(p);
        int s = tls_conn_handshake(p->server, &err);
        if (tls_conn_wants_write(p->server))
            (void)tls_conn_flush(p->server);
        carry(p);
        if (s < 0 || (what != SSL_ERROR_NONE && what != SSL_ERROR_WANT_READ))
            return -1;
        if (c == 1 && s == 1 && !tls_conn_wants_write(p->server))
            return 1;
    }
    fail_msg("the handshake does not end");
    return -1;
}

void client_write(struct peer *p, const void *data, size_t n)
{
    ERR_clear_error();
    assert_int_equal(SSL_write(p->client, data, (int)n), (int)n);
}

size_t client_read(struct peer *p, void *out, size_t n)
{
    size_t total = 0, got = 0;
    ERR_clear_error();
    while (total < n && SSL_read_ex(p->client, (char *)out + total, n - total, &got) == 1)
        total += got;
    return total;
}

void talk(struct peer *p)
{
    char back[64];
    struct iovec iov = {(char[]){"pong"}, 4};
    client_write(p, "ping", 4);
    carry(p);
    ssize_t n = TLS_AGAIN;
    for (int i = 0; i < 10000 && n == TLS_AGAIN; i++)
        n = tls_conn_recv(p->server, back, sizeof back);
    assert_int_equal(n, 4);
    assert_memory_equal(back, "ping", 4);
    assert_int_equal(tls_conn_writev(p->server, &iov, 1, false), 4);
    for (int i = 0; i < 10000 && tls_conn_wants_write(p->server); i++)
        assert_true(tls_conn_flush(p->server) >= 0);
    carry(p);
    assert_int_equal(client_read(p, back, sizeof back), 4);
    assert_memory_equal(back, "pong", 4);
}
