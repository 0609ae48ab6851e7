/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's inside, for conn.c (the protocol) and transport.c (bytes in and out). */
#ifndef TLS_CONN_INT_H
#define TLS_CONN_INT_H

#include "tls/tls_int.h"

struct tls_conn {
    SSL *ssl;
    struct tls_context *context;
    struct tls_io io;
    /* Encrypted bytes that came. Filled by one recv, so only when it is empty; OpenSSL takes the
     * part of a record out of it too, so what is here begins with a record whenever OpenSSL has
     * given one out. NULL when empty. */
    char *in;
    size_t in_at, in_n;
    unsigned fills; /* recv calls since tls_conn_recv began */
    size_t waste;   /* bytes that OpenSSL took since it last gave data, after the handshake */
    /* Encrypted bytes that are to leave: out_at .. out_n of out_cap. NULL when empty. */
    char *out;
    size_t out_at, out_n, out_cap;
    size_t burst; /* how much is encrypted before it is sent: less for who does not take it */
    unsigned char first[8]; /* what the client said first */
    uint8_t n_first;
    bool in_end;   /* the transport below has ended */
    bool broken;   /* it cannot be written, or read, any more */
    bool ready;    /* the handshake is done */
    bool failed;   /* TLS has failed: `why` */
    bool no_more;  /* close_notify has come, or the end */
    bool told;     /* recv has said so, or that it failed */
    bool shut;     /* close_notify has been sent */
    bool verified; /* client */
    char *server_name, *client;
    struct error *why;
};

/* Plain text is refused and nothing else is to be sent. */
void tls_out_drop(struct tls_conn *t);
/* 0, or -1: no memory, or TLS_BUFFER is exceeded. */
int tls_out_add(struct tls_conn *t, const void *p, size_t n);
/* Makes room for `wire` bytes to come, so that a large answer grows its buffer once; a hint. */
void tls_out_expect(struct tls_conn *t, size_t wire);
/* As tls_conn_flush. */
int tls_out_flush(struct tls_conn *t, bool more);
void tls_in_release(struct tls_conn *t);
/* The peer has sent too much that is no data; nothing more is read. */
bool tls_in_wasted(const struct tls_conn *t);
/* A whole record has come and OpenSSL has not seen it. */
bool tls_in_has_record(const struct tls_conn *t);

#endif
