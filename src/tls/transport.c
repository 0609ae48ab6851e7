/* SPDX-License-Identifier: Apache-2.0 */
/* Between OpenSSL and the transport below. OpenSSL writes record by record and reads a header, then
 * a body; here they are gathered, so that one system call moves up to eight records. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>

#include "base/util.h"
#include "tls/conn_int.h"

#include "base/banned.h"

enum {
    OUT_FIRST = 4096,      /* the smallest buffer: most handshakes fit */
    OUT_SMALL = 16 * 1024, /* what leaves more than this needs a buffer from the pool */
    FILLS_MAX = 4,         /* a peer that sends only what gives no data must not hold the loop */
    WASTE_MAX = 20 * 1024, /* a record that comes piece by piece, and hundreds of key updates: each
                              costs 8 us, and OpenSSL itself does not count them */
    HEADER = 5,            /* of a record */
    RECORD_MAX = TLS_PLAIN + 2048 /* RFC 5246 6.2.3 */
};

/* --- out */

static void out_free(struct tls_conn *t)
{
    if (t->out && t->out_cap == TLS_BUFFER)
        tls_pool_give(&t->context->pool, t->out);
    else
        free(t->out);
    t->out = NULL;
    t->out_at = t->out_n = t->out_cap = 0;
}

void tls_out_drop(struct tls_conn *t)
{
    out_free(t);
}

/* Moves what waits into a buffer of `cap` bytes. */
static int out_move(struct tls_conn *t, size_t cap)
{
    size_t n = t->out_n - t->out_at;
    CHECK(cap > 0 && cap >= n);
    char *p = cap == TLS_BUFFER ? tls_pool_take(&t->context->pool) : malloc(cap);
    if (!p)
        return -1;
    if (n)
        memcpy(p, t->out + t->out_at, n);
    out_free(t);
    t->out = p;
    t->out_n = n;
    t->out_cap = cap;
    return 0;
}

static int out_room(struct tls_conn *t, size_t n)
{
    if (t->out_cap - t->out_n >= n)
        return 0;
    size_t need = t->out_n - t->out_at + n;
    if (need > TLS_BUFFER)
        return -1;
    return out_move(t, need <= OUT_FIRST ? OUT_FIRST : need <= OUT_SMALL ? OUT_SMALL : TLS_BUFFER);
}

void tls_out_expect(struct tls_conn *t, size_t wire)
{
    (void)out_room(t, MIN(wire, TLS_BUFFER - (t->out_n - t->out_at)));
}

int tls_out_add(struct tls_conn *t, const void *p, size_t n)
{
    if (t->broken || out_room(t, n))
        return -1;
    memcpy(t->out + t->out_n, p, n);
    t->out_n += n;
    return 0;
}

/* The rest may lie for as long as the peer likes: it gets a buffer of its own size, and the large
 * one goes to somebody who can use it. */
static void out_rest(struct tls_conn *t)
{
    t->burst = MAX(t->burst / 2, (size_t)TLS_WIRE);
    size_t left = t->out_n - t->out_at;
    if (t->out_cap == TLS_BUFFER && left < TLS_BUFFER)
        (void)out_move(t, left); /* without memory it stays where it is */
}

int tls_out_flush(struct tls_conn *t, bool more)
{
    if (t->broken)
        return -1;
    if (!t->out)
        return 1;
    size_t left = t->out_n - t->out_at;
    ssize_t r = left ? t->io.send(t->io.arg, t->out + t->out_at, left, more) : 0;
    if (r == TLS_ERROR) {
        t->broken = true;
        out_free(t);
        return -1;
    }
    if (r > 0)
        t->out_at += (size_t)r;
    if (t->out_at < t->out_n) {
        out_rest(t);
        return 0;
    }
    out_free(t);
    return 1;
}

/* --- in */

void tls_in_release(struct tls_conn *t)
{
    if (t->in)
        tls_pool_give(&t->context->pool, t->in);
    t->in = NULL;
    t->in_at = t->in_n = 0;
}

bool tls_in_has_record(const struct tls_conn *t)
{
    size_t n = t->in_n - t->in_at;
    if (n < HEADER)
        return false;
    const unsigned char *p = (const unsigned char *)t->in + t->in_at;
    size_t body = (size_t)p[3] << 8 | p[4];
    /* What is too long is refused at its header. */
    return body > RECORD_MAX || n >= HEADER + body;
}

bool tls_in_wasted(const struct tls_conn *t)
{
    return t->ready && t->waste > WASTE_MAX;
}

/* 1: there are bytes, 0: the end, -1: later or never. */
static int in_fill(struct tls_conn *t)
{
    if (t->in_end)
        return 0;
    if (t->broken || t->fills >= FILLS_MAX)
        return -1;
    t->in = tls_pool_take(&t->context->pool);
    if (!t->in) {
        t->broken = true;
        return -1;
    }
    t->fills++;
    ssize_t r = t->io.recv(t->io.arg, t->in, TLS_BUFFER);
    if (r > 0) {
        t->in_n = (size_t)r;
        return 1;
    }
    tls_in_release(t);
    t->in_end = r == 0;
    t->broken = r == TLS_ERROR;
    return r == 0 ? 0 : -1;
}

/* --- OpenSSL's side */

static int bio_read(BIO *bio, char *p, int n)
{
    struct tls_conn *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0)
        return 0;
    if (!t->in) {
        int r = in_fill(t);
        if (r < 0 && !t->broken)
            BIO_set_retry_read(bio);
        if (r <= 0)
            return r;
    }
    if (tls_in_wasted(t))
        return -1;
    size_t got = MIN((size_t)n, t->in_n - t->in_at);
    t->waste += got;
    memcpy(p, t->in + t->in_at, got);
    t->in_at += got;
    if (t->in_at == t->in_n)
        tls_in_release(t);
    if (t->n_first < sizeof t->first) {
        size_t room = MIN(got, sizeof t->first - t->n_first);
        memcpy(t->first + t->n_first, p, room);
        t->n_first = (uint8_t)(t->n_first + room);
    }
    return (int)got;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct tls_conn *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0)
        return 0;
    if (t->broken)
        return -1;
    if (tls_out_add(t, p, (size_t)n)) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    const struct tls_conn *t = BIO_get_data(bio);
    (void)number;
    (void)arg;
    switch (command) {
    case BIO_CTRL_FLUSH: /* sent by whoever called OpenSSL, once for all it wrote */
        return 1;
    case BIO_CTRL_EOF:
        return t->in_end && !t->in;
    default:
        return 0;
    }
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method(void)
{
    /* No index of its own: there are 127 in a process, and a reload makes a method each time. */
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "berth");
    if (m && BIO_meth_set_write(m, bio_write) && BIO_meth_set_read(m, bio_read) &&
        BIO_meth_set_ctrl(m, bio_ctrl) && BIO_meth_set_create(m, bio_create))
        return m;
    BIO_meth_free(m);
    return NULL;
}
