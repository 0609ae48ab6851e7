/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys from PEM files, with errors that say what is in the file instead. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/util.h"
#include "tls/tls_int.h"

#include "base/banned.h"

enum { FILE_MAX_BYTES = 1024 * 1024, CHAIN_MAX = 1024 };

const char *tls_reason(char *out, size_t n)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    if (text)
        (void)snprintf(out, n, "%s", text);
    else
        (void)snprintf(out, n, "error %lx", e);
    ERR_clear_error();
    return out;
}

static int cannot_read(const char *path, struct error *err)
{
    char why[96];
    return error_detail(err, ERR_BAD_REQUEST, "%.300s: %s", path,
                        strerrordesc(errno, why, sizeof why));
}

int tls_read_file(const char *path, struct buf *out, struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cannot_read(path, err);
    CLEANUP_SECRET struct buf data;
    /* From the start as large as it can get, so that no part of a key stays behind in memory that a
     * growing buffer has left. */
    buf_init(&data, FILE_MAX_BYTES + 1);
    if (buf_reserve(&data, FILE_MAX_BYTES + 1))
        return error_set(err, ERR_UNKNOWN, "out of memory");
    while (data.n <= FILE_MAX_BYTES) {
        ssize_t r = read(fd, data.p + data.n, FILE_MAX_BYTES + 1 - data.n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return cannot_read(path, err);
        if (r == 0)
            break;
        data.n += (size_t)r;
    }
    if (data.n > FILE_MAX_BYTES)
        return error_detail(err, ERR_BAD_REQUEST, "%.300s: larger than 1 MiB", path);
    *out = data;
    data = (struct buf){0};
    return 0;
}

static bool holds(const struct buf *text, const char *word)
{
    return memmem(text->p, text->n, word, strlen(word)) != NULL;
}

/* Why there is no certificate in it. */
static int no_certificate(const char *path, const struct buf *text, struct error *err)
{
    if (holds(text, "PRIVATE KEY-----"))
        return error_detail(err, ERR_BAD_REQUEST,
                            "%.300s holds a private key and no certificate: are the two exchanged?",
                            path);
    if (holds(text, "CERTIFICATE REQUEST-----"))
        return error_detail(err, ERR_BAD_REQUEST,
                            "%.300s holds a certificate request: have it signed first", path);
    if (text->n && text->p[0] == 0x30)
        return error_detail(err, ERR_BAD_REQUEST,
                            "%.160s is in DER form, PEM is needed: openssl x509 -inform der -in "
                            "%.160s -out certificate.pem",
                            path, path);
    return error_detail(err, ERR_BAD_REQUEST, "%.300s holds no certificate in PEM form", path);
}

int tls_pem_certificates(const char *path, STACK_OF(X509) * *out, struct error *err)
{
    CLEANUP_SECRET struct buf text = {0}; /* some keep the key in the same file */
    CLEANUP_X509S STACK_OF(X509) *found = sk_X509_new_null();
    char why[128];
    if (tls_read_file(path, &text, err))
        return -1;
    ERR_clear_error();
    CLEANUP_BIO BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    if (!bio || !found)
        return error_set(err, ERR_UNKNOWN, "out of memory");
    for (;;) {
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!x)
            break;
        if (sk_X509_num(found) >= CHAIN_MAX || !sk_X509_push(found, x)) {
            X509_free(x);
            return error_detail(err, ERR_BAD_REQUEST, "%.300s holds too many certificates", path);
        }
    }
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (!at_end)
        return error_detail(err, ERR_BAD_REQUEST, "%.300s: certificate %d is damaged (%s)", path,
                            sk_X509_num(found) + 1, tls_reason(why, sizeof why));
    ERR_clear_error();
    if (sk_X509_num(found) == 0)
        return no_certificate(path, &text, err);
    *out = STEAL(found);
    return 0;
}

/* Asked for a password: there is nobody to type one. */
static int no_password(char *p, int n, int writing, void *arg)
{
    (void)p;
    (void)n;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

int tls_pem_key(const char *path, EVP_PKEY **out, struct error *err)
{
    CLEANUP_SECRET struct buf text = {0};
    bool encrypted = false;
    char why[128];
    if (tls_read_file(path, &text, err))
        return -1;
    ERR_clear_error();
    CLEANUP_BIO BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    if (!bio)
        return error_set(err, ERR_UNKNOWN, "out of memory");
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &encrypted);
    if (key) {
        *out = key;
        return 0;
    }
    bool none = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    (void)tls_reason(why, sizeof why);
    if (encrypted)
        return error_detail(err, ERR_BAD_REQUEST,
                            "%.160s is encrypted, and nobody is there to type the password: "
                            "openssl pkey -in %.160s -out plain.key, readable by berth only",
                            path, path);
    if (holds(&text, "-----BEGIN CERTIFICATE-----") && !holds(&text, "PRIVATE KEY-----"))
        return error_detail(err, ERR_BAD_REQUEST,
                            "%.300s holds a certificate and no key: are the two exchanged?", path);
    if (none || !holds(&text, "PRIVATE KEY-----"))
        return error_detail(err, ERR_BAD_REQUEST, "%.300s holds no private key in PEM form", path);
    return error_detail(err, ERR_BAD_REQUEST, "%.300s: the key cannot be read (%s)", path, why);
}
