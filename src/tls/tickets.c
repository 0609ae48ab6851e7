/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of session tickets. OpenSSL makes one key when a context is made and keeps it for as long as
 * the process runs; who learns it later opens every TLS 1.2 connection that was resumed under it.
 * Here a key seals for four hours and opens for four more, longer than a session lasts. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "base/util.h"
#include "os/clock.h"
#include "tls/tls_int.h"

#include "base/banned.h"

static void make_key(struct tls_ticket_key *k)
{
    os_random(k->name, sizeof k->name);
    os_random(k->cipher, sizeof k->cipher);
    os_random(k->mac, sizeof k->mac);
}

int tls_tickets_init(struct tls_tickets *t, struct error *err)
{
    *t = (struct tls_tickets){.made_ms = os_mono_ms()};
    CHECK(pthread_mutex_init(&t->lock, NULL) == 0);
    make_key(&t->current);
    t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    return t->cipher ? 0 : error_set(err, ERR_UNKNOWN, "OpenSSL has no AES-256-CBC");
}

void tls_tickets_release(struct tls_tickets *t)
{
    EVP_CIPHER_free(t->cipher);
    (void)pthread_mutex_destroy(&t->lock);
    explicit_bzero(&t->current, sizeof t->current);
    explicit_bzero(&t->previous, sizeof t->previous);
}

static void rotate(struct tls_tickets *t, uint64_t now_ms)
{
    uint64_t age = now_ms - t->made_ms;
    if (age < TLS_TICKET_ROTATE_MS)
        return;
    /* Nobody came for a while: what the key sealed last is too old to be opened. */
    t->has_previous = age < 2 * (uint64_t)TLS_TICKET_ROTATE_MS;
    t->previous = t->has_previous ? t->current : (struct tls_ticket_key){{0}};
    make_key(&t->current);
    t->made_ms = now_ms;
}

int tls_tickets_find(struct tls_tickets *t, const unsigned char *name, uint64_t now_ms,
                     struct tls_ticket_key *out)
{
    int found = 0;
    (void)pthread_mutex_lock(&t->lock);
    rotate(t, now_ms);
    if (!name || memcmp(name, t->current.name, sizeof t->current.name) == 0) {
        *out = t->current;
        found = 1;
    } else if (t->has_previous && memcmp(name, t->previous.name, sizeof t->previous.name) == 0) {
        *out = t->previous;
        found = 2;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return found;
}

static int set_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *k)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params);
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 go on, 2 go on and renew, 0 no ticket, -1 failure. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH],
                     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
    struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct tls_tickets *t = &c->tickets;
    struct tls_ticket_key k;
    int found = tls_tickets_find(t, seal ? NULL : name, os_mono_ms(), &k);
    if (found && seal) {
        memcpy(name, k.name, sizeof k.name);
        os_random(iv, 16); /* a block of AES */
    }
    if (found &&
        (!EVP_CipherInit_ex2(cipher, t->cipher, k.cipher, iv, seal, NULL) || !set_mac(mac, &k)))
        found = -1;
    explicit_bzero(&k, sizeof k);
    return found;
}

/* What is sealed anew under a new key has a time of its own in TLS 1.3, so that its session would
 * last for longer than TLS_SESSION_S. So the ticket tells when the handshake was. */
static int on_seal(SSL *ssl, void *arg)
{
    int64_t now = os_wall_ms();
    (void)arg;
    return SSL_session_reused(ssl) || /* it has it */
           SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &now, sizeof now);
}

/* As Go: OpenSSL does not look at the client's certificate again, which may have ended since. */
static bool is_in_force(const struct tls_context *c, SSL_SESSION *session)
{
    int64_t now = os_wall_ms(), began = INT64_MAX;
    void *p;
    size_t n;
    if (SSL_SESSION_get0_ticket_appdata(session, &p, &n) == 1 && n == sizeof began)
        memcpy(&began, p, sizeof began);
    if (began > now || now - began > TLS_SESSION_S * INT64_C(1000))
        return false;
    X509 *client = c->verifies ? SSL_SESSION_get0_peer(session) : NULL;
    return !client || tls_time(X509_get0_notAfter(client)) > now / 1000;
}

static SSL_TICKET_RETURN on_open(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                 size_t n, SSL_TICKET_STATUS status, void *arg)
{
    bool renew = status == SSL_TICKET_SUCCESS_RENEW;
    (void)ssl;
    (void)name;
    (void)n;
    if ((status != SSL_TICKET_SUCCESS && !renew) || !is_in_force(arg, session))
        return SSL_TICKET_RETURN_IGNORE_RENEW; /* a whole handshake */
    return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

void tls_tickets_install(struct tls_tickets *t, SSL_CTX *ssl)
{
    (void)t;
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket);
    (void)SSL_CTX_set_session_ticket_cb(ssl, on_seal, on_open, SSL_CTX_get_app_data(ssl));
    /* TLS 1.2 without tickets has no resumption: a cache would be shared by all loops, under a lock
     * and with a session of each connection in it. */
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_timeout(ssl, TLS_SESSION_S);
}
