/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/hash.h"

#include "base/banned.h"

/* FIPS 180-4 examples: "abc" and the empty message. */
#define ABC256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC512                                                         \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static void known_answers(void **state)
{
    (void)state;
    char out[HASH_HEX_MAX + 1];
    hash_hex(HASH_SHA256, "abc", 3, out);
    assert_string_equal(out, ABC256);
    hash_hex(HASH_SHA256, "", 0, out);
    assert_string_equal(out, EMPTY256);
    hash_hex(HASH_SHA512, "abc", 3, out);
    assert_string_equal(out, ABC512);
}

static void pieces_give_the_same_as_the_whole(void **state)
{
    (void)state;
    char data[1000], whole[HASH_HEX_MAX + 1], pieces[HASH_HEX_MAX + 1];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++) {
        hash_hex((enum hash_alg)alg, data, sizeof data, whole);
        struct hasher *h = hasher_new((enum hash_alg)alg);
        assert_int_equal(hasher_alg(h), alg);
        for (size_t step = 1; step <= 256; step *= 2) {
            for (size_t at = 0; at < sizeof data; at += step)
                hasher_update(h, data + at, at + step <= sizeof data ? step : sizeof data - at);
            hasher_hex(h, pieces);
            assert_string_equal(pieces, whole);
            hasher_reset(h);
        }
        hasher_free(h);
    }
    hasher_free(NULL);
}

static void names_and_lengths(void **state)
{
    (void)state;
    assert_string_equal(hash_name(HASH_SHA256), "sha256");
    assert_string_equal(hash_name(HASH_SHA512), "sha512");
    assert_int_equal(hash_hex_len(HASH_SHA256), 64);
    assert_int_equal(hash_hex_len(HASH_SHA512), 128);
}

static void unknown_algorithm(void *arg)
{
    (void)arg;
    hasher_free(hasher_new(HASH_ALG_COUNT));
}

static void an_unknown_algorithm_aborts(void **state)
{
    (void)state;
    assert_int_equal(signal_that_kills(unknown_algorithm, NULL), SIGABRT);
}

static void *hash_in_thread(void *arg)
{
    hash_hex(HASH_SHA256, "abc", 3, arg);
    return NULL;
}

static void threads_may_start_at_once(void **state)
{
    (void)state;
    pthread_t threads[4];
    char out[4][HASH_HEX_MAX + 1];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_in_thread, out[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(out[i], ABC256);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_start_at_once), /* first: the methods are not fetched yet */
        cmocka_unit_test(known_answers),
        cmocka_unit_test(pieces_give_the_same_as_the_whole),
        cmocka_unit_test(names_and_lengths),
        cmocka_unit_test(an_unknown_algorithm_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
