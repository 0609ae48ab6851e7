/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that are taken up again, and the keys of their tickets. */
#include "fixture.h"

#include <string.h>

#include "os/clock.h"
#include "tls/tls_int.h"

#include "base/banned.h"

static SSL_SESSION *visit(struct dir *d, struct tls_context *c, int version, SSL_SESSION *with,
                          bool *reused)
{
    struct peer p;
    peer_init(&p, d, c);
    SSL_set_min_proto_version(p.client, version);
    SSL_set_max_proto_version(p.client, version);
    if (with)
        assert_int_equal(SSL_set_session(p.client, with), 1);
    assert_int_equal(shake(&p), 1);
    talk(&p);
    *reused = SSL_session_reused(p.client);
    assert_true(slice_is(tls_conn_server_name(p.server), "localhost"));
    SSL_SESSION *session = SSL_get1_session(p.client);
    peer_release(&p);
    return session;
}

static void sessions(void **state)
{
    struct dir *d = *state;
    struct tls_context *c = default_context(d);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        bool reused = true;
        SSL_SESSION *a = visit(d, c, version, NULL, &reused);
        assert_false(reused);
        assert_int_equal(SSL_SESSION_has_ticket(a), 1);
        assert_int_equal(SSL_SESSION_get_ticket_lifetime_hint(a), TLS_SESSION_S);
        SSL_SESSION *b = visit(d, c, version, a, &reused);
        assert_true(reused);
        SSL_SESSION_free(a);
        a = visit(d, c, version, b, &reused);
        assert_true(reused);
        SSL_SESSION_free(a);
        /* No key ever made this one. */
        c->tickets.current.name[0]++;
        a = visit(d, c, version, b, &reused);
        assert_false(reused);
        SSL_SESSION_free(a);
        SSL_SESSION_free(b);
    }
    tls_context_unref(c);
}

/* Time is what made_ms is set back by. */
static void pass(struct tls_context *c, uint64_t ms)
{
    c->tickets.made_ms -= ms;
}

static void rotated(void **state)
{
    struct dir *d = *state;
    struct tls_context *c = default_context(d);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        bool reused;
        struct tls_ticket_key first = c->tickets.current;
        SSL_SESSION *a = visit(d, c, version, NULL, &reused);
        pass(c, TLS_TICKET_ROTATE_MS);
        SSL_SESSION *b = visit(d, c, version, a, &reused);
        assert_true(reused); /* by the previous key; and sealed by the new one */
        assert_memory_equal(&c->tickets.previous, &first, sizeof first);
        assert_memory_not_equal(&c->tickets.current, &first, sizeof first);
        SSL_SESSION_free(visit(d, c, version, b, &reused));
        assert_true(reused);
        pass(c, TLS_TICKET_ROTATE_MS);
        SSL_SESSION_free(visit(d, c, version, b, &reused));
        assert_true(reused);
        SSL_SESSION_free(visit(d, c, version, a, &reused)); /* two keys ago */
        assert_false(reused);
        SSL_SESSION_free(a);
        SSL_SESSION_free(b);
    }
    tls_context_unref(c);
}

static void keys(void **state)
{
    struct tls_tickets t;
    struct tls_ticket_key a, k;
    struct error err;
    (void)state;
    assert_int_equal(tls_tickets_init(&t, &err), 0);
    uint64_t now = os_mono_ms();
    assert_int_equal(tls_tickets_find(&t, NULL, now, &a), 1);
    assert_int_equal(tls_tickets_find(&t, a.name, now + TLS_TICKET_ROTATE_MS - 1000, &k), 1);
    assert_memory_equal(&a, &k, sizeof a);
    now += TLS_TICKET_ROTATE_MS;
    assert_int_equal(tls_tickets_find(&t, a.name, now, &k), 2);
    assert_memory_equal(&a, &k, sizeof a);
    assert_int_equal(tls_tickets_find(&t, NULL, now, &k), 1);
    assert_memory_not_equal(&a, &k, sizeof a);
    /* Nobody came for eight hours: neither key is good any more. */
    now += 2 * (uint64_t)TLS_TICKET_ROTATE_MS;
    struct tls_ticket_key last = k;
    assert_int_equal(tls_tickets_find(&t, last.name, now, &k), 0);
    assert_int_equal(tls_tickets_find(&t, a.name, now, &k), 0);
    /* What a key that was never there would be called. */
    assert_int_equal(tls_tickets_find(&t, (const unsigned char[16]){0}, now, &k), 0);
    tls_tickets_release(&t);
}

/* A session ends when its time is over, also one that has got a new ticket meanwhile. */
static void lifetime(void **state)
{
    struct dir *d = *state;
    struct tls_context *c = default_context(d);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        bool reused;
        SSL_SESSION *a = visit(d, c, version, NULL, &reused);
        os_wall_shift(TLS_SESSION_S * 1000LL * 2 / 3);
        pass(c, TLS_TICKET_ROTATE_MS); /* so that it gets a new ticket */
        SSL_SESSION *b = visit(d, c, version, a, &reused);
        assert_true(reused);
        os_wall_shift(TLS_SESSION_S * 1000LL + 2000);
        SSL_SESSION_free(visit(d, c, version, a, &reused));
        assert_false(reused);
        SSL_SESSION *fresh = visit(d, c, version, b, &reused);
        assert_false(reused);
        /* What it got instead is as good as any. */
        SSL_SESSION_free(visit(d, c, version, fresh, &reused));
        assert_true(reused);
        /* A clock that was set back does not make it any longer. */
        os_wall_shift(0);
        SSL_SESSION_free(visit(d, c, version, fresh, &reused));
        assert_false(reused);
        SSL_SESSION_free(a);
        SSL_SESSION_free(b);
        SSL_SESSION_free(fresh);
    }
    tls_context_unref(c);
}

static SSL_SESSION *visit_as(struct dir *d, struct tls_context *c, const struct made *who,
                             int version, SSL_SESSION *with, bool *reused)
{
    struct peer p;
    bool verified;
    peer_init(&p, d, c);
    SSL_set_min_proto_version(p.client, version);
    SSL_set_max_proto_version(p.client, version);
    assert_int_equal(SSL_use_certificate(p.client, who->cert), 1);
    assert_int_equal(SSL_use_PrivateKey(p.client, who->key), 1);
    if (with)
        assert_int_equal(SSL_set_session(p.client, with), 1);
    assert_int_equal(shake(&p), 1);
    talk(&p);
    *reused = SSL_session_reused(p.client);
    assert_true(slice_is(tls_conn_client(p.server, &verified), "CN=builder"));
    assert_true(verified);
    SSL_SESSION *session = SSL_get1_session(p.client);
    peer_release(&p);
    return session;
}

/* Who has proved its name by a certificate that has ended since has to prove it again. */
static void client_ends(void **state)
{
    struct dir *d = *state;
    save_default(d);
    struct made ca = make(&(struct make){.cn = "clients' CA", .ca = true});
    struct made who = make(&(struct make){
        .cn = "builder", .eku = "clientAuth", .by = &ca, .from_days = -1, .to_days = 10});
    save_chain(d, "clients.crt", ca.cert, NULL);
    const char *cas[] = {in(d, "clients.crt")};
    struct tls_config config = {.certificate = in(d, "server.crt"),
                                .key = in(d, "server.key"),
                                .client_cas = cas,
                                .n_client_cas = 1,
                                .client_auth = TLS_CLIENT_REQUIRE_AND_VERIFY};
    struct tls_context *c = NULL;
    struct error err = {0};
    assert_int_equal(tls_context_new(&config, &c, &err), 0);
    const int64_t end = 10 * 86400 * 1000LL, minute = 60000;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        bool reused;
        /* The clock of OpenSSL, which verifies, stays where it is. */
        os_wall_shift(end - 10 * minute);
        SSL_SESSION *a = visit_as(d, c, &who, version, NULL, &reused);
        SSL_SESSION *b = visit_as(d, c, &who, version, a, &reused);
        assert_true(reused);
        os_wall_shift(end + 11 * minute); /* `make` gives ten more */
        SSL_SESSION_free(visit_as(d, c, &who, version, b, &reused));
        assert_false(reused);
        SSL_SESSION_free(a);
        SSL_SESSION_free(b);
    }
    os_wall_shift(0);
    tls_context_unref(c);
    made_free(&ca);
    made_free(&who);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sessions, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(lifetime, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(client_ends, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(rotated, dir_setup, dir_teardown),
        cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
