/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made for a test, and a blocking TLS client. Include cmocka's prologue and fixture.h
 * first. */
#ifndef TEST_HTTP_TLS_CLIENT_H
#define TEST_HTTP_TLS_CLIENT_H

#include <openssl/ssl.h>

#include "tls/tls.h"

struct test_cert { /* self-signed, so it is its own CA */
    char certificate[80], key[80];
};
/* ECDSA P-256, common name `name`, for "localhost" and 127.0.0.1; files in /tmp. */
void test_cert_make(struct test_cert *c, const char *name);
void test_cert_remove(struct test_cert *c);

/* A server's context; `ca`: clients are asked for a certificate, which it signed, or NULL. */
struct tls_context *test_context(const struct test_cert *c, const struct test_cert *ca);

struct tls_peer {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};
/* Handshakes over fd, which it then owns. `own`: the client's certificate, or NULL; `version`: e.g.
 * TLS1_2_VERSION, or 0 for the best. false when the handshake fails. */
bool tls_open(struct tls_peer *p, int fd, const struct test_cert *own, int version);
void tls_send(struct tls_peer *p, const void *data, size_t n);
void tls_text(struct tls_peer *p, const char *text);
void tls_receive(struct tls_peer *p, struct reply *out, bool head_only);
/* Reads up to the end: true when that was a close_notify. */
bool tls_ended(struct tls_peer *p);
void tls_close(struct tls_peer *p);

#endif
