/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: handshake, records, the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/util.h"
#include "tls/conn_int.h"

#include "base/banned.h"

struct tls_conn *tls_conn_new(struct tls_context *c, const struct tls_io *io)
{
    struct tls_conn *t = xcalloc(1, sizeof *t);
    ERR_clear_error();
    t->ssl = SSL_new(c->ssl);
    BIO *bio = BIO_new(c->bio);
    CHECK(t->ssl && bio); /* some KB: as xcalloc */
    t->context = tls_context_ref(c);
    t->io = *io;
    t->burst = TLS_WIRE;
    BIO_set_data(bio, t);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    return t;
}

void tls_conn_free(struct tls_conn *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    ERR_clear_error();
    tls_in_release(t);
    tls_out_drop(t);
    tls_context_unref(t->context);
    free(t->server_name);
    free(t->client);
    free(t->why);
    free(t);
}

/* --- failure */

static int refuse(struct tls_conn *t)
{
    t->failed = true;
    if (!t->why)
        t->why = xcalloc(1, sizeof *t->why);
    return -1;
}

/* As Go's server, by the first bytes of a request. OpenSSL knows four of the methods. */
static bool is_http(const struct tls_conn *t)
{
    static const char *const starts[] = {"GET /",  "HEAD /",  "POST /",  "PUT /", "PATCH /",
                                         "DELETE", "OPTIONS", "CONNECT", "TRACE"};
    struct slice first = {(const char *)t->first, t->n_first};
    for (unsigned i = 0; i < ARRAY_LEN(starts); i++)
        if (slice_starts(first, slice_first(slice_cstr(starts[i]), 5)))
            return true;
    return false;
}

static void answer_http(struct tls_conn *t)
{
    static const char text[] = "HTTP/1.0 400 Bad Request\r\n\r\n"
                               "Client sent an HTTP request to an HTTPS server.\n";
    tls_out_drop(t); /* the alert */
    (void)tls_out_add(t, text, sizeof text - 1);
}

/* What the person who reads the log can do about it. */
static const char *advice(int reason)
{
    static const struct {
        int reason;
        const char *text;
    } table[] = {
        {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the client does not know the CA: give it ca.crt"},
        {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
         "the client does not accept the certificate: does it know the CA, is the name in it?"},
        {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
         "the client does not accept the certificate: does it know the CA, is the name in it?"},
        {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "to the client the certificate has expired"},
        {SSL_R_UNSUPPORTED_PROTOCOL, "the client has only TLS versions older than the minimum"},
        {SSL_R_WRONG_VERSION_NUMBER, "what the client sent is not TLS"},
        {SSL_R_NO_SHARED_CIPHER, "client and server have no cipher suite in common"},
        {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client sent no certificate"},
        {SSL_R_NO_APPLICATION_PROTOCOL, "the client wants a protocol that is not HTTP"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].reason == reason)
            return table[i].text;
    return NULL;
}

/* After a call of OpenSSL that failed for good. */
static int fail(struct tls_conn *t)
{
    const char *phase = t->ready ? "TLS" : "TLS handshake";
    unsigned long e = ERR_peek_last_error();
    int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
    const char *more = advice(reason);
    char why[128];
    (void)tls_reason(why, sizeof why);
    (void)refuse(t);
    if (!t->ready && is_http(t)) {
        answer_http(t);
        return error_detail(t->why, ERR_BAD_REQUEST,
                            "%s: the client sent an HTTP request to an HTTPS server", phase);
    }
    if (t->broken)
        return error_set(t->why, ERR_BAD_REQUEST, "%s: the connection broke", phase);
    if (tls_in_wasted(t))
        return error_set(t->why, ERR_BAD_REQUEST, "%s: the client sends much that is no data",
                         phase);
    if (t->in_end && e == 0)
        return error_set(t->why, ERR_BAD_REQUEST, "%s: the client left", phase);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return error_set(t->why, ERR_BAD_REQUEST, "%s: the client's certificate is refused: %s",
                         phase, X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
    return error_set(t->why, ERR_BAD_REQUEST, "%s: %s%s%s%s", phase, why, more ? " (" : "",
                     more ? more : "", more ? ")" : "");
}

/* --- handshake */

static void remember_client(struct tls_conn *t)
{
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    if (!cert)
        return;
    CLEANUP_BUF struct buf name = {0};
    buf_init(&name, 16 * 1024); /* a longer one stays unnamed */
    tls_name_text(X509_get_subject_name(cert), &name);
    t->client = buf_steal(&name, NULL);
    t->verified = t->context->verifies && SSL_get_verify_result(t->ssl) == X509_V_OK;
}

static void finish(struct tls_conn *t)
{
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    t->ready = true;
    t->waste = 0;
    if (name)
        t->server_name = xstrdup(name);
    remember_client(t);
}

/* 1, 0 or -1 as tls_conn_handshake. What it wrote has been handed to the transport. */
static int handshake(struct tls_conn *t)
{
    if (t->failed)
        return -1;
    if (t->ready)
        return 1;
    ERR_clear_error();
    t->fills = 0;
    int r = SSL_do_handshake(t->ssl);
    int what = r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);
    if (r == 1)
        finish(t);
    else if (t->broken || (what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE))
        (void)fail(t);
    if (tls_out_flush(t, false) < 0 && !t->failed)
        return fail(t);
    return t->failed ? -1 : t->ready;
}

int tls_conn_handshake(struct tls_conn *t, struct error *err)
{
    int r = handshake(t);
    if (r < 0 && err)
        *err = *t->why;
    return r;
}

bool tls_conn_ready(const struct tls_conn *t)
{
    return t->ready;
}

/* --- reading */

static ssize_t ended(struct tls_conn *t)
{
    t->told = true;
    return t->failed ? TLS_ERROR : 0;
}

ssize_t tls_conn_recv(struct tls_conn *t, void *p, size_t n)
{
    if (!t->failed && !t->ready && handshake(t) == 0)
        return TLS_AGAIN;
    if (t->failed || t->no_more)
        return ended(t);
    if (n == 0)
        return TLS_AGAIN;
    size_t total = 0;
    t->fills = 0;
    ERR_clear_error();
    do {
        size_t got = 0;
        if (SSL_read_ex(t->ssl, (char *)p + total, n - total, &got) == 1) {
            total += got;
            t->waste = 0;
            continue;
        }
        int what = SSL_get_error(t->ssl, 0);
        if (what == SSL_ERROR_ZERO_RETURN)
            t->no_more = true;
        else if (t->broken || (what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE))
            (void)fail(t);
        break;
    } while (total < n && (SSL_pending(t->ssl) > 0 || tls_in_has_record(t)));
    /* Reading may have made something to write: the answer to a key update, an alert. */
    if (t->out && tls_out_flush(t, false) < 0 && !t->failed)
        (void)fail(t);
    if (total > 0)
        return (ssize_t)total;
    return t->failed || t->no_more ? ended(t) : TLS_AGAIN;
}

size_t tls_conn_pending(struct tls_conn *t)
{
    /* The end came with data before it: it has still to be told. */
    if (t->failed || t->no_more)
        return !t->told;
    int plain = SSL_pending(t->ssl);
    if (plain > 0)
        return (size_t)plain;
    return t->ready && tls_in_has_record(t) ? t->in_n - t->in_at : 0;
}

/* --- writing */

/* Where in the caller's pieces we are. */
struct cursor {
    const struct iovec *iov;
    int n;
    size_t at; /* in iov[0] */
};

static void advance(struct cursor *c, size_t n)
{
    while (c->n > 0 && n >= c->iov->iov_len - c->at) {
        n -= c->iov->iov_len - c->at;
        c->iov++;
        c->n--;
        c->at = 0;
    }
    if (c->n > 0)
        c->at += n;
}

/* A small piece and what follows it: a head and its body go into one record. */
static size_t gather(const struct cursor *from, char *out)
{
    struct cursor c = *from;
    size_t n = 0;
    while (c.n > 0 && n < TLS_PLAIN) {
        size_t take = MIN(c.iov->iov_len - c.at, TLS_PLAIN - n);
        memcpy(out + n, (const char *)c.iov->iov_base + c.at, take);
        n += take;
        advance(&c, take);
    }
    return n;
}

/* One record into the buffer. The bytes taken, or 0 when it failed. */
static size_t put_record(struct tls_conn *t, const struct cursor *c)
{
    char together[TLS_PLAIN] TLS_UNINITIALIZED;
    const char *p = (const char *)c->iov->iov_base + c->at;
    size_t n = c->iov->iov_len - c->at, put = 0;
    if (n < TLS_PLAIN && c->n > 1) {
        n = gather(c, together);
        p = together;
    }
    n = MIN(n, (size_t)TLS_PLAIN);
    if (SSL_write_ex(t->ssl, p, n, &put) == 1)
        return put;
    /* There was room for it, so nothing is to be waited for: it will never work. */
    (void)fail(t);
    return 0;
}

static size_t left_over(const struct cursor *c)
{
    size_t n = 0;
    for (int i = 0; i < c->n; i++)
        n += c->iov[i].iov_len;
    return n - c->at;
}

ssize_t tls_conn_writev(struct tls_conn *t, const struct iovec *iov, int n, bool more)
{
    int r = t->shut ? -1 : handshake(t);
    if (r == 1)
        r = tls_out_flush(t, true);
    if (r <= 0)
        return r == 0 ? TLS_AGAIN : TLS_ERROR;
    struct cursor c = {iov, n, 0};
    size_t taken = 0;
    ERR_clear_error();
    advance(&c, 0);
    while (c.n > 0) {
        size_t left = left_over(&c);
        tls_out_expect(t, MIN(left + left / 256 + 512, t->burst + TLS_SLACK));
        while (c.n > 0 && t->out_n - t->out_at + TLS_WIRE <= t->burst) {
            size_t put = put_record(t, &c);
            if (put == 0)
                return TLS_ERROR;
            advance(&c, put);
            taken += put;
        }
        r = tls_out_flush(t, more || c.n > 0);
        if (r < 0)
            return TLS_ERROR;
        if (r == 0)
            break; /* taken > 0: the buffer was empty */
        t->burst = MIN(2 * t->burst, (size_t)TLS_BURST);
    }
    return (ssize_t)taken;
}

int tls_conn_flush(struct tls_conn *t)
{
    return tls_out_flush(t, false);
}

bool tls_conn_wants_write(const struct tls_conn *t)
{
    return tls_conn_queued(t) > 0;
}

size_t tls_conn_queued(const struct tls_conn *t)
{
    return t->out_n - t->out_at;
}

void tls_conn_shutdown(struct tls_conn *t)
{
    if (!t->ready || t->failed || t->broken || t->shut)
        return;
    t->shut = true;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl); /* 0: theirs has not come yet, nobody waits for it */
    ERR_clear_error();
    (void)tls_out_flush(t, false);
}

/* --- what it is */

struct slice tls_conn_version(const struct tls_conn *t)
{
    return t->ready ? slice_cstr(SSL_get_version(t->ssl)) : SLICE_LIT("");
}

struct slice tls_conn_cipher(const struct tls_conn *t)
{
    const SSL_CIPHER *c = t->ready ? SSL_get_current_cipher(t->ssl) : NULL;
    return c ? slice_cstr(SSL_CIPHER_standard_name(c)) : SLICE_LIT("");
}

struct slice tls_conn_server_name(const struct tls_conn *t)
{
    return t->server_name ? slice_cstr(t->server_name) : SLICE_LIT("");
}

struct slice tls_conn_client(const struct tls_conn *t, bool *verified)
{
    *verified = t->verified;
    return t->client ? slice_cstr(t->client) : SLICE_LIT("");
}
