/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/util.h"

#include "base/banned.h"

struct sink {
    int fd;
    struct log *log;
    char text[64 * 1024];
};

static struct sink *sink_new(enum log_format format, enum log_level level)
{
    struct sink *s = xcalloc(1, sizeof *s);
    s->fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(s->fd >= 0);
    s->log = log_new(s->fd, format, level);
    return s;
}

static void sink_free(struct sink *s)
{
    log_free(s->log);
    close(s->fd); /* the log's descriptor is its owner's: it is open still */
    free(s);
}

/* All that was written so far. */
static const char *sink_text(struct sink *s)
{
    log_flush(s->log, 5000);
    ssize_t n = pread(s->fd, s->text, sizeof s->text - 1, 0);
    assert_true(n >= 0);
    s->text[n] = '\0';
    return s->text;
}

static void json_lines_parse(void **state)
{
    (void)state;
    struct sink *s = sink_new(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    LOG(s->log, LOG_LEVEL_WARN, "a \"b\"", F_STR("s", SLICE_LIT("x\n\xff")), F_CSTR("c", NULL),
        F_INT("i", -5), (struct log_field){0});
    const char *text = sink_text(s);
    assert_int_equal(text[strlen(text) - 1], '\n');
    struct json_doc *doc = NULL;
    struct error err;
    assert_int_equal(jdoc_parse(slice_cstr(text), ERR_UNKNOWN, &doc, &err), 0);
    const struct json_value *v = jdoc_root(doc);
    assert_int_equal(jv_count(v), 6);
    assert_true(slice_is(jv_string(jv_get(v, "level")), "warning"));
    assert_true(slice_is(jv_string(jv_get(v, "msg")), "a \"b\""));
    assert_true(slice_is(jv_string(jv_get(v, "s")), "x\n\xef\xbf\xbd"));
    assert_true(slice_is(jv_string(jv_get(v, "c")), ""));
    int64_t i = 0;
    assert_int_equal(jv_int(jv_get(v, "i"), &i), 0);
    assert_int_equal(i, -5);
    struct slice when = jv_string(jv_get(v, "time"));
    assert_int_equal(when.n, strlen("2026-01-02T03:04:05.678Z"));
    assert_int_equal(when.p[10], 'T');
    assert_int_equal(when.p[19], '.');
    assert_int_equal(when.p[23], 'Z');
    jdoc_free(doc);
    sink_free(s);
}

static void logfmt_quotes_what_needs_it(void **state)
{
    (void)state;
    struct sink *s = sink_new(LOG_FORMAT_LOGFMT, LOG_LEVEL_DEBUG);
    LOG(s->log, LOG_LEVEL_ERROR, "two words", F_CSTR("plain", "a/b:c"), F_CSTR("eq", "a=b"),
        F_CSTR("quote", "a\"b"), F_CSTR("back", "a\\b"), F_CSTR("empty", ""),
        F_CSTR("line", "a\nlevel=info"), F_INT("n", 7), (struct log_field){0});
    const char *text = sink_text(s);
    assert_int_equal(strncmp(text, "time=", 5), 0);
    assert_string_equal(strstr(text, " level="),
                        " level=error msg=\"two words\" plain=a/b:c eq=\"a=b\" quote=\"a\\\"b\" "
                        "back=\"a\\\\b\" empty=\"\" line=\"a\\nlevel=info\" n=7\n");
    sink_free(s);
}

static void text_is_as_logrus_writes_it(void **state)
{
    (void)state;
    struct sink *s = sink_new(LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG);
    LOG(s->log, LOG_LEVEL_WARN, "two words", F_CSTR("plain", "a-b._/@^+Z9"), F_CSTR("colon", "a:b"),
        F_CSTR("empty", ""), F_CSTR("line", "a\nlevel=info"), F_INT("n", -7),
        (struct log_field){0});
    LOG(s->log, LOG_LEVEL_INFO, "listening", F_INT("port", 5000));
    const char *text = sink_text(s);
    assert_int_equal(strncmp(text, "time=\"20", 8), 0);
    assert_int_equal(text[strlen("time=\"2026-01-02T03:04:05.678Z")], '"');
    const char *line = strstr(text, " level=");
    assert_int_equal(strncmp(line,
                             " level=warning msg=\"two words\" plain=a-b._/@^+Z9 "
                             "colon=\"a:b\" empty= line=\"a\\nlevel=info\" n=-7\ntime=\"",
                             90),
                     0);
    assert_non_null(strstr(text, " level=info msg=listening port=5000\n"));
    sink_free(s);
}

static void logstash_lines(void **state)
{
    (void)state;
    struct sink *s = sink_new(LOG_FORMAT_LOGSTASH, LOG_LEVEL_INFO);
    LOG(s->log, LOG_LEVEL_WARN, "hello", F_CSTR("a", "b"));
    struct json_doc *doc = NULL;
    struct error err;
    assert_int_equal(jdoc_parse(slice_cstr(sink_text(s)), ERR_UNKNOWN, &doc, &err), 0);
    const struct json_value *v = jdoc_root(doc);
    assert_int_equal(jv_count(v), 6);
    static const char *const want[][2] = {{"@version", "1"},
                                          {"level", "warning"},
                                          {"message", "hello"},
                                          {"type", "berth"},
                                          {"a", "b"}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_true(slice_is(jv_string(jv_get(v, want[i][0])), want[i][1]));
    assert_int_equal(jv_string(jv_get(v, "@timestamp")).n, strlen("2026-01-02T03:04:05.678Z"));
    jdoc_free(doc);
    sink_free(s);
}

/* One request; the time stamp is cut out. */
static void expect_combined(const char *want, size_t n, const struct log_field *fields)
{
    struct sink *s = sink_new(LOG_FORMAT_COMBINED, LOG_LEVEL_INFO);
    log_write(s->log, LOG_LEVEL_INFO, "request", n, fields);
    char *text = (char *)(uintptr_t)sink_text(s);
    char *from = strchr(text, '['), *to = strchr(text, ']');
    assert_true(from && to);
    assert_int_equal(to - from, strlen("[02/Jan/2006:15:04:05 -0700"));
    assert_true(from[3] == '/' && from[7] == '/' && from[12] == ':' && from[21] == ' ');
    memmove(from + 1, to, strlen(to) + 1);
    assert_string_equal(text, want);
    sink_free(s);
}
#define COMBINED(want, ...)                                                                       \
    expect_combined((want), sizeof((struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field), \
                    (struct log_field[]){__VA_ARGS__})

static void combined_lines(void **state)
{
    (void)state;
    COMBINED("192.0.2.1 - bob [] \"GET /v2/?n=1 HTTP/1.1\" 200 17 \"http://r/\" \"curl/8\"\n",
             F_CSTR("id", "unseen"), F_CSTR("peer", "192.0.2.1:4711"), F_CSTR("principal", "bob"),
             F_CSTR("method", "GET"), F_CSTR("target", "/v2/?n=1"), F_CSTR("proto", "HTTP/1.1"),
             F_INT("status", 200), F_INT("bytes", 17), F_CSTR("referer", "http://r/"),
             F_CSTR("agent", "curl/8"));
    COMBINED("2001:db8::1 - - [] \"GET  \" 0 0 \"\" \"a\\\"\\\\\\n\\r\\t\\x01\\x7f\\xc3\"\n",
             F_CSTR("peer", "[2001:db8::1]:80"), F_CSTR("method", "GET"),
             F_CSTR("agent", "a\"\\\n\r\t\x01\x7f\xc3"));
    COMBINED("2001:db8::1 - a\\x20b [] \"M  \" 0 0 \"\" \"\"\n", F_CSTR("peer", "2001:db8::1"),
             F_CSTR("method", "M"), F_CSTR("principal", "a b"));
    COMBINED("unix - - [] \"M  \" 0 0 \"\" \"\"\n", F_CSTR("peer", "unix"), F_CSTR("method", "M"));
    COMBINED("- - - [] \"M  \" 0 0 \"\" \"\"\n", F_CSTR("method", "M"));
    struct sink *s = sink_new(LOG_FORMAT_COMBINED, LOG_LEVEL_INFO); /* what is no request */
    LOG(s->log, LOG_LEVEL_WARN, "lost", F_INT("lines", 3));
    assert_non_null(strstr(sink_text(s), " level=warning msg=lost lines=3\n"));
    sink_free(s);
}

static void common_fields(void **state)
{
    (void)state;
    struct sink *s = sink_new(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    {
        char key[] = "service", value[] = "registry";
        struct log_field fields[] = {F_CSTR(key, value), F_CSTR("type", "t"), F_CSTR("msg", "m"),
                                     F_INT("n", 3)};
        log_set_fields(s->log, ARRAY_LEN(fields), fields);
        memset(key, 'x', sizeof key - 1); /* they were copied */
        memset(value, 'x', sizeof value - 1);
    }
    LOG(s->log, LOG_LEVEL_INFO, "hello", F_CSTR("a", "b"), F_INT("n", 9));
    assert_non_null(strstr(sink_text(s),
                           "\"msg\":\"hello\",\"a\":\"b\",\"n\":9,\"service\":\"registry\","
                           "\"fields.type\":\"t\",\"fields.msg\":\"m\"}\n"));
    log_set_format(s->log, LOG_FORMAT_LOGFMT);
    assert_int_equal(log_format_of(s->log), LOG_FORMAT_LOGFMT);
    log_write(s->log, LOG_LEVEL_INFO, "hello", 0, NULL);
    assert_non_null(strstr(sink_text(s), "msg=hello service=registry fields.type=t fields.msg=m "
                                         "n=3\n"));
    log_set_format(s->log, LOG_FORMAT_COMBINED);
    LOG(s->log, LOG_LEVEL_INFO, "request", F_CSTR("method", "GET"));
    assert_non_null(strstr(sink_text(s), "\"GET  \" 0 0 \"\" \"\"\n"));
    log_set_fields(s->log, 0, NULL);
    log_set_format(s->log, LOG_FORMAT_LOGFMT);
    log_write(s->log, LOG_LEVEL_INFO, "last", 0, NULL);
    assert_non_null(strstr(sink_text(s), "msg=last\n"));
    log_set_fields(NULL, 0, NULL);
    log_set_level(NULL, LOG_LEVEL_INFO);
    log_set_format(NULL, LOG_FORMAT_JSON);
    assert_int_equal(log_format_of(NULL), LOG_FORMAT_LOGFMT);
    sink_free(s);
}

static void *changes(void *arg)
{
    struct sink *s = arg;
    for (unsigned i = 0; i < 500; i++) {
        struct log_field fields[] = {F_CSTR("service", "registry"), F_INT("i", i)};
        log_set_fields(s->log, i % 3, fields);
        log_set_level(s->log, i % 2 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG);
        log_set_format(s->log, (enum log_format)(i % (LOG_FORMAT_COMBINED + 1)));
    }
    return NULL;
}

static void changes_while_it_is_used(void **state)
{
    (void)state;
    struct sink *s = sink_new(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, changes, s), 0);
    for (unsigned i = 0; i < 500; i++) {
        LOG(s->log, LOG_LEVEL_INFO, "hello", F_CSTR("a", "b"), F_CSTR("method", "GET"));
        LOG(s->log, LOG_LEVEL_DEBUG, "hello", F_CSTR("a", "b"));
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(strstr(sink_text(s), "GET"));
    assert_int_equal(log_dropped(s->log), 0);
    sink_free(s);
}

static void levels(void **state)
{
    (void)state;
    struct sink *s = sink_new(LOG_FORMAT_LOGFMT, LOG_LEVEL_WARN);
    assert_true(log_enabled(s->log, LOG_LEVEL_ERROR));
    assert_true(log_enabled(s->log, LOG_LEVEL_WARN));
    assert_false(log_enabled(s->log, LOG_LEVEL_INFO));
    assert_false(log_enabled(NULL, LOG_LEVEL_ERROR));
    log_write(s->log, LOG_LEVEL_INFO, "unseen", 0, NULL);
    assert_string_equal(sink_text(s), "");
    log_set_level(s->log, LOG_LEVEL_DEBUG);
    assert_true(log_enabled(s->log, LOG_LEVEL_DEBUG));
    log_set_level(s->log, LOG_LEVEL_WARN);
    assert_false(log_enabled(s->log, LOG_LEVEL_INFO));
    log_write(s->log, LOG_LEVEL_WARN, "seen", 0, NULL);
    assert_non_null(strstr(sink_text(s), "level=warn msg=seen\n"));
    log_write(NULL, LOG_LEVEL_ERROR, "nowhere", 0, NULL);
    sink_free(s);
}

static void errors(void **state)
{
    (void)state;
    struct sink *s = sink_new(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    struct error err;
    error_sys(&err, ENOSPC, "write x");
    log_error(s->log, LOG_LEVEL_ERROR, "upload failed", &err);
    assert_string_equal(strstr(sink_text(s), "msg="),
                        "msg=\"upload failed\" error=\"write x: No space left on device\" "
                        "code=NO_SPACE errno=28\n");
    sink_free(s);
}

/* The line is what tells of a request: whoever sends a long one must not be able to suppress it. */
static void a_long_value_is_clipped_not_the_line(void **state)
{
    (void)state;
    static char path[40000];
    for (int format = 0; format < 2; format++)
        for (char fill = 'p'; fill; fill = fill == 'p' ? '\x01' : '\0')
            for (size_t len = 15000; len < sizeof path; len += len < 16500 ? 31 : 20000) {
                struct sink *s = sink_new((enum log_format)format, LOG_LEVEL_INFO);
                memset(path, fill, len);
                LOG(s->log, LOG_LEVEL_INFO, "access", F_STR("path", slice_make(path, len)),
                    F_STR("agent", slice_make(path, len)), F_INT("status", 200));
                const char *text = sink_text(s);
                size_t n = strlen(text);
                assert_in_range(n, 100, 16 * 1024);
                assert_int_equal(text[n - 1], '\n');
                assert_ptr_equal(strchr(text, '\n'), text + n - 1);
                assert_non_null(strstr(text, "status"));
                assert_non_null(strstr(text, "access"));
                struct json_doc *doc = NULL;
                if (format == LOG_FORMAT_JSON)
                    assert_int_equal(jdoc_parse(slice_make(text, n), ERR_UNKNOWN, &doc, NULL), 0);
                jdoc_free(doc);
                sink_free(s);
            }
}

static void many_long_fields_still_fit(void **state)
{
    (void)state;
    static char value[5000];
    memset(value, '\x02', sizeof value);
    struct log_field fields[40];
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        fields[i] = F_STR("some_key_of_a_field", slice_make(value, sizeof value));
    for (int format = 0; format < 2; format++) {
        struct sink *s = sink_new((enum log_format)format, LOG_LEVEL_INFO);
        log_write(s->log, LOG_LEVEL_INFO, "m", ARRAY_LEN(fields), fields);
        const char *text = sink_text(s);
        assert_int_equal(text[strlen(text) - 1], '\n');
        sink_free(s);
    }
}

/* What the configuration adds to every line must not cost any, nor the report of lost ones. */
static void common_fields_that_never_fit(void **state)
{
    (void)state;
    static char key[8192];
    memset(key, 'k', sizeof key - 1);
    struct log_field fields[] = {F_STR("a", SLICE_LIT("b")), F_STR(key, SLICE_LIT("v")),
                                 F_STR(key, SLICE_LIT("v"))};
    for (int format = 0; format <= LOG_FORMAT_COMBINED; format++) {
        struct sink *s = sink_new((enum log_format)format, LOG_LEVEL_INFO);
        log_set_fields(s->log, ARRAY_LEN(fields), fields);
        LOG(s->log, LOG_LEVEL_INFO, "started", F_INT("own", 7));
        assert_non_null(strstr(sink_text(s), "started"));
        assert_non_null(strstr(sink_text(s), "own"));
        assert_null(strstr(sink_text(s), "kkkk"));
        sink_free(s);
    }
}

static void a_dead_descriptor_does_no_harm(void **state)
{
    (void)state;
    struct log *log = log_new(-1, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    log_write(log, LOG_LEVEL_INFO, "lost", 0, NULL);
    log_flush(log, 5000);
    assert_int_equal(log_dropped(log), 1);
    log_free(log);
    log_free(NULL);
    log_flush(NULL, 1);
    assert_int_equal(log_dropped(NULL), 0);
}

enum { MANY = 4000, LINE_BYTES = 1100 /* none of log_numbers is longer */ };

static double now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void log_numbers(struct log *log, int from, int to)
{
    char filler[1000];
    memset(filler, 'f', sizeof filler);
    for (int i = from; i < to; i++)
        LOG(log, LOG_LEVEL_INFO, "line", F_INT("i", i),
            F_STR("filler", slice_make(filler, sizeof filler)));
}

/* Reads lines from a pipe until one has `until`. Checks that numbers only go up, and that what is
 * missing is exactly what a line says. The lines with a number. */
static int read_numbers(int fd, const char *until, int last)
{
    static char line[32 * 1024];
    size_t n = 0;
    int seen = 0;
    long long missing = 0;
    for (;;) {
        assert_true(n < sizeof line - 1);
        ssize_t got = read(fd, line + n, 1);
        assert_true(got == 1);
        if (line[n++] != '\n')
            continue;
        line[n] = '\0';
        n = 0;
        const char *dropped = strstr(line, "dropped"), *lines = strstr(line, " lines=");
        const char *number = strstr(line, " i=");
        if (dropped && lines) {
            assert_int_equal(missing, 0);
            missing = strtoll(lines + 7, NULL, 10);
            assert_true(missing > 0);
        } else if (number) {
            int i = (int)strtol(number + 3, NULL, 10);
            assert_int_equal(i - last - 1, missing);
            missing = 0;
            last = i;
            seen++;
        }
        if (strstr(line, until))
            return seen;
    }
}

/* A reader that stops reading stops nobody, and learns what it missed. */
static void a_stalled_reader(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct log *log = log_new(fds[1], LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    double start = now();
    log_numbers(log, 0, MANY);
    log_flush(log, 100); /* nobody reads: it gives up */
    assert_true(now() - start < 10);
    uint64_t dropped = log_dropped(log);
    /* What LOG_BYTES hold is kept, and at most a pipe's more. */
    assert_in_range(dropped, MANY / 2, MANY - LOG_BYTES / LINE_BYTES);
    int seen = read_numbers(fds[0], "dropped", -1);
    assert_int_equal((uint64_t)seen + dropped, MANY);
    log_numbers(log, MANY, MANY + 100);
    LOG(log, LOG_LEVEL_INFO, "the end");
    assert_int_equal(read_numbers(fds[0], "the end", MANY - 1), 100);
    assert_int_equal(log_dropped(log), dropped);
    log_free(log);
    close(fds[0]);
    close(fds[1]);
}

/* The line about what is missing stands where it is missing, also when logging goes on at once. */
static void what_is_missing_is_said_in_its_place(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct log *log = log_new(fds[1], LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    log_numbers(log, 0, MANY);
    int first = read_numbers(fds[0], " i=500 ", -1);
    assert_int_equal(first, 501);
    sleep(1);
    log_numbers(log, MANY, MANY + 100); /* there is room again, and lines wait before it */
    LOG(log, LOG_LEVEL_INFO, "the end");
    int seen = read_numbers(fds[0], "the end", 500);
    assert_int_equal((uint64_t)(first + seen) + log_dropped(log), MANY + 100);
    log_free(log);
    close(fds[0]);
    close(fds[1]);
}

static void a_reader_that_never_comes_does_not_hold_up_the_end(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        if (nonblocking)
            assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
        struct log *log = log_new(fds[1], LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
        double start = now();
        log_numbers(log, 0, MANY);
        log_free(log);
        assert_true(now() - start < 10);
    }
    close(fds[0]); /* the threads that were left behind end; the other end is theirs still */
}

static void *log_from_thread(void *arg)
{
    log_numbers(arg, 0, 200);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct log *log = log_new(fds[1], LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_from_thread, log), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(log_dropped(log), 0); /* all fit */
    FILE *in = fdopen(fds[0], "r");
    char line[4096];
    for (int i = 0; i < 800; i++) {
        assert_non_null(fgets(line, sizeof line, in));
        assert_int_equal(strncmp(line, "time=", 5), 0);
        assert_int_equal(strspn(strstr(line, "filler=") + 7, "f"), 1000);
    }
    log_free(log);
    assert_int_equal(fclose(in), 0);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_parse),
        cmocka_unit_test(logfmt_quotes_what_needs_it),
        cmocka_unit_test(text_is_as_logrus_writes_it),
        cmocka_unit_test(logstash_lines),
        cmocka_unit_test(combined_lines),
        cmocka_unit_test(common_fields),
        cmocka_unit_test(changes_while_it_is_used),
        cmocka_unit_test(levels),
        cmocka_unit_test(errors),
        cmocka_unit_test(a_long_value_is_clipped_not_the_line),
        cmocka_unit_test(many_long_fields_still_fit),
        cmocka_unit_test(common_fields_that_never_fit),
        cmocka_unit_test(a_dead_descriptor_does_no_harm),
        cmocka_unit_test(a_stalled_reader),
        cmocka_unit_test(what_is_missing_is_said_in_its_place),
        cmocka_unit_test(a_reader_that_never_comes_does_not_hold_up_the_end),
        cmocka_unit_test(lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
