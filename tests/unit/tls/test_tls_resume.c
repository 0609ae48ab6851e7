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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sessions, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(rotated, dir_setup, dir_teardown),
        cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
