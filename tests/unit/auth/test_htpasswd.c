/* SPDX-License-Identifier: Apache-2.0 */
/* htpasswd files: what is read, what is not, bcrypt by known vectors, and changes of a file. */
#include "../base/helpers.h"

#include <errno.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../os/tempdir.h"

#include "auth/htpasswd.h"
#include "base/util.h"

#define H04 "$2y$04$abcdefghijklmnopqrstuuS8wDGPj7TeORaS8BF0IP9HVXHVOmYCi"

/* ---- bcrypt ---- */

/* Those of crypt_blowfish, and what Apache's htpasswd -B made. */
static const struct {
    const char *hash, *password;
    bool right;
} vectors[] = {
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*", true},
    {"$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U", true},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy", "", true},
    {"$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e", "\xff\xff\xa3", true},
    {"$2y$05$WrlgHlMxHFJCcZzS66N0qO9XOpPDgralRKrqwEovWOrkk0ALzDkBi", "secret", true},
    {"$2y$04$oZX46I6NpgVRkckGce.qm.XCcYe.jhYOOrwHciXcFn6Ya9CsRkEQ.", "p\xc3\xa4ssw\xc3\xb6rd",
     true},
    {"$2y$05$l3TQlCU/sFqJUF70RS4B0ud93W/y9UQoGkhfo65wZGpjQnlzrMv3S", "", true},
    {"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "u*u", false},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeX", "U*U", false},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe", "U*U", false},
    {"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", false},
    {"$1$abcdefgh$aaaaaaaaaaaaaaaaaaaaaa", "U*U", false},
    {"*0", "", false},
    {"", "", false},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        if (password_verify(vectors[i].hash, slice_cstr(vectors[i].password)) != vectors[i].right)
            fail_msg("%s with %s", vectors[i].hash, vectors[i].password);
}

/* The last digit of a salt has four bits that do not count: some tools set them. */
static void test_loose_salt(void **state)
{
    (void)state;
    char hash[] = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    hash[28] = '/';
    assert_true(password_verify(hash, SLICE_LIT("U*U")));
}

static void test_hash_and_verify(void **state)
{
    (void)state;
    char hash[64], again[64], long_one[73];
    struct error err = {0};
    assert_int_equal(password_hash(SLICE_LIT("z\xc3\xb6"
                                             "e"),
                                   4, hash, &err),
                     0);
    assert_int_equal(strlen(hash), 60);
    assert_memory_equal(hash, "$2y$04$", 7);
    assert_true(password_verify(hash, SLICE_LIT("z\xc3\xb6"
                                                "e")));
    assert_false(password_verify(hash, SLICE_LIT("zoe")));
    assert_int_equal(password_hash(SLICE_LIT("z\xc3\xb6"
                                             "e"),
                                   4, again, &err),
                     0);
    assert_string_not_equal(hash, again); /* salted */
    memset(long_one, 'x', sizeof long_one);
    assert_int_equal(password_hash(slice_make(long_one, 72), 4, hash, &err), 0);
    assert_true(password_verify(hash, slice_make(long_one, 72)));
    assert_false(password_verify(hash, slice_make(long_one, 71)));
    assert_false(password_verify(hash, slice_make(long_one, 73))); /* bcrypt alone says true */
}

static void test_hash_refusals(void **state)
{
    (void)state;
    static const struct {
        struct slice password;
        unsigned cost;
        const char *why;
    } bad[] = {
        {SLICE_LIT("x"), 3, "a cost of 3"},
        {SLICE_LIT("x"), 18, "a cost of 18"},
        {SLICE_LIT(""), 4, "empty"},
        {SLICE_LIT("a\0b"), 4, "a NUL"},
        {SLICE_LIT("1234567890123456789012345678901234567890123456789012345678901234567890123"), 4,
         "has 73 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char out[64] = "untouched";
        struct error err = {0};
        assert_int_equal(password_hash(bad[i].password, bad[i].cost, out, &err), -1);
        if (!strstr(err.detail, bad[i].why))
            fail_msg("%s, not: %s", err.detail, bad[i].why);
        assert_string_equal(out, "untouched");
    }
    assert_false(password_verify("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
                                 SLICE_LIT("U*U\0x")));
}

static void test_unknown_user_is_false(void **state)
{
    (void)state;
    assert_false(password_verify(NULL, SLICE_LIT("x")));
    assert_false(password_verify(NULL, SLICE_LIT("")));
}

static void test_random(void **state)
{
    (void)state;
    char a[25], b[25];
    password_random(a);
    password_random(b);
    assert_int_equal(strlen(a), 24);
    assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
                     24);
    assert_string_not_equal(a, b);
}

/* ---- parsing ---- */

static const char *hash_of(const struct htpasswd *h, const char *user)
{
    return htpasswd_find(h, slice_cstr(user));
}

static void test_parse(void **state)
{
    (void)state;
    static const char text[] =
        "# a comment\n"
        "\n"
        "  alice:" H04 "  \r\n"
        "bob:$apr1$x$y\n"
        "#carol:" H04 "\n"
        "d\xc3\xa9sir\xc3\xa9"
        "e:" H04 "\n"
        "eve:{SHA}xyz\n"
        "twice:" H04 "\n"
        "was:" H04 "\n"
        "was:!\n"
        "twice:$2b$04$abcdefghijklmnopqrstuuS8wDGPj7TeORaS8BF0IP9HVXHVOmYCi\n"
        "short:$2y$04$abc\n"
        "last:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    struct htpasswd *h = NULL;
    unsigned ignored = 0;
    struct error err = {0};
    assert_int_equal(htpasswd_parse(SLICE_LIT(text), &h, &ignored, &err), 0);
    assert_int_equal(htpasswd_count(h), 4);
    assert_int_equal(ignored, 4); /* bob, eve, was, short */
    assert_string_equal(hash_of(h, "alice"), H04);
    assert_string_equal(hash_of(h, "d\xc3\xa9sir\xc3\xa9"
                                   "e"),
                        H04);
    assert_memory_equal(hash_of(h, "twice"), "$2b$", 4); /* the last line counts */
    assert_true(password_verify(hash_of(h, "last"), SLICE_LIT("U*U")));
    static const char *const nobody[] = {"bob",   "carol", "#carol", "eve",    "was", "short",
                                         "Alice", "alic",  "alice ", "alicea", "",    "zzz"};
    for (size_t i = 0; i < ARRAY_LEN(nobody); i++)
        assert_null(hash_of(h, nobody[i]));
    assert_memory_equal(htpasswd_decoy(h), "$2y$04$", 7); /* what most have */
    assert_int_equal(strlen(htpasswd_decoy(h)), 60);
    htpasswd_free(h);
    assert_int_equal(htpasswd_parse(SLICE_LIT("x:y"), &h, NULL, &err), 0);
    assert_memory_equal(htpasswd_decoy(h), "$2y$10$", 7);
    htpasswd_free(h);
    htpasswd_free(NULL);
}

static void test_parse_nothing(void **state)
{
    (void)state;
    struct htpasswd *h = NULL;
    struct error err = {0};
    assert_int_equal(htpasswd_parse(SLICE_NONE, &h, NULL, &err), 0);
    assert_int_equal(htpasswd_count(h), 0);
    assert_null(hash_of(h, "x"));
    htpasswd_free(h);
}

static void test_parse_malformed(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *why;
    } bad[] = {
        {SLICE_LIT("alice:" H04 "\nno colon\n"), "line 2 is not USER:HASH"},
        {SLICE_LIT(":" H04), "line 1 is not USER:HASH"},
        {SLICE_LIT("a:b\0c"), "NUL"},
        {SLICE_LIT("\n\nx:$2y$18$abcdefghijklmnopqrstuuS8wDGPj7TeORaS8BF0IP9HVXHVOmYCi"),
         "line 3: a bcrypt cost of 18"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct htpasswd *h = NULL;
        struct error err = {0};
        assert_int_equal(htpasswd_parse(bad[i].text, &h, NULL, &err), -1);
        if (!strstr(err.detail, bad[i].why))
            fail_msg("%s, not: %s", err.detail, bad[i].why);
        assert_null(strstr(err.detail, "abcdef")); /* no hash in a message */
        assert_null(h);
    }
}

static void test_parse_many(void **state)
{
    (void)state;
    struct buf b;
    struct htpasswd *h = NULL;
    struct error err = {0};
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < 5000; i++)
        buf_printf(&b, "user%u:" H04 "\n", i * 7919 % 5000);
    assert_int_equal(htpasswd_parse(buf_view(&b), &h, NULL, &err), 0);
    assert_int_equal(htpasswd_count(h), 5000);
    for (unsigned i = 0; i < 5000; i += 499) {
        char user[32];
        (void)snprintf(user, sizeof user, "user%u", i);
        assert_non_null(hash_of(h, user));
    }
    htpasswd_free(h);
    buf_release(&b);
}

static void test_parse_too_large(void **state)
{
    (void)state;
    char *text = xcalloc(1, HTPASSWD_BYTES_MAX + 1);
    struct htpasswd *h = NULL;
    struct error err = {0};
    assert_int_equal(htpasswd_parse(slice_make(text, HTPASSWD_BYTES_MAX + 1), &h, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "larger"));
    free(text);
}

/* ---- the file ---- */

static char *path_in(const struct tempdir *d, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", d->path, name) > 0);
    return path;
}

static void put(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void get(const char *path, char *out, size_t room)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, room - 1, f);
    out[n] = '\0';
    (void)fclose(f);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static bool knows(const char *path, const char *user, const char *password)
{
    struct htpasswd *h = NULL;
    struct error err = {0};
    assert_int_equal(htpasswd_load(path, &h, NULL, &err), 0);
    bool right = password_verify(hash_of(h, user), slice_cstr(password));
    htpasswd_free(h);
    return right;
}

static void test_update_makes(void **state)
{
    const struct tempdir *d = *state;
    char *path = path_in(d, "htpasswd");
    struct error err = {0};
    assert_int_equal(htpasswd_update(path, SLICE_LIT("alice"), SLICE_LIT("one"), 4, false, &err),
                     -1);
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(htpasswd_update(path, SLICE_LIT("alice"), SLICE_LIT("one"), 4, true, &err), 0);
    assert_int_equal(mode_of(path), 0600);
    assert_true(knows(path, "alice", "one"));
    assert_int_equal(htpasswd_update(path, SLICE_LIT("bob"), SLICE_LIT("two"), 4, true, &err), 0);
    assert_int_equal(htpasswd_update(path, SLICE_LIT("alice"), SLICE_LIT("three"), 4, false, &err),
                     0);
    assert_true(knows(path, "alice", "three") && !knows(path, "alice", "one"));
    assert_true(knows(path, "bob", "two"));
    free(path);
}

static void test_update_keeps(void **state)
{
    const struct tempdir *d = *state;
    char *path = path_in(d, "htpasswd"), text[1024], want[1024];
    struct error err = {0};
    put(path, "# ours\n  alice : not his\nalice:$apr1$x\nnot even an entry\nalice:old\n\nbob:" H04,
        0640);
    assert_int_equal(htpasswd_update(path, SLICE_LIT("alice"), SLICE_LIT("new"), 4, false, &err),
                     0);
    get(path, text, sizeof text);
    char *line = strstr(text, "\nalice:$2y$04$");
    assert_non_null(line);
    (void)snprintf(want, sizeof want,
                   "# ours\n  alice : not his\n%.66s\nnot even an entry\n\nbob:" H04 "\n",
                   line + 1);
    assert_string_equal(text, want);
    assert_int_equal(mode_of(path), 0640);
    free(path);
}

static void test_update_removes(void **state)
{
    const struct tempdir *d = *state;
    char *path = path_in(d, "htpasswd"), text[256];
    struct error err = {0};
    put(path, "alice:x\nbob:y\nalice:z\n", 0600);
    assert_int_equal(htpasswd_update(path, SLICE_LIT("alice"), SLICE_NONE, 4, false, &err), 0);
    get(path, text, sizeof text);
    assert_string_equal(text, "bob:y\n");
    assert_int_equal(htpasswd_update(path, SLICE_LIT("alice"), SLICE_NONE, 4, true, &err), -1);
    assert_non_null(strstr(err.detail, "there is no user alice"));
    get(path, text, sizeof text);
    assert_string_equal(text, "bob:y\n");
    free(path);
}

static void test_update_through_a_link(void **state)
{
    const struct tempdir *d = *state;
    char *path = path_in(d, "real"), *link = path_in(d, "link");
    struct error err = {0};
    struct stat st;
    put(path, "", 0600);
    assert_int_equal(symlink("real", link), 0);
    assert_int_equal(htpasswd_update(link, SLICE_LIT("alice"), SLICE_LIT("one"), 4, false, &err),
                     0);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_true(knows(path, "alice", "one"));
    free(path);
    free(link);
}

static void test_update_refusals(void **state)
{
    const struct tempdir *d = *state;
    char *path = path_in(d, "htpasswd"), *inside = path_in(d, "no/such/file");
    char text[64], name[300];
    memset(name, 'x', sizeof name);
    static const char *const bad[] = {"", "a:b", "#a", " a", "a ", "a\nb", "a\x7f"};
    put(path, "alice:x\n", 0600);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = {0};
        assert_int_equal(htpasswd_update(path, slice_cstr(bad[i]), SLICE_LIT("p"), 4, true, &err),
                         -1);
        assert_non_null(strstr(err.detail, "the name of a user"));
    }
    struct error err = {0};
    assert_int_equal(htpasswd_update(path, slice_make(name, 256), SLICE_LIT("p"), 4, true, &err),
                     -1);
    assert_int_equal(htpasswd_update(path, SLICE_LIT("a"), SLICE_LIT(""), 4, true, &err), -1);
    assert_int_equal(htpasswd_update(inside, SLICE_LIT("a"), SLICE_LIT("p"), 4, true, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(htpasswd_update(d->path, SLICE_LIT("a"), SLICE_LIT("p"), 4, true, &err), -1);
    get(path, text, sizeof text);
    assert_string_equal(text, "alice:x\n");
    free(path);
    free(inside);
}

/* Nothing but the file is left behind, also when the directory may not be written. */
static void test_update_leaves_nothing(void **state)
{
    const struct tempdir *d = *state;
    char *path = path_in(d, "htpasswd");
    struct error err = {0};
    put(path, "alice:x\n", 0600);
    assert_int_equal(htpasswd_update(path, SLICE_LIT("bob"), SLICE_LIT("p"), 4, true, &err), 0);
    assert_int_equal(chmod(d->path, 0500), 0);
    if (geteuid() != 0)
        assert_int_equal(htpasswd_update(path, SLICE_LIT("eve"), SLICE_LIT("p"), 4, true, &err),
                         -1);
    assert_int_equal(chmod(d->path, 0700), 0);
    assert_int_equal(remove(path), 0);
    assert_int_equal(rmdir(d->path), 0);
    assert_int_equal(mkdir(d->path, 0700), 0); /* for the teardown */
    free(path);
}

static void test_load_errors(void **state)
{
    const struct tempdir *d = *state;
    char *path = path_in(d, "htpasswd");
    struct htpasswd *h = NULL;
    struct error err = {0};
    assert_int_equal(htpasswd_load(path, &h, NULL, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(htpasswd_load(d->path, &h, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "is a directory"));
    put(path, "x\n", 0600);
    assert_int_equal(htpasswd_load(path, &h, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "/htpasswd: line 1 is not USER:HASH"));
    assert_int_equal(truncate(path, HTPASSWD_BYTES_MAX + 1), 0);
    assert_int_equal(htpasswd_load(path, &h, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "larger"));
    free(path);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, tempdir_setup, tempdir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_loose_salt),
        cmocka_unit_test(test_hash_and_verify),
        cmocka_unit_test(test_hash_refusals),
        cmocka_unit_test(test_unknown_user_is_false),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_nothing),
        cmocka_unit_test(test_parse_malformed),
        cmocka_unit_test(test_parse_many),
        cmocka_unit_test(test_parse_too_large),
        IN_DIR(test_update_makes),
        IN_DIR(test_update_keeps),
        IN_DIR(test_update_removes),
        IN_DIR(test_update_through_a_link),
        IN_DIR(test_update_refusals),
        IN_DIR(test_update_leaves_nothing),
        IN_DIR(test_load_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
