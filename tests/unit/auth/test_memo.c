/* SPDX-License-Identifier: Apache-2.0 */
/* The keyed hash, the table of known credentials, and the limit on tries. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/limiter.h"
#include "auth/memo.h"
#include "auth/secret.h"
#include "base/util.h"

/* ---- HMAC ---- */

/* RFC 4231, test case 2; the key in two parts would be the same, so parts are told apart. */
static void test_hmac_vector(void **state)
{
    (void)state;
    static const char want[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    struct secret s;
    struct mac mac;
    char hex[65];
    memset(s.inner, 0x36, sizeof s.inner);
    memset(s.outer, 0x5c, sizeof s.outer);
    for (unsigned i = 0; i < 4; i++) {
        s.inner[i] ^= (unsigned char)"Jefe"[i];
        s.outer[i] ^= (unsigned char)"Jefe"[i];
    }
    struct slice one = SLICE_LIT("what do ya want for nothing?");
    secret_mac(&s, &one, 1, &mac);
    hex_encode(mac.p, sizeof mac.p, hex);
    assert_string_equal(hex, want);
}

static void test_secrets_differ(void **state)
{
    (void)state;
    struct secret a, b;
    struct mac x, y;
    struct slice parts[] = {SLICE_LIT("ab"), SLICE_LIT("c")},
                 other[] = {SLICE_LIT("a"), SLICE_LIT("bc")};
    secret_init(&a);
    secret_init(&b);
    secret_mac(&a, parts, 2, &x);
    secret_mac(&b, parts, 2, &y);
    assert_false(secret_equal(x.p, y.p, MAC_BYTES));
    secret_mac(&a, other, 2, &y);
    assert_false(secret_equal(x.p, y.p, MAC_BYTES));
    secret_mac(&a, parts, 2, &y);
    assert_true(secret_equal(x.p, y.p, MAC_BYTES));
    for (size_t i = 0; i < MAC_BYTES; i++) {
        y.p[i] ^= 0x80;
        assert_false(secret_equal(x.p, y.p, MAC_BYTES));
        y.p[i] ^= 0x80;
    }
    secret_wipe(&a);
    for (size_t i = 0; i < sizeof a.inner; i++)
        assert_int_equal(a.inner[i] | a.outer[i], 0);
}

/* ---- memo ---- */

static struct mac key(unsigned n)
{
    struct mac k = {{0}};
    k.p[0] = (unsigned char)n;
    k.p[1] = (unsigned char)(n >> 8);
    k.p[31] = 1;
    return k;
}

static atomic_int held;

static void counted_ref(void *p)
{
    atomic_fetch_add((atomic_int *)p, 1);
}

static void counted_unref(void *p)
{
    atomic_fetch_sub((atomic_int *)p, 1);
}

static const struct memo_value counted = {counted_ref, counted_unref};
static const struct memo_value nothing = {NULL, NULL};

static void test_memo_times(void **state)
{
    (void)state;
    struct memo *m = memo_new(4, nothing);
    struct mac a = key(1), b = key(2);
    assert_int_equal(memo_get(m, &a, 100, 0, NULL), 0);
    memo_put(m, &a, 3, 100, 160, NULL);
    assert_int_equal(memo_get(m, &b, 100, 0, NULL), 0);
    assert_int_equal(memo_get(m, &a, 100, 0, NULL), 3);
    assert_int_equal(memo_get(m, &a, 159, 0, NULL), 3);
    assert_int_equal(memo_get(m, &a, 160, 0, NULL), 0);
    assert_int_equal(memo_get(m, &a, 100, 0, NULL), 0); /* gone for good */
    memo_put(m, &a, 3, 100, 160, NULL);
    assert_int_equal(memo_get(m, &a, 99, 60, NULL), 3); /* overtaken by whoever put it */
    assert_int_equal(memo_get(m, &a, 159, 0, NULL), 3); /* which renews nothing */
    assert_int_equal(memo_get(m, &a, 98, 0, NULL), 0);  /* the clock went back */
    memo_put(m, &a, 3, 100, 160, NULL);
    assert_int_equal(memo_get(m, &a, 150, 60, NULL), 3); /* renewed */
    assert_int_equal(memo_get(m, &a, 209, 0, NULL), 3);
    assert_int_equal(memo_get(m, &a, 210, 0, NULL), 0);
    memo_put(m, &a, 1, 300, 360, NULL);
    memo_put(m, &a, 2, 300, 360, NULL); /* replaced */
    assert_int_equal(memo_get(m, &a, 300, 0, NULL), 2);
    memo_free(m);
    memo_free(NULL);
}

static void test_memo_bound(void **state)
{
    (void)state;
    struct memo *m = memo_new(1, counted);
    atomic_store(&held, 0);
    for (unsigned i = 0; i < 100; i++) {
        struct mac k = key(i);
        memo_put(m, &k, 1, 100, 1000 + i, &held);
    }
    assert_int_equal(atomic_load(&held), 8); /* what was forgotten was let go */
    unsigned known = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct mac k = key(i);
        void *value = NULL;
        if (memo_get(m, &k, 100, 0, &value)) {
            known++;
            assert_ptr_equal(value, &held);
            counted_unref(value);
        }
    }
    assert_int_equal(known, 8);
    /* The one that ends first makes room, and one that has ended before that. */
    struct mac last = key(99), more = key(200);
    assert_int_equal(memo_get(m, &last, 100, 0, NULL), 1);
    memo_put(m, &more, 1, 100, 200, &held);
    assert_int_equal(memo_get(m, &last, 100, 0, NULL), 1);
    struct mac third = key(201);
    memo_put(m, &third, 1, 100, 5000, &held);
    assert_int_equal(memo_get(m, &more, 100, 0, NULL), 0);
    assert_int_equal(memo_get(m, &third, 100, 0, NULL), 1);
    memo_free(m);
    assert_int_equal(atomic_load(&held), 0);
}

static void *hammer(void *arg)
{
    struct memo *m = arg;
    for (unsigned i = 0; i < 20000; i++) {
        struct mac k = key(i * 7919 % 300);
        void *value = NULL;
        if (memo_get(m, &k, 100 + i % 3, 10, &value) && value)
            counted_unref(value);
        else
            memo_put(m, &k, 1, 100, 101 + i % 5, &held);
    }
    return NULL;
}

static void test_memo_threads(void **state)
{
    (void)state;
    struct memo *m = memo_new(16, counted);
    pthread_t threads[4];
    atomic_store(&held, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, m), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    memo_free(m);
    assert_int_equal(atomic_load(&held), 0);
}

/* ---- limiter ---- */

static unsigned admitted(struct limiter *l, struct mac address, struct mac user, unsigned tries,
                         int64_t now)
{
    unsigned n = 0;
    for (unsigned i = 0; i < tries; i++)
        n += limiter_admit(l, &address, &user, now);
    return n;
}

static void test_burst_and_refill(void **state)
{
    (void)state;
    struct limiter *l = limiter_new(64);
    assert_int_equal(admitted(l, key(1), key(2), 1000, 100), LIMITER_BURST);
    assert_int_equal(admitted(l, key(1), key(2), 1000, 101), 1);
    assert_int_equal(admitted(l, key(1), key(2), 1000, 104), 3);
    assert_int_equal(admitted(l, key(1), key(2), 1000, 90), 0); /* the clock went back */
    assert_int_equal(admitted(l, key(1), key(2), 1000, 91), 1);
    assert_int_equal(admitted(l, key(1), key(2), 1000, 100000), LIMITER_BURST);
    unsigned more = 0;
    for (unsigned i = 0; i < 50; i++) /* two callers at the turn of a second */
        more += admitted(l, key(1), key(2), 1, 99999 + i % 2);
    assert_int_equal(more, 0);
    limiter_free(l);
    limiter_free(NULL);
}

/* Many users from one address are one attacker, as soon as they fail. */
static void test_by_address(void **state)
{
    (void)state;
    struct limiter *l = limiter_new(64);
    struct mac a = key(1);
    unsigned n = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct mac u = key(1000 + i);
        if (!limiter_admit(l, &a, &u, 100))
            continue;
        n++;
        limiter_blame(l, &a, &u, 100);
    }
    assert_int_equal(n, LIMITER_BURST);
    assert_int_equal(admitted(l, key(1), key(2000), 1, 100), 0);
    assert_int_equal(admitted(l, key(2), key(1000), 1, 100), 1); /* another address is not hit */
    limiter_free(l);
}

/* How many of 200 users at one address are let in before the first one is told of. */
static unsigned crowd(struct limiter *l, unsigned address, int64_t now)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 200; i++)
        n += admitted(l, key(address), key(1000 + i), 1, now);
    return n;
}

static void end_crowd(struct limiter *l, unsigned address, int64_t now,
                      void (*end)(struct limiter *, const struct mac *, const struct mac *,
                                  int64_t))
{
    for (unsigned i = 0; i < LIMITER_FLIGHTS; i++) {
        struct mac a = key(address), u = key(1000 + i);
        end(l, &a, &u, now);
    }
}

static void test_under_way(void **state)
{
    (void)state;
    struct limiter *l = limiter_new(64);
    for (unsigned i = 0; i < 10; i++) { /* who is right comes again at once */
        assert_int_equal(crowd(l, 1, 100), LIMITER_FLIGHTS);
        end_crowd(l, 1, 100, limiter_forgive);
    }
    assert_int_equal(crowd(l, 1, 100), LIMITER_FLIGHTS);
    end_crowd(l, 1, 100, limiter_blame);
    /* They are all to be worked off, down to less than a burst. */
    enum { OVER = LIMITER_FLIGHTS - LIMITER_BURST };
    assert_int_equal(crowd(l, 1, 100 + OVER), 0);
    assert_int_equal(crowd(l, 1, 100 + OVER + 1), OVER + 1);
    /* Nobody tells how these end. */
    assert_int_equal(crowd(l, 1, 100 + OVER + 1), 0);
    assert_int_equal(crowd(l, 1, 1000), LIMITER_FLIGHTS);
    limiter_free(l);
}

/* Who attacks a user does not lock him out elsewhere. */
static void test_by_user(void **state)
{
    (void)state;
    struct limiter *l = limiter_new(64);
    assert_int_equal(admitted(l, key(1), key(2), 1000, 100), LIMITER_BURST);
    assert_int_equal(admitted(l, key(3), key(2), 5, 100), 1); /* a fresh address: one try */
    assert_int_equal(admitted(l, key(3), key(4), 1, 100), 1); /* another user still goes */
    assert_int_equal(admitted(l, key(4), key(2), 1, 100), 1);
    limiter_free(l);
}

static void test_forgiven(void **state)
{
    (void)state;
    struct limiter *l = limiter_new(64);
    struct mac a = key(1), u = key(2);
    for (unsigned i = 0; i < 500; i++) {
        assert_true(limiter_admit(l, &a, &u, 100));
        limiter_forgive(l, &a, &u, 100);
    }
    limiter_forgive(l, &a, &u, 100); /* never more than a burst */
    assert_int_equal(admitted(l, a, u, 1000, 100), LIMITER_BURST);
    limiter_free(l);
}

static void test_limiter_bound(void **state)
{
    (void)state;
    struct limiter *l = limiter_new(1);
    assert_int_equal(admitted(l, key(1), key(1), 1000, 100), LIMITER_BURST);
    for (unsigned i = 2; i < 500; i++)
        (void)admitted(l, key(i), key(i), 1, 100);
    /* The emptiest buckets are kept. */
    assert_int_equal(admitted(l, key(1), key(1), 1, 100), 0);
    limiter_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac_vector),   cmocka_unit_test(test_secrets_differ),
        cmocka_unit_test(test_memo_times),    cmocka_unit_test(test_memo_bound),
        cmocka_unit_test(test_memo_threads),  cmocka_unit_test(test_burst_and_refill),
        cmocka_unit_test(test_by_address),    cmocka_unit_test(test_by_user),
        cmocka_unit_test(test_under_way),     cmocka_unit_test(test_forgiven),
        cmocka_unit_test(test_limiter_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
