/* SPDX-License-Identifier: Apache-2.0 */
/* Who is it: every kind of login, their challenges, what is remembered and for how long, the limit
 * on failures, and files that change. */
#include "../base/helpers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../os/tempdir.h"
#include "tokens.h"

#include "auth/authn.h"
#include "auth/encoding.h"
#include "auth/htpasswd.h"
#include "auth/limiter.h"
#include "base/util.h"

/* One of everything that a test needs; the world of keys is made once. */
struct fixture {
    struct tempdir *dir;
    char *path;
    struct metrics *metrics;
    struct authn *a;
    struct arena *arena;
    struct authn_question q;
    struct principal who;
    struct slice challenge;
    struct error err;
    char header[8192];
};

static struct world *world;

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    void *dir = NULL;
    assert_int_equal(tempdir_setup(&dir), 0);
    f->dir = dir;
    assert_true(asprintf(&f->path, "%s/htpasswd", f->dir->path) > 0);
    f->metrics = metrics_new();
    f->arena = arena_new(4096);
    f->q = (struct authn_question){.peer = SLICE_LIT("192.0.2.1"),
                                   .action = ACTION_PULL,
                                   .repo = SLICE_LIT("a/b"),
                                   .host = SLICE_LIT("reg.example:5000"),
                                   .now_s = NOW};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    authn_unref(f->a);
    metrics_free(f->metrics);
    arena_free(f->arena);
    free(f->path);
    free(f);
    return tempdir_teardown(&dir);
}

static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void make(struct fixture *f, const struct authn_config *config)
{
    struct authn_config c = *config;
    c.metrics = f->metrics;
    if (authn_new(&c, &f->a, NULL, &f->err))
        fail_msg("%s", f->err.message);
}

static int64_t logins(const struct fixture *f, const char *result)
{
    char label[64];
    (void)snprintf(label, sizeof label, "result=\"%s\"", result);
    return metric_value(metrics_counter(f->metrics, "berth_logins_total",
                                        "Logins of requests: verified, known from before, "
                                        "refused, refused unseen after too many failures",
                                        label));
}

static void authorization(struct fixture *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void authorization(struct fixture *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(f->header, sizeof f->header, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof f->header);
    f->q.authorization = slice_make(f->header, (size_t)n);
}

static void basic(struct fixture *f, const char *user, const char *password)
{
    char plain[1024], text[2048];
    int n = snprintf(plain, sizeof plain, "%s:%s", user, password);
    b64_encode(plain, (size_t)n, B64_STANDARD, text);
    authorization(f, "Basic %s", text);
}

static enum authn_result quick(struct fixture *f)
{
    f->err = (struct error){0};
    f->challenge = SLICE_LIT("untouched");
    f->who = (struct principal){0};
    return authn_quick(f->a, &f->q, f->arena, &f->who, &f->challenge, &f->err);
}

static enum authn_result verify(struct fixture *f)
{
    f->err = (struct error){0};
    f->challenge = SLICE_LIT("untouched");
    f->who = (struct principal){0};
    return authn_verify(f->a, &f->q, f->arena, &f->who, &f->challenge, &f->err);
}

/* As the registry does: the loop first, then a worker. */
static enum authn_result ask(struct fixture *f)
{
    enum authn_result r = quick(f);
    return r == AUTHN_SLOW ? verify(f) : r;
}

#define assert_slice(s, text)                                        \
    do {                                                             \
        struct slice s_ = (s);                                       \
        if (!slice_is(s_, (text)))                                   \
            fail_msg("\"%.*s\", not \"%s\"", SLICE_ARG(s_), (text)); \
    } while (0)

/* ---- none, silly ---- */

static void test_none(void **state)
{
    struct fixture *f = *state;
    make(f, &(struct authn_config){.kind = AUTHN_NONE});
    authorization(f, "Basic nonsense");
    assert_int_equal(quick(f), AUTHN_OK);
    assert_int_equal(f->who.name.n, 0);
    assert_false(f->who.limited);
    assert_int_equal(authn_challenge(f->a, &f->q, NULL, f->arena).n, 0);
    assert_false(authn_refresh(f->a, &(struct authn_status){0}));
    assert_int_equal(authn_kind_of(f->a), AUTHN_NONE);
}

static const struct authn_config silly = {
    .kind = AUTHN_SILLY, .realm = "silly \"realm\"", .service = "a\\service"};

static void test_silly(void **state)
{
    struct fixture *f = *state;
    make(f, &silly);
    f->q.authorization = SLICE_NONE;
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_int_equal(f->err.code, ERR_UNAUTHORIZED);
    assert_slice(f->challenge, "Bearer realm=\"silly \\\"realm\\\"\",service=\"a\\\\service\","
                               "scope=\"repository:a/b:pull\"");
    f->q.action = ACTION_PUSH;
    f->q.from = SLICE_LIT("c/d");
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_slice(f->challenge,
                 "Bearer realm=\"silly \\\"realm\\\"\",service=\"a\\\\service\",scope=\""
                 "repository:a/b:pull repository:a/b:push repository:c/d:pull\"");
    f->q.action = ACTION_PING;
    f->q.repo = f->q.from = SLICE_NONE;
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_slice(f->challenge, "Bearer realm=\"silly \\\"realm\\\"\",service=\"a\\\\service\"");
    authorization(f, "whatever");
    assert_int_equal(quick(f), AUTHN_OK);
    assert_slice(f->who.name, "silly");
    assert_false(f->who.limited);
    assert_int_equal(verify(f), AUTHN_OK);
}

/* ---- what a configuration needs ---- */

static void test_incomplete(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct authn_config c;
        const char *why;
    } bad[] = {
        {{.kind = AUTHN_SILLY, .service = "s"}, "auth.silly.realm"},
        {{.kind = AUTHN_SILLY, .realm = "r", .service = ""}, "auth.silly.service"},
        {{.kind = AUTHN_HTPASSWD, .path = "p"}, "auth.htpasswd.realm"},
        {{.kind = AUTHN_HTPASSWD, .realm = "r"}, "auth.htpasswd.path"},
        {{.kind = AUTHN_TOKEN, .service = "s", .issuer = "i", .jwks = "x"}, "auth.token.realm"},
        {{.kind = AUTHN_TOKEN, .realm = "r", .issuer = "i", .jwks = "x"}, "auth.token.service"},
        {{.kind = AUTHN_TOKEN, .realm = "r", .service = "s", .jwks = "x"}, "auth.token.issuer"},
        {{.kind = AUTHN_TOKEN, .realm = "r", .service = "s", .issuer = "i"},
         "auth.token.rootcertbundle or auth.token.jwks"},
        {{.kind = (enum authn_kind)77}, "no such kind"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = {0};
        assert_int_equal(authn_new(&bad[i].c, &f->a, NULL, &err), -1);
        if (!strstr(err.detail, bad[i].why))
            fail_msg("%s, not: %s", err.detail, bad[i].why);
        assert_null(f->a);
    }
}

/* ---- htpasswd ---- */

static void user(struct fixture *f, const char *name, const char *password)
{
    if (htpasswd_update(f->path, slice_cstr(name), slice_cstr(password), 4, true, &f->err))
        fail_msg("%s", f->err.message);
}

static void with_users(struct fixture *f)
{
    user(f, "alice", "secret");
    user(f, "bob", "b:o:b");
    make(f, &(struct authn_config){.kind = AUTHN_HTPASSWD, .realm = "Reg", .path = f->path});
}

static void test_basic(void **state)
{
    struct fixture *f = *state;
    with_users(f);
    f->q.authorization = SLICE_NONE;
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_int_equal(f->err.code, ERR_UNAUTHORIZED);
    assert_slice(f->challenge, "Basic realm=\"Reg\"");
    basic(f, "alice", "secret");
    assert_int_equal(quick(f), AUTHN_SLOW);
    assert_int_equal(verify(f), AUTHN_OK);
    assert_slice(f->who.name, "alice");
    assert_false(f->who.limited);
    assert_int_equal(quick(f), AUTHN_OK); /* known now */
    assert_slice(f->who.name, "alice");
    basic(f, "bob", "b:o:b");
    assert_int_equal(ask(f), AUTHN_OK);
    assert_slice(f->who.name, "bob");
    basic(f, "alice", "wrong");
    assert_int_equal(ask(f), AUTHN_REFUSED);
    assert_slice(f->challenge, "Basic realm=\"Reg\"");
    assert_string_equal(f->err.detail, "the name or the password is wrong");
    char same[512];
    (void)snprintf(same, sizeof same, "%s", f->err.detail);
    basic(f, "nobody", "secret");
    assert_int_equal(ask(f), AUTHN_REFUSED);
    assert_string_equal(f->err.detail, same); /* nobody learns who exists */
    assert_int_equal(logins(f, "ok"), 2);
    assert_int_equal(logins(f, "cached"), 1);
    assert_int_equal(logins(f, "refused"), 3);
}

static void test_basic_forms(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header, *why; /* NULL: good */
    } forms[] = {
        {"Basic YWxpY2U6c2VjcmV0", NULL},
        {"basic YWxpY2U6c2VjcmV0", NULL},
        {"BASIC   YWxpY2U6c2VjcmV0  ", NULL},
        {"Basic", "scheme Basic"},
        {"Basic ", "scheme Basic"},
        {"BasicYWxpY2U6c2VjcmV0", "scheme Basic"},
        {"Bearer YWxpY2U6c2VjcmV0", "scheme Basic"},
        {"Basic YWxpY2U6c2VjcmV0=", "not base64"},
        {"Basic YWxpY2U6c2VjcmV0 x", "not base64"},
        {"Basic YWxpY2U6c2Vj\tmV0", "not base64"},
        {"Basic YWxpY2U6c2VjcmV", "not base64"},
        {"Basic =", "not base64"},
        {"Basic YWxpY2U=", "not USER:PASSWORD"},    /* alice */
        {"Basic YWxpY2U6c2VjcmV0AA==", "not USER"}, /* ...secret\0 */
        {"Basic YQBsaWNlOnNlY3JldA==", "not USER"}, /* a\0lice:... */
        {"Basic OnNlY3JldA==", "user is empty"},    /* :secret */
    };
    with_users(f);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        authorization(f, "%s", forms[i].header);
        enum authn_result r = ask(f);
        if (r != (forms[i].why ? AUTHN_REFUSED : AUTHN_OK))
            fail_msg("%s: %d", forms[i].header, r);
        if (!forms[i].why)
            continue;
        if (!strstr(f->err.detail, forms[i].why))
            fail_msg("%s: %s", forms[i].header, f->err.detail);
        assert_slice(f->challenge, "Basic realm=\"Reg\"");
        assert_int_equal(verify(f), AUTHN_REFUSED); /* a worker says the same */
    }
    char longest[80];
    memset(longest, 'x', sizeof longest);
    longest[73] = '\0';
    basic(f, "alice", longest);
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_non_null(strstr(f->err.detail, "longer than 72"));
    longest[72] = '\0';
    basic(f, "alice", longest);
    assert_int_equal(quick(f), AUTHN_SLOW);
    authorization(f, "Basic %01025d", 0);
    assert_int_equal(quick(f), AUTHN_REFUSED);
}

/* A minute after its last use, a password is verified again. */
static void test_good_is_forgotten(void **state)
{
    struct fixture *f = *state;
    with_users(f);
    basic(f, "alice", "secret");
    assert_int_equal(ask(f), AUTHN_OK);
    int64_t ok = logins(f, "ok");
    for (f->q.now_s = NOW + 1; f->q.now_s < NOW + 200; f->q.now_s += 40)
        assert_int_equal(ask(f), AUTHN_OK);
    assert_int_equal(logins(f, "ok"), ok); /* all of them known */
    f->q.now_s += 60 - 40;
    assert_int_equal(ask(f), AUTHN_OK);
    assert_int_equal(logins(f, "ok"), ok + 1);
}

static void test_bad_is_remembered(void **state)
{
    struct fixture *f = *state;
    with_users(f);
    basic(f, "alice", "wrong");
    assert_int_equal(quick(f), AUTHN_SLOW);
    assert_int_equal(verify(f), AUTHN_REFUSED);
    for (unsigned i = 0; i < 100; i++) { /* no bcrypt, and no try taken */
        assert_int_equal(quick(f), AUTHN_REFUSED);
        assert_int_equal(f->err.code, ERR_UNAUTHORIZED);
    }
    assert_int_equal(verify(f), AUTHN_REFUSED);
    f->q.now_s += 5;
    assert_int_equal(quick(f), AUTHN_SLOW);
}

/* Requests with the same credentials that arrive together take one try, not one each. */
static void test_same_credentials_take_one_try(void **state)
{
    struct fixture *f = *state;
    with_users(f);
    basic(f, "alice", "secret");
    for (unsigned i = 0; i < 10 * LIMITER_BURST; i++)
        assert_int_equal(quick(f), AUTHN_SLOW);
    assert_int_equal(verify(f), AUTHN_OK);
}

static void fail_logins(struct fixture *f, const char *name, unsigned n, unsigned *slow,
                        unsigned *limited)
{
    *slow = *limited = 0;
    for (unsigned i = 0; i < n; i++) {
        char password[32];
        (void)snprintf(password, sizeof password, "guess %u at %lld", i, (long long)f->q.now_s);
        basic(f, name, password);
        enum authn_result r = quick(f);
        if (r == AUTHN_SLOW) {
            ++*slow;
            assert_int_equal(verify(f), AUTHN_REFUSED);
            assert_int_equal(f->err.code, ERR_UNAUTHORIZED);
        } else {
            ++*limited;
            assert_int_equal(r, AUTHN_REFUSED);
            assert_int_equal(f->err.code, ERR_TOOMANYREQUESTS);
            assert_int_equal(f->challenge.n, 0);
        }
    }
}

static void test_failures_are_limited(void **state)
{
    struct fixture *f = *state;
    unsigned slow, limited;
    with_users(f);
    basic(f, "bob", "b:o:b");
    assert_int_equal(ask(f), AUTHN_OK);
    fail_logins(f, "alice", 1000, &slow, &limited);
    assert_int_equal(slow, LIMITER_BURST);
    assert_int_equal(limited, 1000 - LIMITER_BURST);
    assert_int_equal(logins(f, "limited"), limited);
    /* Whoever is known is not hit, also at the attacker's address. */
    basic(f, "bob", "b:o:b");
    assert_int_equal(quick(f), AUTHN_OK);
    /* The attacked user gets in from another address, and not from the attacker's. */
    basic(f, "alice", "secret");
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_int_equal(f->err.code, ERR_TOOMANYREQUESTS);
    f->q.peer = SLICE_LIT("192.0.2.2");
    assert_int_equal(ask(f), AUTHN_OK);
    f->q.peer = SLICE_LIT("192.0.2.1");
    assert_int_equal(quick(f), AUTHN_OK); /* now that it is known */
    /* A second later there is one try more. */
    f->q.now_s++;
    fail_logins(f, "carol", 50, &slow, &limited);
    assert_int_equal(slow, 1);
}

/* Everybody behind one proxy comes at once, after a restart for one: nobody has failed. */
static void test_many_right_logins_at_once(void **state)
{
    struct fixture *f = *state;
    enum { USERS = 3 * LIMITER_BURST };
    char name[16];
    CLEANUP_BUF struct buf file = {0};
    buf_init(&file, (size_t)64 * 1024);
    char hash[64];
    assert_int_equal(password_hash(SLICE_LIT("secret"), 4, hash, &f->err), 0);
    for (unsigned i = 0; i < USERS; i++)
        buf_printf(&file, "user%u:%s\n", i, hash);
    put(f->path, file.p);
    make(f, &(struct authn_config){.kind = AUTHN_HTPASSWD, .realm = "r", .path = f->path});
    for (unsigned i = 0; i < USERS; i++) { /* all of them before the first is verified */
        (void)snprintf(name, sizeof name, "user%u", i);
        basic(f, name, "secret");
        if (quick(f) != AUTHN_SLOW)
            fail_msg("%s: %s", name, f->err.message);
    }
    for (unsigned i = 0; i < USERS; i++) {
        (void)snprintf(name, sizeof name, "user%u", i);
        basic(f, name, "secret");
        assert_int_equal(verify(f), AUTHN_OK);
    }
    assert_int_equal(logins(f, "limited"), 0);
    unsigned slow, limited;
    fail_logins(f, "user0", LIMITER_BURST + 5, &slow, &limited); /* and no failure was taken off */
    assert_int_equal(slow, LIMITER_BURST);
}

/* What somebody owns is one address: a /64, and v4 however it is written. */
static void test_addresses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *first, *then;
        bool same;
    } pairs[] = {
        {"192.0.2.7", "::ffff:192.0.2.7", true},
        {"192.0.2.8", "192.0.2.9", false},
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff::9", true},
        {"[2001:db8:0:2::1]", "2001:db8:0:2::2", true},
        {"2001:db8:0:3::1", "2001:db8:0:4::1", false},
        {"fe80::1%eth0", "fe80::2", true},
        {"unix", "unix", true},
        {"", "", true},
    };
    with_users(f);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        unsigned slow, limited;
        char name[16];
        (void)snprintf(name, sizeof name, "u%zu", i);
        f->q.peer = slice_cstr(pairs[i].first);
        fail_logins(f, name, LIMITER_BURST + 5, &slow, &limited);
        assert_int_equal(slow, LIMITER_BURST);
        f->q.peer = slice_cstr(pairs[i].then);
        (void)snprintf(name, sizeof name, "v%zu", i);
        fail_logins(f, name, 1, &slow, &limited);
        if (slow != (pairs[i].same ? 0 : 1))
            fail_msg("%s and %s", pairs[i].first, pairs[i].then);
    }
}

/* ---- the file changes ---- */

static void test_reload(void **state)
{
    struct fixture *f = *state;
    struct authn_status s;
    with_users(f);
    basic(f, "alice", "secret");
    assert_int_equal(ask(f), AUTHN_OK);
    assert_false(authn_refresh(f->a, &s));
    user(f, "alice", "other");
    user(f, "carol", "new");
    /* Within the second nothing is looked at; then the change counts at once. */
    f->q.now_s = NOW + 1;
    basic(f, "carol", "new");
    assert_int_equal(ask(f), AUTHN_OK);
    basic(f, "alice", "secret");
    assert_int_equal(ask(f), AUTHN_REFUSED);
    basic(f, "alice", "other");
    assert_int_equal(ask(f), AUTHN_OK);
    authn_status(f->a, &s);
    assert_int_equal(s.entries, 3);
    assert_int_equal(s.ignored, 0);
    assert_false(s.failed);
    s = (struct authn_status){0};
    assert_true(authn_refresh(f->a, &s)); /* it has not told of this one */
    assert_int_equal(s.entries, 3);
    assert_false(authn_refresh(f->a, &s));
}

/* A known password never waits for a worker, who may be busy with the bcrypts of others: who
 * watches the files ends it. */
static void test_removed_user_is_out(void **state)
{
    struct fixture *f = *state;
    struct authn_status s;
    with_users(f);
    basic(f, "alice", "secret");
    assert_int_equal(ask(f), AUTHN_OK);
    assert_int_equal(htpasswd_update(f->path, SLICE_LIT("alice"), SLICE_NONE, 4, false, &f->err),
                     0);
    for (f->q.now_s = NOW + 1; f->q.now_s < NOW + 10; f->q.now_s++)
        assert_int_equal(quick(f), AUTHN_OK);
    assert_true(authn_refresh(f->a, &s));
    assert_int_equal(s.entries, 1);
    assert_int_equal(ask(f), AUTHN_REFUSED);
}

/* What is known of those whose entry did not change is still known, and so are the failures. */
static void test_refresh_forgets_nobody(void **state)
{
    struct fixture *f = *state;
    struct authn_status s;
    unsigned slow, limited;
    with_users(f);
    basic(f, "bob", "b:o:b");
    assert_int_equal(ask(f), AUTHN_OK);
    fail_logins(f, "eve", LIMITER_BURST + 5, &slow, &limited);
    assert_int_equal(limited, 5);
    user(f, "alice", "other");
    assert_true(authn_refresh(f->a, &s));
    assert_false(s.failed);
    basic(f, "bob", "b:o:b");
    assert_int_equal(quick(f), AUTHN_OK);
    basic(f, "eve", "one more");
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_int_equal(f->err.code, ERR_TOOMANYREQUESTS);
}

/* A change that could not be read is told of once, and tried again without another change: what was
 * missing may have been a descriptor. */
static void test_refresh_tries_again(void **state)
{
    struct fixture *f = *state;
    struct authn_status s;
    struct rlimit before, none;
    with_users(f);
    user(f, "carol", "new");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool told = authn_refresh(f->a, &s), again = authn_refresh(f->a, &(struct authn_status){0});
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(told);
    assert_true(s.failed);
    assert_int_equal(s.problem.sys, EMFILE);
    assert_int_equal(s.entries, 2);
    assert_false(again);
    assert_true(authn_refresh(f->a, &s));
    assert_false(s.failed);
    assert_int_equal(s.entries, 3);
    assert_false(authn_refresh(f->a, &s));
}

static void test_must_exist(void **state)
{
    struct fixture *f = *state;
    struct authn_config c = {
        .kind = AUTHN_HTPASSWD, .realm = "r", .path = f->path, .must_exist = true};
    char *password = NULL;
    (void)remove(f->path);
    assert_int_equal(authn_new(&c, &f->a, &password, &f->err), -1);
    assert_int_equal(f->err.sys, ENOENT);
    assert_null(password);
    assert_int_not_equal(access(f->path, F_OK), 0);
}

static void test_broken_file_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct authn_status s;
    with_users(f);
    put(f->path, "this is no entry\n");
    f->q.now_s = NOW + 1;
    basic(f, "alice", "secret");
    assert_int_equal(ask(f), AUTHN_OK);
    authn_status(f->a, &s);
    assert_true(s.failed);
    assert_int_equal(s.entries, 2);
    assert_non_null(strstr(s.problem.detail, "line 1 is not USER:HASH"));
    struct metric *failed = metrics_gauge(
        f->metrics, "berth_login_files_stale",
        "1 while the files of auth could not be read again after a change, and what they held "
        "before is in force",
        "");
    assert_int_equal(metric_value(failed), 1);
    assert_int_equal(remove(f->path), 0);
    f->q.now_s = NOW + 2;
    basic(f, "bob", "b:o:b");
    assert_int_equal(ask(f), AUTHN_OK);
    authn_status(f->a, &s);
    assert_true(s.failed);
    assert_int_equal(s.problem.sys, ENOENT);
    user(f, "carol", "new");
    f->q.now_s = NOW + 3;
    basic(f, "carol", "new");
    assert_int_equal(ask(f), AUTHN_OK);
    authn_status(f->a, &s);
    assert_false(s.failed);
    assert_int_equal(metric_value(failed), 0);
    basic(f, "alice", "secret");
    assert_int_equal(ask(f), AUTHN_REFUSED);
}

static void test_ignored_are_counted(void **state)
{
    struct fixture *f = *state;
    struct authn_status s;
    put(f->path, "old:$apr1$x\nolder:{SHA}x\n");
    user(f, "alice", "secret");
    make(f, &(struct authn_config){.kind = AUTHN_HTPASSWD, .realm = "r", .path = f->path});
    authn_status(f->a, &s);
    assert_int_equal(s.entries, 1);
    assert_int_equal(s.ignored, 2);
}

/* ---- the file is missing ---- */

static void test_missing_file_is_made(void **state)
{
    struct fixture *f = *state;
    char *path = NULL, *password = NULL, copy[32];
    struct stat st;
    assert_true(asprintf(&path, "%s/new/dir/htpasswd", f->dir->path) > 0);
    struct authn_config c = {.kind = AUTHN_HTPASSWD, .realm = "r", .path = path};
    assert_int_equal(authn_new(&c, &f->a, &password, &f->err), 0);
    assert_non_null(password);
    assert_int_equal(strlen(password), 24);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    basic(f, "docker", password);
    assert_int_equal(ask(f), AUTHN_OK);
    assert_slice(f->who.name, "docker");
    (void)snprintf(copy, sizeof copy, "%s", password);
    free(password);
    authn_unref(f->a);
    f->a = NULL;
    password = copy;
    assert_int_equal(authn_new(&c, &f->a, &password, &f->err), 0);
    assert_null(password); /* it is there now: nothing is given out */
    basic(f, "docker", copy);
    assert_int_equal(ask(f), AUTHN_OK);
    free(path);
}

static void test_bad_file_at_the_start(void **state)
{
    struct fixture *f = *state;
    char *password = NULL, *inside = NULL;
    struct authn_config c = {.kind = AUTHN_HTPASSWD, .realm = "r", .path = f->path};
    put(f->path, "nonsense\n");
    assert_int_equal(authn_new(&c, &f->a, &password, &f->err), -1);
    assert_non_null(strstr(f->err.detail, "line 1"));
    assert_null(password);
    assert_true(asprintf(&inside, "%s/x", f->path) > 0); /* below a file */
    c.path = inside;
    assert_int_equal(authn_new(&c, &f->a, &password, &f->err), -1);
    assert_int_equal(f->err.sys, ENOTDIR);
    c.path = f->dir->path;
    assert_int_equal(authn_new(&c, &f->a, &password, &f->err), -1);
    free(inside);
}

/* ---- tokens ---- */

#define CLAIMS "\"iss\":\"the issuer\",\"aud\":\"registry.example\",\"sub\":\"alice\""
#define PULL "\"access\":[{\"type\":\"repository\",\"name\":\"a/b\",\"actions\":[\"pull\"]}]"

static void with_tokens(struct fixture *f, struct authn_config c)
{
    static const char *const all[] = {"EdDSA", "ES256", "ES512", "HS256"};
    char *pem = NULL, *jwks = NULL;
    assert_true(asprintf(&pem, "%s/bundle.pem", f->dir->path) > 0);
    assert_true(asprintf(&jwks, "%s/jwks.json", f->dir->path) > 0);
    put(pem, world->pem);
    put(jwks, world->jwks);
    c.kind = AUTHN_TOKEN;
    c.service = SERVICE;
    c.issuer = ISSUER;
    c.root_cert_bundle = pem;
    c.jwks = jwks;
    c.algorithms = all;
    c.n_algorithms = ARRAY_LEN(all);
    make(f, &c);
    free(pem);
    free(jwks);
}

static void bearer(struct fixture *f, const char *payload)
{
    char *token = token_make(world, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", payload, ED, "EdDSA");
    authorization(f, "Bearer %s", token);
    free(token);
}

static void test_bearer(void **state)
{
    struct fixture *f = *state;
    with_tokens(f, (struct authn_config){.realm = "https://auth.example/token"});
    assert_int_equal(authn_kind_of(f->a), AUTHN_TOKEN);
    bearer(f, "{" CLAIMS ",\"exp\":1700000300," PULL "}");
    assert_int_equal(quick(f), AUTHN_SLOW);
    assert_int_equal(verify(f), AUTHN_OK);
    assert_int_equal(logins(f, "ok"), 1);
    assert_int_equal(quick(f), AUTHN_OK);
    assert_int_equal(logins(f, "cached"), 1);
    assert_slice(f->who.name, "alice");
    assert_true(f->who.limited);
    assert_true(policy_holds(&f->who, "repository", SLICE_LIT("a/b"), "pull"));
    assert_false(policy_holds(&f->who, "repository", SLICE_LIT("a/b"), "push"));
    f->q.now_s = NOW + 299;
    assert_int_equal(ask(f), AUTHN_OK);
    assert_int_equal(logins(f, "ok"), 1);
    f->q.now_s = NOW + 300; /* from here to the leeway's end it is verified each time */
    assert_int_equal(quick(f), AUTHN_SLOW);
    assert_int_equal(verify(f), AUTHN_OK);
    f->q.now_s = NOW + 361;
    assert_int_equal(quick(f), AUTHN_SLOW);
    assert_int_equal(verify(f), AUTHN_REFUSED);
    assert_non_null(strstr(f->err.detail, "has expired"));
    assert_slice(f->challenge, "Bearer realm=\"https://auth.example/token\",service=\"" SERVICE
                               "\",scope=\"repository:a/b:pull\",error=\"invalid_token\"");
}

static void test_bearer_challenges(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header, *challenge;
        enum action action;
        const char *repo, *from;
    } rows[] = {
        {NULL, "Bearer realm=\"R\",service=\"registry.example\"", ACTION_PING, "", ""},
        {"", "Bearer realm=\"R\",service=\"registry.example\"", ACTION_PING, "", ""},
        {"Basic YTpi",
         "Bearer realm=\"R\",service=\"registry.example\","
         "scope=\"registry:catalog:*\"",
         ACTION_CATALOG, "", ""},
        {"Bearer",
         "Bearer realm=\"R\",service=\"registry.example\","
         "scope=\"repository:x:delete\"",
         ACTION_DELETE, "x", ""},
        {"Bearer ",
         "Bearer realm=\"R\",service=\"registry.example\","
         "scope=\"repository:x:pull,push repository:y:pull\"",
         ACTION_PUSH, "x", "y"},
        {"bearer x.y.z",
         "Bearer realm=\"R\",service=\"registry.example\","
         "scope=\"repository:x:pull\",error=\"invalid_token\"",
         ACTION_PULL, "x", ""},
    };
    with_tokens(f, (struct authn_config){.realm = "R"});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        f->q.authorization = slice_cstr(rows[i].header);
        f->q.action = rows[i].action;
        f->q.repo = slice_cstr(rows[i].repo);
        f->q.from = slice_cstr(rows[i].from);
        assert_int_equal(ask(f), AUTHN_REFUSED);
        assert_int_equal(f->err.code, ERR_UNAUTHORIZED);
        assert_true(f->err.detail[0]);
        assert_slice(f->challenge, rows[i].challenge);
    }
    assert_slice(authn_challenge(f->a, &f->q, "insufficient_scope", f->arena),
                 "Bearer realm=\"R\",service=\"registry.example\",scope=\"repository:x:pull\","
                 "error=\"insufficient_scope\"");
}

static void test_token_too_large(void **state)
{
    struct fixture *f = *state;
    char *header = xcalloc(1, TOKEN_BYTES_MAX + 100);
    with_tokens(f, (struct authn_config){.realm = "R"});
    memset(header, 'x', TOKEN_BYTES_MAX + 90);
    memcpy(header, "Bearer ", 7);
    f->q.authorization = slice_cstr(header);
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_non_null(strstr(f->err.detail, "1 to 32768"));
    free(header);
}

static void test_autoredirect(void **state)
{
    struct fixture *f = *state;
    with_tokens(f, (struct authn_config){.autoredirect = true});
    f->q.action = ACTION_PING;
    f->q.authorization = SLICE_NONE;
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_slice(f->challenge, "Bearer realm=\"https://reg.example:5000/auth/token\","
                               "service=\"registry.example\"");
    f->q.plain = true;
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_slice(f->challenge, "Bearer realm=\"http://reg.example:5000/auth/token\","
                               "service=\"registry.example\"");
    f->q.plain = false;
    authn_unref(f->a);
    with_tokens(f, (struct authn_config){.autoredirect = true, .autoredirect_path = "my/tokens"});
    f->q.host = SLICE_LIT("evil\",x=\"\r\ny");
    assert_int_equal(quick(f), AUTHN_REFUSED);
    assert_slice(f->challenge, "Bearer realm=\"https://evil\\\",x=\\\"y/my/tokens\","
                               "service=\"registry.example\"");
}

/* Other keys: what the old ones verified is not believed any more. */
static void test_keys_change(void **state)
{
    struct fixture *f = *state;
    char *jwks = NULL, *pem = NULL;
    struct authn_status s;
    assert_true(asprintf(&jwks, "%s/jwks.json", f->dir->path) > 0);
    assert_true(asprintf(&pem, "%s/bundle.pem", f->dir->path) > 0);
    with_tokens(f, (struct authn_config){.realm = "R"});
    authn_status(f->a, &s);
    assert_int_equal(s.entries, 7);
    bearer(f, "{" CLAIMS ",\"exp\":1700000300," PULL "}");
    assert_int_equal(ask(f), AUTHN_OK);
    put(jwks, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}");
    assert_true(authn_refresh(f->a, &s));
    assert_true(s.failed);
    assert_non_null(strstr(s.problem.detail, "key of the JWKS 1"));
    assert_int_equal(ask(f), AUTHN_OK); /* broken: the old ones */
    put(jwks, "{\"keys\":[]}");
    assert_true(authn_refresh(f->a, &s));
    assert_int_equal(s.entries, 3);
    assert_int_equal(ask(f), AUTHN_REFUSED);
    assert_non_null(strstr(f->err.detail, "no trusted key"));
    assert_int_equal(remove(pem), 0);
    f->q.now_s = NOW + 6;
    assert_int_equal(ask(f), AUTHN_REFUSED);
    authn_status(f->a, &s);
    assert_true(s.failed);
    free(jwks);
    free(pem);
}

static void test_bad_keys_at_the_start(void **state)
{
    struct fixture *f = *state;
    char *jwks = NULL;
    assert_true(asprintf(&jwks, "%s/none.json", f->dir->path) > 0);
    struct authn_config c = {
        .kind = AUTHN_TOKEN, .realm = "r", .service = "s", .issuer = "i", .jwks = jwks};
    assert_int_equal(authn_new(&c, &f->a, NULL, &f->err), -1);
    assert_int_equal(f->err.sys, ENOENT);
    put(jwks, "{\"keys\":[]}");
    assert_int_equal(authn_new(&c, &f->a, NULL, &f->err), -1);
    assert_non_null(strstr(f->err.detail, "neither rootcertbundle nor jwks"));
    free(jwks);
}

/* ---- threads ---- */

struct crowd {
    struct fixture *f;
    atomic_int wrong;
    atomic_int done;
};

/* Loops and workers at once, while the file changes: alice is always right, her guesses never. */
static void *crowd_member(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < 60; i++) {
        char plain[64], text[128], header[160];
        bool right = i % 3 != 0;
        int n = snprintf(plain, sizeof plain, right ? "alice:secret" : "alice:guess %u", i);
        b64_encode(plain, (size_t)n, B64_STANDARD, text);
        n = snprintf(header, sizeof header, "Basic %s", text);
        struct arena *arena = arena_new(512);
        struct authn_question q = c->f->q;
        q.authorization = slice_make(header, (size_t)n);
        q.now_s = NOW + i / 10;
        struct principal who = {0};
        struct slice challenge = SLICE_NONE;
        struct error err = {0};
        struct authn *a = authn_ref(c->f->a);
        enum authn_result r = authn_quick(a, &q, arena, &who, &challenge, &err);
        if (r == AUTHN_SLOW)
            r = authn_verify(a, &q, arena, &who, &challenge, &err);
        bool limited = r == AUTHN_REFUSED && err.code == ERR_TOOMANYREQUESTS;
        if (!limited && (r == AUTHN_OK) != right)
            atomic_fetch_add(&c->wrong, 1);
        if (r == AUTHN_OK && !slice_is(who.name, "alice"))
            atomic_fetch_add(&c->wrong, 1);
        authn_unref(a);
        arena_free(arena);
    }
    atomic_fetch_add(&c->done, 1);
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    enum { CROWD = 6 };
    struct crowd c = {.f = f};
    pthread_t threads[CROWD];
    with_users(f);
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_member, &c), 0);
    for (unsigned i = 0; atomic_load(&c.done) < CROWD; i++) {
        struct authn_status s;
        char password[32];
        (void)snprintf(password, sizeof password, "%u", i);
        user(f, "carol", password);
        (void)authn_refresh(f->a, &s);
        authn_status(f->a, &s);
        assert_false(s.failed);
    }
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&c.wrong), 0);
}

/* Many requests with one password that nobody knows yet: one bcrypt for all of them. */
static void *same_login(void *arg)
{
    struct fixture *f = arg;
    struct arena *arena = arena_new(512);
    struct authn_question q = f->q;
    struct principal who;
    struct slice challenge;
    struct error err;
    enum authn_result r = authn_verify(f->a, &q, arena, &who, &challenge, &err);
    arena_free(arena);
    return r == AUTHN_OK ? arg : NULL;
}

static void test_one_bcrypt_for_all(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[8];
    with_users(f);
    basic(f, "alice", "secret");
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, same_login, f), 0);
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++) {
        void *ok = NULL;
        assert_int_equal(pthread_join(threads[i], &ok), 0);
        assert_non_null(ok);
    }
    assert_int_equal(logins(f, "ok"), 1);
    assert_int_equal(logins(f, "cached"), ARRAY_LEN(threads) - 1);
}

static void *same_token(void *arg)
{
    struct fixture *f = arg;
    bool ok = true;
    for (unsigned i = 0; i < 30; i++) {
        struct arena *arena = arena_new(512);
        struct authn_question q = f->q;
        struct principal who = {0};
        struct slice challenge;
        struct error err;
        q.now_s = NOW + i;
        enum authn_result r = authn_quick(f->a, &q, arena, &who, &challenge, &err);
        if (r == AUTHN_SLOW)
            r = authn_verify(f->a, &q, arena, &who, &challenge, &err);
        ok = ok && r == AUTHN_OK && slice_is(who.name, "alice") && who.n_grants == 1;
        arena_free(arena);
    }
    return ok ? arg : NULL;
}

static void test_token_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    with_tokens(f, (struct authn_config){.realm = "R"});
    bearer(f, "{" CLAIMS ",\"exp\":1700000300," PULL "}");
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, same_token, f), 0);
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++) {
        void *ok = NULL;
        assert_int_equal(pthread_join(threads[i], &ok), 0);
        assert_non_null(ok);
    }
}

static int group_setup(void **state)
{
    void *w = NULL;
    (void)state;
    int rc = world_setup(&w);
    world = w;
    return rc;
}

static int group_teardown(void **state)
{
    void *w = world;
    (void)state;
    return world_teardown(&w);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_none),
        WITH_FIXTURE(test_silly),
        WITH_FIXTURE(test_incomplete),
        WITH_FIXTURE(test_basic),
        WITH_FIXTURE(test_basic_forms),
        WITH_FIXTURE(test_good_is_forgotten),
        WITH_FIXTURE(test_bad_is_remembered),
        WITH_FIXTURE(test_same_credentials_take_one_try),
        WITH_FIXTURE(test_failures_are_limited),
        WITH_FIXTURE(test_many_right_logins_at_once),
        WITH_FIXTURE(test_addresses),
        WITH_FIXTURE(test_reload),
        WITH_FIXTURE(test_removed_user_is_out),
        WITH_FIXTURE(test_refresh_forgets_nobody),
        WITH_FIXTURE(test_refresh_tries_again),
        WITH_FIXTURE(test_must_exist),
        WITH_FIXTURE(test_broken_file_is_not_taken),
        WITH_FIXTURE(test_ignored_are_counted),
        WITH_FIXTURE(test_missing_file_is_made),
        WITH_FIXTURE(test_bad_file_at_the_start),
        WITH_FIXTURE(test_bearer),
        WITH_FIXTURE(test_bearer_challenges),
        WITH_FIXTURE(test_token_too_large),
        WITH_FIXTURE(test_autoredirect),
        WITH_FIXTURE(test_keys_change),
        WITH_FIXTURE(test_bad_keys_at_the_start),
        WITH_FIXTURE(test_threads),
        WITH_FIXTURE(test_one_bcrypt_for_all),
        WITH_FIXTURE(test_token_threads),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
