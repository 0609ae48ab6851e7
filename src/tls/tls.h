/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for servers over OpenSSL 3: a context that can be replaced while connections live, and a
 * connection as a filter that does no I/O of its own: it is given the functions to read and write.
 * The only directory that includes openssl/ssl.h. Nothing here blocks, except tls_context_new and
 * tls_check, which read files. */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/slice.h"

enum tls_client_auth {
    TLS_CLIENT_NONE,
    TLS_CLIENT_REQUEST,
    TLS_CLIENT_REQUIRE_ANY,
    TLS_CLIENT_VERIFY_IF_GIVEN,
    TLS_CLIENT_REQUIRE_AND_VERIFY
};

struct tls_config {
    const char *certificate;    /* PEM file: the chain, leaf first */
    const char *key;            /* PEM file, not encrypted */
    const char *minimum;        /* "tls1.2" (default) or "tls1.3" */
    const char *const *ciphers; /* Go names (TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, ...); of TLS 1.2
                                   only, those of 1.3 are fixed; none: Mozilla's intermediate */
    unsigned n_ciphers;
    const char *const *client_cas; /* PEM files */
    unsigned n_client_cas;
    enum tls_client_auth client_auth;
};

/* What is loaded: reference counted, shared by all loops. */
struct tls_context;

/* Reads and checks everything: the key belongs to the first certificate, the chain is in order and
 * nothing has expired (warnings, not errors: see tls_context_warning; the chain is put into order).
 * -1 with a detail that names the file and what to do. */
int tls_context_new(const struct tls_config *config, struct tls_context **out, struct error *err);
struct tls_context *tls_context_ref(struct tls_context *c); /* any thread */
void tls_context_unref(struct tls_context *c);              /* any thread; NULL is fine */
/* Seconds since 1970 of the end of the leaf certificate. */
int64_t tls_context_expiry(const struct tls_context *c);
/* What its dates are at a time in seconds since 1970: with FINE, text is untouched; else it says
 * what a warning should. A server runs for longer than a certificate lives. */
enum { TLS_AGE_TEXT = 80 };
enum tls_age { TLS_AGE_FINE, TLS_AGE_SOON, TLS_AGE_OVER };
enum tls_age tls_context_age(const struct tls_context *c, int64_t now, char text[TLS_AGE_TEXT]);
/* Something that should be looked at ("the certificate has expired", "expires in 9 days", "no
 * subject alternative name"), or NULL. Borrowed. */
const char *tls_context_warning(const struct tls_context *c);
/* Is this Go name known? For the configuration's check. *supported: whether OpenSSL here has it. */
bool tls_cipher_known(const char *go_name, bool *supported);

/* The context in force of a listener: replaced at once, existing connections keep theirs. */
struct tls_server;
struct tls_server *tls_server_new(struct tls_context *c);             /* takes the reference */
void tls_server_replace(struct tls_server *s, struct tls_context *c); /* any thread; takes it */
struct tls_context *tls_server_current(struct tls_server *s); /* any thread; a new reference */
void tls_server_free(struct tls_server *s);

/* The transport below: as in http/filter.h. */
struct tls_io {
    /* n > 0 bytes, 0 at the end, -1 again later, -2 broken. */
    ssize_t (*recv)(void *arg, void *p, size_t n);
    ssize_t (*send)(void *arg, const void *p, size_t n, bool more);
    void *arg;
};

enum { TLS_AGAIN = -1, TLS_ERROR = -2 };

/* One connection; its loop's. */
struct tls_conn;
struct tls_conn *tls_conn_new(struct tls_context *c, const struct tls_io *io);
/* 1: done, 0: again when there is more input (or room for output: tls_conn_wants_write), -1:
 * failed, also later than the handshake; the reason is in err for the log. recv and writev do it by
 * themselves; this is for who wants to know. What is queued after a failure (an alert, the answer
 * to plain HTTP) can still be flushed. */
int tls_conn_handshake(struct tls_conn *t, struct error *err);
bool tls_conn_ready(const struct tls_conn *t); /* the handshake is done */
/* Plain bytes; 0 at the end (close_notify, or the end of the stream), TLS_AGAIN, TLS_ERROR. */
ssize_t tls_conn_recv(struct tls_conn *t, void *p, size_t n);
/* Bytes taken (they may still be buffered here: tls_conn_flush), TLS_AGAIN, TLS_ERROR. Cuts into
 * full records and hands as many of them as it can to one send. */
ssize_t tls_conn_writev(struct tls_conn *t, const struct iovec *iov, int n, bool more);
/* Sends what is buffered: 1 all out, 0 again when there is room, -1 broken. */
int tls_conn_flush(struct tls_conn *t);
bool tls_conn_wants_write(const struct tls_conn *t); /* output is waiting for room */
size_t tls_conn_pending(struct tls_conn *t); /* plain bytes (or buffered records) to be had without
                                                the socket becoming readable */
size_t tls_conn_queued(const struct tls_conn *t); /* encrypted bytes not yet taken by send */
void tls_conn_shutdown(struct tls_conn *t);       /* close_notify */
void tls_conn_free(struct tls_conn *t);
/* For logs and later logins: "TLSv1.3", "TLS_AES_128_GCM_SHA256", the name that the client asked
 * for (may be empty), the subject of its certificate in RFC 2253 form and whether it was verified
 * (empty without one). Borrowed. */
struct slice tls_conn_version(const struct tls_conn *t);
struct slice tls_conn_cipher(const struct tls_conn *t);
struct slice tls_conn_server_name(const struct tls_conn *t);
struct slice tls_conn_client(const struct tls_conn *t, bool *verified);

#endif
