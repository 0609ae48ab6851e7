/* SPDX-License-Identifier: Apache-2.0 */
/* The access log in its forms, and what is kept out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "http/forwarded.h"

#include "base/banned.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static void expect_match(const char *text, const char *pattern_text)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern_text, REG_EXTENDED | REG_NOSUB | REG_NEWLINE), 0);
    if (regexec(&re, text, 0, NULL, 0))
        fail_msg("no line is \"%s\" in\n%s", pattern_text, text);
    regfree(&re);
}

static void get(int fd, const char *target, const char *fields)
{
    char text[1024];
    struct reply r;
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, fields);
    send_text(fd, text);
    receive(fd, &r, false);
    reply_free(&r);
}

#define WHEN "\\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}\\]"

static void test_combined(void **state)
{
    (void)state;
    static const char *const entries[] = {"127.0.0.1"};
    struct trusted_peers *trusted;
    struct error err;
    assert_int_equal(trusted_peers_new(entries, 1, &trusted, &err), 0);
    f.config.trusted = trusted;
    log_set_format(f.log, LOG_FORMAT_COMBINED);
    fixture_start(&f);
    int fd = client(&f);
    get(fd, "/v2/", "");
    get(fd, "/v2/echo/1?n=5&last=a",
        "User-Agent: docker/20.10 (\"x\")\r\nReferer: http://r.example/?Token=a\r\nX-Auth: "
        "pool\r\n");
    get(fd, "/v2/echo/2?_state=keep&digest=sha256:1&Token=a&b=1&sig", "X-Real-Ip: 2001:db8::1\r\n");
    get(fd, "/v2/echo/3", "X-Forwarded-For: 203.0.113.7:81\r\nUser-Agent: a\\b\xc3\xa4\t\r\n");
    send_text(fd, "nonsense\r\n\r\n");
    assert_true(closed_by_peer(fd));
    close(fd);
    CLEANUP_FREE char *log = fixture_log(&f);
    expect_match(log, "^127\\.0\\.0\\.1 - - " WHEN " \"GET /v2/ HTTP/1\\.1\" 200 4 \"\" \"\"$");
    expect_match(log,
                 "^127\\.0\\.0\\.1 - alice " WHEN " \"GET /v2/echo/1\\?n=5&last=a HTTP/1\\.1\" 200 "
                 "1 \"http://r\\.example/\\?Token=\\*\\*\\*\" "
                 "\"docker/20\\.10 \\(\\\\\"x\\\\\"\\)\"$");
    expect_match(log, "^2001:db8::1 - - " WHEN " \"GET /v2/echo/2\\?_state=keep&digest=sha256:1&"
                      "Token=\\*\\*\\*&b=1&sig=\\*\\*\\* HTTP/1\\.1\" 200 ");
    expect_match(log, "^203\\.0\\.113\\.7 - - .* \"a\\\\\\\\b\\\\xc3\\\\xa4\"$");
    expect_match(log, "^127\\.0\\.0\\.1 - - " WHEN " \"- - HTTP/1\\.[01]\" 400 ");
    log_set_format(f.log, LOG_FORMAT_JSON); /* a reload */
    fd = client(&f);
    get(fd, "/v2/echo/4?token=secret", "Connection: close\r\n");
    assert_true(closed_by_peer(fd)); /* after its line is written */
    close(fd);
    CLEANUP_FREE char *after = fixture_log(&f);
    assert_non_null(strstr(after, "\"path\":\"/v2/echo/4\""));
    assert_null(strstr(after, "secret"));
    fixture_stop(&f);
    trusted_peers_free(trusted);
    fixture_init(&f);
}

static void test_targets(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/", "/"},
        {"", ""},
        {"/a?", "/a?"},
        {"/a?n=1", "/a?n=1"},
        {"/a?&&", "/a?&&"},
        {"/a?token=x", "/a?token=***"},
        {"/a?token", "/a?token=***"},
        {"/a?token=", "/a?token=***"},
        {"/a?access_token=x&_state=y", "/a?access_token=***&_state=y"},
        {"/a?x=1&PASSWORD=p=q&y=2", "/a?x=1&PASSWORD=***&y=2"},
        {"/a?to%6ben=x", "/a?to%6ben=***"},
        {"/a?to%6Ben=x", "/a?to%6Ben=***"},
        {"/a?signature=1&sig=2", "/a?signature=***&sig=***"},
        {"/a?tokens=x&mytoken=y&toke=z&sigma=1", "/a?tokens=x&mytoken=y&toke=z&sigma=1"},
        {"/a?token%=x&to%zzen=1", "/a?token%=x&to%zzen=1"},
        {"/token=x", "/token=x"},
        {"/a?b=?token=x", "/a?b=?token=x"},
    };
    struct arena *a = arena_new(1024);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice out = access_target(a, slice_cstr(rows[i][0]));
        if (!slice_is(out, rows[i][1]))
            fail_msg("%s: %.*s", rows[i][0], SLICE_ARG(out));
    }
    assert_int_equal(access_target(a, SLICE_NONE).n, 0);
    char longest[3000] = "/?";
    for (size_t i = 2; i + 4 < sizeof longest; i += 4)
        memcpy(longest + i, "sig&", 5);
    struct slice out = access_target(a, slice_cstr(longest));
    assert_true(out.n > LOGGED_MAX && slice_ends(out, SLICE_LIT("sig=***&si")));
    arena_free(a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_combined),
        cmocka_unit_test(test_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
