/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications over the real database and a small HTTP server. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/json.h"
#include "base/util.h"
#include "http_stub.h"
#include "jobs/notify.h"
#include "os/clock.h"
#include "os/fault.h"
#include "remote/client.h"

#include "base/banned.h"

#define REPO SLICE_LIT("team/app")
enum { LONG_MS = 20000 };

struct fixture {
    char root[64];
    char db[128];
    struct meta *meta;
    struct metrics *metrics;
    struct log *log;
    int log_fd;
    struct stub *stub, *other;
    struct notify *notify;
};

static void open_database(struct fixture *f)
{
    struct error err = {0};
    if (meta_sqlite_open(f->db, 4, NULL, &f->meta, &err) < 0)
        fail_msg("%s", err.message);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    (void)snprintf(f->root, sizeof f->root, "/tmp/berth-notify-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    (void)snprintf(f->db, sizeof f->db, "%s/berth.db", f->root);
    assert_int_equal(fault_configure(""), 0);
    f->metrics = metrics_new();
    f->log_fd = open(f->root, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    f->log = log_new(f->log_fd, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    f->stub = stub_new();
    f->other = stub_new();
    open_database(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)fault_configure("");
    notify_free(f->notify);
    meta_close(f->meta);
    stub_free(f->stub);
    stub_free(f->other);
    log_flush(f->log, 10000); /* log_free would not wait for a slow disk, and its file goes now */
    log_free(f->log);
    (void)close(f->log_fd);
    metrics_free(f->metrics);
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", f->root, (char *)NULL);
        _exit(127);
    }
    (void)waitpid(pid, &status, 0);
    free(f);
    return 0;
}

/* --- helpers --- */

static struct notify_endpoint endpoint(struct fixture *f, const char *name)
{
    return (struct notify_endpoint){.name = name,
                                    .url = stub_url(f->stub, "", "/hook"),
                                    .timeout_ms = 5000,
                                    .threshold = 3,
                                    .backoff_ms = 50};
}

static struct notify_config config(struct fixture *f, const struct notify_endpoint *list,
                                   unsigned n)
{
    return (struct notify_config){.endpoints = list,
                                  .n_endpoints = n,
                                  .backlog_max = 1000,
                                  .source_addr = "host:5000",
                                  .source_instance = "1234",
                                  .meta = f->meta,
                                  .log = f->log,
                                  .metrics = f->metrics};
}

static void start_with(struct fixture *f, const struct notify_config *c)
{
    struct error err = {0};
    if (notify_new(c, &f->notify, &err) < 0)
        fail_msg("%s", err.message);
}

static void start(struct fixture *f, const struct notify_endpoint *list, unsigned n)
{
    struct notify_config c = config(f, list, n);
    start_with(f, &c);
}

static void stop(struct fixture *f)
{
    uint64_t start = os_mono_ms();
    notify_free(f->notify);
    f->notify = NULL;
    assert_true(os_mono_ms() - start < 5000);
}

/* A push of the n-th small blob, with its event. */
static void push_typed(struct fixture *f, unsigned n, const char *action, const char *type)
{
    char text[32];
    int len = snprintf(text, sizeof text, "blob %u", n);
    struct slice bytes = {text, (size_t)len};
    struct digest d;
    struct error err = {0};
    char tag[16];
    (void)snprintf(tag, sizeof tag, "t%u", n);
    struct meta_event e = {.action = slice_cstr(action),
                           .repo = REPO,
                           .media_type = slice_cstr(type),
                           .tag = slice_cstr(tag)};
    digest_of(HASH_SHA256, bytes, &d);
    assert_int_equal(meta_blob_commit(f->meta, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err), 0);
    if (f->notify)
        notify_wake(f->notify);
}

static void push(struct fixture *f, unsigned n)
{
    push_typed(f, n, "push", "a/b");
}

/* The tag of the i-th request, as a number; -1 when it is not of the form above. */
static int told(struct stub *s, unsigned i)
{
    const char *at = strstr(stub_body(s, i), "\"tag\": \"t");
    return at ? (int)strtol(at + 9, NULL, 10) : -1;
}

static uint64_t backlog(struct fixture *f, const char *name)
{
    struct meta_cursor *list = NULL;
    struct error err = {0};
    struct arena *a = arena_new(1024);
    uint64_t found = UINT64_MAX;
    unsigned n = 0;
    assert_int_equal(meta_cursors(f->meta, a, &list, &n, &err), 0);
    for (unsigned i = 0; i < n; i++)
        if (slice_is(list[i].name, name))
            found = list[i].backlog;
    arena_free(a);
    return found;
}

static bool backlog_gets(struct fixture *f, const char *name, uint64_t want)
{
    uint64_t end = os_mono_ms() + LONG_MS;
    while (backlog(f, name) != want && os_mono_ms() < end)
        (void)usleep(5000);
    return backlog(f, name) == want;
}

static int64_t event_metric(struct fixture *f, const char *name, const char *type)
{
    char labels[128];
    (void)snprintf(labels, sizeof labels, "endpoint=\"%s\",type=\"%s\"", name, type);
    return metric_value(metrics_counter(f->metrics, "registry_notifications_events_total",
                                        "The number of total events", labels));
}

static int64_t status_metric(struct fixture *f, const char *labels)
{
    return metric_value(metrics_counter(f->metrics, "registry_notifications_status_total",
                                        "The number of status code", labels));
}

static int64_t dropped_metric(struct fixture *f, const char *labels)
{
    return metric_value(
        metrics_counter(f->metrics, "berth_notifications_dropped_total",
                        "Events that an endpoint was not told of because too many waited", labels));
}

/* It is looked at once a second. */
static bool pending_gets(struct fixture *f, const char *labels, int64_t want)
{
    const struct metric *m = metrics_gauge(f->metrics, "registry_notifications_pending_total",
                                           "The gauge of pending events in queue", labels);
    uint64_t end = os_mono_ms() + LONG_MS;
    while (metric_value(m) != want && os_mono_ms() < end)
        (void)usleep(5000);
    return metric_value(m) == want;
}

/* Lines of the log with this text. */
static unsigned logged(struct fixture *f, const char *what)
{
    char text[65536];
    log_flush(f->log, 2000);
    ssize_t n = pread(f->log_fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    unsigned found = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        found++;
    return found;
}

static bool log_gets(struct fixture *f, const char *what)
{
    for (unsigned i = 0; i < LONG_MS / 5 && !logged(f, what); i++)
        (void)usleep(5000);
    return logged(f, what) > 0;
}

/* --- the envelope --- */

static const char *envelope(struct buf *b, const struct meta_event_row *row, bool v3)
{
    buf_clear(b);
    notify_envelope(row, v3, "vm:15871", "815ba8c1-01a9-4844-9e18-dddcf278bb7e", b);
    assert_false(b->failed);
    return b->p;
}

static struct meta_event_row manifest_row(void)
{
    return (struct meta_event_row){
        .id = 5,
        .time_ms = 1795272030650, /* a fraction with a zero at its end */
        .uuid = "fc05da32-a53d-454a-aa0d-919c35fb6442",
        .event = {
            .action = SLICE_LIT("push"),
            .repo = SLICE_LIT("a/b"),
            .digest = SLICE_LIT("sha256:5322"),
            .media_type = SLICE_LIT("application/vnd.oci.image.manifest.v1+json"),
            .size = 463,
            .tag = SLICE_LIT("v1"),
            .url = SLICE_LIT("http://127.0.0.1:15871/v2/a/b/manifests/sha256:5322"),
            .references = SLICE_LIT(
                "[{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":"
                "\"sha256:4413\",\"size\":2},{\"mediaType\":\"application/vnd.oci.image.layer.v1."
                "tar\",\"digest\":\"sha256:1824\",\"size\":8,\"annotations\":{\"k\":\"v, {\\\"}\"},"
                "\"platform\":{\"os\":\"linux\"}}]"),
            .request = SLICE_LIT("{\"id\":\"d446\",\"addr\":\"127.0.0.1:41804\",\"host\":"
                                 "\"127.0.0.1:15871\",\"method\":\"PUT\",\"useragent\":\"x\"}"),
            .actor = SLICE_LIT("me"),
        }};
}

/* What docker-registry 2.8.2 sends, but for the values. */
static const char manifest_v2[] =
    "{\n"
    "   \"events\": [\n"
    "      {\n"
    "         \"id\": \"fc05da32-a53d-454a-aa0d-919c35fb6442\",\n"
    "         \"timestamp\": \"2026-11-21T14:40:30.65Z\",\n"
    "         \"action\": \"push\",\n"
    "         \"target\": {\n"
    "            \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\",\n"
    "            \"size\": 463,\n"
    "            \"digest\": \"sha256:5322\",\n"
    "            \"length\": 463,\n"
    "            \"repository\": \"a/b\",\n"
    "            \"url\": \"http://127.0.0.1:15871/v2/a/b/manifests/sha256:5322\",\n"
    "            \"tag\": \"v1\",\n"
    "            \"references\": [\n"
    "               {\n"
    "                  \"mediaType\": \"application/vnd.oci.image.config.v1+json\",\n"
    "                  \"size\": 2,\n"
    "                  \"digest\": \"sha256:4413\"\n"
    "               },\n"
    "               {\n"
    "                  \"mediaType\": \"application/vnd.oci.image.layer.v1.tar\",\n"
    "                  \"size\": 8,\n"
    "                  \"digest\": \"sha256:1824\",\n"
    "                  \"annotations\": {\n"
    "                     \"k\": \"v, {\\\"}\"\n"
    "                  }\n"
    "               }\n"
    "            ]\n"
    "         },\n"
    "         \"request\": {\n"
    "            \"id\": \"d446\",\n"
    "            \"addr\": \"127.0.0.1:41804\",\n"
    "            \"host\": \"127.0.0.1:15871\",\n"
    "            \"method\": \"PUT\",\n"
    "            \"useragent\": \"x\"\n"
    "         },\n"
    "         \"actor\": {\n"
    "            \"name\": \"me\"\n"
    "         },\n"
    "         \"source\": {\n"
    "            \"addr\": \"vm:15871\",\n"
    "            \"instanceID\": \"815ba8c1-01a9-4844-9e18-dddcf278bb7e\"\n"
    "         }\n"
    "      }\n"
    "   ]\n"
    "}";

static void test_envelope_v2(void **state)
{
    struct buf b;
    struct meta_event_row row = manifest_row();
    (void)state;
    buf_init(&b, 65536);
    assert_string_equal(envelope(&b, &row, false), manifest_v2);
    /* A delete has nothing but the digest. */
    row.event = (struct meta_event){
        .action = SLICE_LIT("delete"), .repo = SLICE_LIT("a/c"), .digest = SLICE_LIT("sha256:18")};
    row.time_ms = 1795272030000;
    envelope(&b, &row, false);
    assert_non_null(strstr(b.p, "\"timestamp\": \"2026-11-21T14:40:30Z\",\n"));
    assert_non_null(strstr(b.p, "\"target\": {\n"
                                "            \"digest\": \"sha256:18\",\n"
                                "            \"repository\": \"a/c\"\n"
                                "         },\n"
                                "         \"request\": {},\n"
                                "         \"actor\": {},\n"));
    row.time_ms = 1795272030007;
    assert_non_null(strstr(envelope(&b, &row, false), "30.007Z\""));
    buf_release(&b);
}

static void test_envelope_v3(void **state)
{
    struct buf b;
    struct meta_event_row row = manifest_row();
    (void)state;
    buf_init(&b, 65536);
    envelope(&b, &row, true);
    assert_non_null(strstr(b.p, "\"target\": {\n"
                                "            \"mediaType\": \"application/vnd.oci.image.manifest."
                                "v1+json\",\n"
                                "            \"digest\": \"sha256:5322\",\n"
                                "            \"size\": 463,\n"
                                "            \"length\": 463,\n"));
    assert_non_null(strstr(b.p, "\"digest\": \"sha256:1824\",\n"
                                "                  \"size\": 8,\n"
                                "                  \"annotations\": {\n"
                                "                     \"k\": \"v, {\\\"}\"\n"
                                "                  },\n"
                                "                  \"platform\": {\n"
                                "                     \"os\": \"linux\"\n"
                                "                  }\n"));
    row.event = (struct meta_event){.action = SLICE_LIT("delete"),
                                    .repo = SLICE_LIT("a/c"),
                                    .tag = SLICE_LIT("v1"),
                                    .references = SLICE_LIT("no json")};
    envelope(&b, &row, true);
    assert_non_null(strstr(b.p, "\"target\": {\n"
                                "            \"mediaType\": \"\",\n"
                                "            \"digest\": \"\",\n"
                                "            \"size\": 0,\n"
                                "            \"repository\": \"a/c\",\n"
                                "            \"tag\": \"v1\"\n"
                                "         },\n"));
    row.event = (struct meta_event){.action = SLICE_LIT("mount"),
                                    .repo = SLICE_LIT("a/c"),
                                    .from_repo = SLICE_LIT("a/b"),
                                    .url = SLICE_LIT("/v2/x")};
    assert_non_null(strstr(envelope(&b, &row, true), "\"repository\": \"a/c\",\n"
                                                     "            \"fromRepository\": \"a/b\",\n"
                                                     "            \"url\": \"/v2/x\"\n"));
    buf_release(&b);
}

/* A platform is kept as the client sent it. One that is nested so deeply that its envelope is too
 * large, or that no endpoint can read it, would hold up every event behind it. */
static void test_envelope_of_hostile_platform(void **state)
{
    struct buf b, refs;
    struct meta_event_row row = manifest_row();
    struct json_doc *doc = NULL;
    (void)state;
    buf_init(&b, 4 * 1024 * 1024);
    buf_init(&refs, META_EVENT_REFERENCES_MAX);
    for (unsigned i = 0; i < 30; i++) {
        buf_puts(&refs, i ? "," : "[");
        buf_puts(&refs, "{\"size\":1,\"platform\":{\"os\":\"x\",\"x\":");
        for (unsigned depth = 0; depth < 1800; depth++)
            buf_putc(&refs, depth < 900 ? '[' : ']');
        buf_puts(&refs, "}}");
    }
    buf_puts(&refs, ",{\"platform\":{\"os\":\"linux\",\"os.features\":[\"a\"]}}]");
    assert_false(refs.failed);
    row.event.references = buf_view(&refs);
    envelope(&b, &row, true);
    assert_in_range(b.n, 1, 16 * 1024);
    assert_int_equal(jdoc_parse(buf_view(&b), ERR_UNKNOWN, &doc, NULL), 0);
    const struct json_value *events = jv_get(jdoc_root(doc), "events");
    const struct json_value *list = jv_get(jv_get(jv_at(events, 0), "target"), "references");
    assert_int_equal(jv_count(list), 31);
    assert_null(jv_get(jv_at(list, 0), "platform"));
    assert_non_null(jv_get(jv_at(list, 0), "size"));
    assert_int_equal(jv_count(jv_get(jv_get(jv_at(list, 30), "platform"), "os.features")), 1);
    jdoc_free(doc);
    buf_release(&refs);
    buf_release(&b);
}

/* --- delivery --- */

static void test_order(void **state)
{
    enum { N = 200 };
    struct fixture *f = *state;
    static const char *const headers[][2] = {{"X-Token", "t"}, {"Content-Type", "text/x"}};
    struct notify_endpoint e = endpoint(f, "x");
    e.headers = headers;
    e.n_headers = 2;
    start(f, &e, 1);
    for (unsigned i = 0; i < N; i++)
        push(f, i);
    assert_true(stub_wait(f->stub, N, LONG_MS));
    assert_true(backlog_gets(f, "x", 0));
    assert_int_equal(stub_count(f->stub), N);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(told(f->stub, i), i);
    const char *head = stub_head(f->stub, 0);
    assert_non_null(strstr(head, "POST /hook HTTP/1.1\r\n"));
    assert_non_null(
        strstr(head, "\r\nContent-Type: application/vnd.docker.distribution.events.v1+json\r\n"));
    assert_non_null(strstr(head, "\r\nContent-Type: text/x\r\n"));
    assert_non_null(strstr(head, "\r\nX-Token: t\r\n"));
    assert_non_null(strstr(stub_body(f->stub, 0), "\"addr\": \"host:5000\""));
    assert_int_equal(event_metric(f, "x", "Events"), N);
    assert_int_equal(event_metric(f, "x", "Successes"), N);
    assert_int_equal(event_metric(f, "x", "Failures"), 0);
    assert_int_equal(event_metric(f, "x", "Errors"), 0);
    assert_int_equal(status_metric(f, "code=\"200 OK\",endpoint=\"x\""), N);
    assert_true(pending_gets(f, "endpoint=\"x\"", 0));
}

/* However fast they go, at most 50 would come again after a crash. */
static void test_saved_often(void **state)
{
    enum { ROWS = 40, TIMES = 10, AGAIN = 50 };
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    struct meta_event_row rows[ROWS] = {0};
    struct error err = {0};
    int64_t position = 0;
    for (unsigned i = 0; i < ROWS; i++)
        rows[i].event = (struct meta_event){.action = SLICE_LIT("push"), .repo = REPO};
    start(f, &e, 1);
    for (unsigned i = 1; i <= TIMES; i++) {
        assert_int_equal(meta_events_add(f->meta, rows, ROWS, &err), 0);
        notify_wake(f->notify);
        assert_true(stub_wait(f->stub, i * ROWS, LONG_MS));
        assert_int_equal(meta_cursor_get(f->meta, SLICE_LIT("x"), &position, &err), 0);
        if (position + AGAIN < i * ROWS)
            fail_msg("told of %u, noted %d", i * ROWS, (int)position);
    }
}

/* Some refusals, some broken connections: the same event again, until it is taken; a redirect is
 * taken for that, as in registry. */
static void test_retry(void **state)
{
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x\"y");
    struct notify_config c = config(f, &e, 1);
    c.envelope_v3 = true;
    e.backoff_ms = 1;
    start_with(f, &c);
    stub_answer(f->stub, 503, 4);
    push(f, 1);
    assert_true(stub_wait(f->stub, 5, LONG_MS));
    assert_true(backlog_gets(f, "x\"y", 0));
    stub_answer(f->stub, STUB_CLOSE, 2);
    push(f, 2);
    assert_true(stub_wait(f->stub, 8, LONG_MS));
    assert_true(backlog_gets(f, "x\"y", 0));
    stub_answer(f->stub, 307, 0);
    push(f, 3);
    assert_true(backlog_gets(f, "x\"y", 0));
    for (unsigned i = 0; i < stub_count(f->stub); i++)
        assert_int_equal(told(f->stub, i), i < 5 ? 1 : i < stub_count(f->stub) - 1 ? 2 : 3);
    assert_non_null(strstr(stub_head(f->stub, 0), "distribution.events.v2+json\r\n"));
    assert_int_equal(event_metric(f, "x\\\"y", "Failures"), 4);
    assert_true(event_metric(f, "x\\\"y", "Errors") >= 1);
    assert_int_equal(event_metric(f, "x\\\"y", "Successes"), 3);
    assert_int_equal(event_metric(f, "x\\\"y", "Events"), 3);
    assert_int_equal(status_metric(f, "code=\"503 Service Unavailable\",endpoint=\"x\\\"y\""), 4);
    assert_int_equal(status_metric(f, "code=\"307 Temporary Redirect\",endpoint=\"x\\\"y\""), 1);
    assert_int_equal(logged(f, "does not take an event"), 1); /* once a minute */
    assert_int_equal(logged(f, "takes events again"), 1);
}

/* As fast as it can below the threshold, then one try per backoff. */
static void test_backoff(void **state)
{
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    e.threshold = 4;
    e.backoff_ms = 400;
    stub_answer(f->stub, 599, 0);
    start(f, &e, 1);
    uint64_t begin = os_mono_ms();
    push(f, 1);
    assert_true(stub_wait(f->stub, 4, LONG_MS));
    assert_true(stub_wait(f->stub, 7, LONG_MS));
    assert_true(os_mono_ms() - begin >= 3 * 400 - 50);
    unsigned tries = stub_count(f->stub);
    assert_true(tries <= 4 + (os_mono_ms() - begin) / 400 + 1);
    assert_true(status_metric(f, "code=\"599 \",endpoint=\"x\"") >= 6);
}

/* Defaults are registry's; the texts of the configuration need not live on. */
static void test_defaults(void **state)
{
    struct fixture *f = *state;
    char name[] = "x", url[128];
    (void)snprintf(url, sizeof url, "%s", stub_url(f->stub, "", "/"));
    struct notify_endpoint e = {.name = name, .url = url};
    struct notify_config c = config(f, &e, 1);
    c.backlog_max = 0;
    c.metrics = NULL;
    c.log = NULL;
    c.source_addr = c.source_instance = NULL;
    start_with(f, &c);
    memset(name, 'z', sizeof name);
    memset(url, 'z', sizeof url);
    stub_answer(f->stub, 500, 11);
    uint64_t begin = os_mono_ms();
    push(f, 1);
    assert_true(stub_wait(f->stub, 12, LONG_MS));
    assert_true(os_mono_ms() - begin >= 1000);
    assert_true(backlog_gets(f, "x", 0));
    assert_non_null(strstr(stub_body(f->stub, 0), "\"source\": {}"));
    stop(f);
}

/* The endpoint is away; the server stops, starts and stops; nothing is lost, nothing changes
 * places, and hardly anything comes twice. */
static void test_restart(void **state)
{
    enum { N = 30 };
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    stub_answer(f->stub, STUB_HANG, 0);
    start(f, &e, 1);
    for (unsigned i = 0; i < N; i++)
        push(f, i);
    assert_true(stub_wait(f->stub, 1, LONG_MS));
    stop(f);
    assert_int_equal(backlog(f, "x"), N);
    meta_close(f->meta);
    open_database(f);
    push(f, N); /* nobody is there to tell, but the cursor is */
    stub_answer(f->stub, 200, 0);
    unsigned before = stub_count(f->stub);
    start(f, &e, 1);
    assert_true(stub_wait(f->stub, before + N + 1, LONG_MS));
    assert_true(backlog_gets(f, "x", 0));
    for (unsigned i = 0; i <= N; i++)
        assert_int_equal(told(f->stub, before + i), i);
    stop(f);
    /* All of it was remembered. */
    before = stub_count(f->stub);
    start(f, &e, 1);
    push(f, 77);
    assert_true(stub_wait(f->stub, before + 1, LONG_MS));
    assert_int_equal(told(f->stub, before), 77);
}

/* One that never takes anything: what waits for it is bounded, another one is not held up, and the
 * end does not wait. */
static void test_endless_failure(void **state)
{
    enum { N = 120, MAX = 50 };
    struct fixture *f = *state;
    struct notify_endpoint list[] = {endpoint(f, "dead"), endpoint(f, "good")};
    struct notify_config c = config(f, list, 2);
    list[0].url = stub_url(f->other, "", "/");
    c.backlog_max = MAX;
    stub_answer(f->other, 500, 0);
    start_with(f, &c);
    for (unsigned i = 0; i < N; i++) {
        push(f, i);
        if (i % 20 == 19) /* the good one has the same bound */
            assert_true(stub_wait(f->stub, i + 1, LONG_MS));
    }
    assert_true(backlog_gets(f, "dead", MAX));
    assert_true(backlog_gets(f, "good", 0));
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(told(f->stub, i), i);
    /* Counted and logged a moment after it is done. */
    for (unsigned i = 0; i < 1000 && (dropped_metric(f, "endpoint=\"dead\"") < N - MAX ||
                                      !logged(f, "too many events wait"));
         i++)
        (void)usleep(5000);
    assert_int_equal(dropped_metric(f, "endpoint=\"dead\""), N - MAX);
    assert_int_equal(dropped_metric(f, "endpoint=\"good\""), 0);
    assert_int_equal(logged(f, "too many events wait"), 1);
    assert_true(pending_gets(f, "endpoint=\"dead\"", MAX));
    /* It comes back: the newest are there, in order. */
    stub_answer(f->other, 200, 0);
    assert_true(backlog_gets(f, "dead", 0));
    unsigned n = stub_count(f->other);
    for (unsigned i = 0; i < MAX; i++)
        assert_int_equal(told(f->other, n - MAX + i), N - MAX + i);
    assert_int_equal(logged(f, "takes events again"), 1);
    stub_answer(f->other, STUB_HANG, 0);
    push(f, 1);
    assert_true(stub_wait(f->other, n + 1, LONG_MS));
    stop(f);
}

static void test_filters(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {"a/b", "c/d"};
    static const char *const actions[] = {"pull", "mount"};
    struct notify_endpoint list[] = {endpoint(f, "x"), endpoint(f, "y")};
    list[0].ignored_media_types = types;
    list[0].n_ignored_media_types = 2;
    /* Actions alone too, which 2.8 does not. */
    list[1].url = stub_url(f->other, "", "/");
    list[1].ignored_actions = actions;
    list[1].n_ignored_actions = 2;
    start(f, list, 2);
    assert_true(notify_wants(f->notify, "pull"));
    push_typed(f, 1, "push", "a/b");
    push_typed(f, 2, "push", "a/c");
    push_typed(f, 3, "mount", "c/d");
    push_typed(f, 4, "delete", "");
    push_typed(f, 5, "mount", "x/y");
    assert_true(backlog_gets(f, "x", 0));
    assert_true(backlog_gets(f, "y", 0));
    assert_int_equal(stub_count(f->stub), 3);
    assert_int_equal(told(f->stub, 0), 2);
    assert_int_equal(told(f->stub, 1), 4);
    assert_int_equal(told(f->stub, 2), 5);
    assert_int_equal(stub_count(f->other), 3);
    assert_int_equal(told(f->other, 0), 1);
    assert_int_equal(told(f->other, 1), 2);
    assert_int_equal(told(f->other, 2), 4);
    assert_int_equal(event_metric(f, "x", "Events"), 3);
}

/* --- pulls --- */

static void pull(struct fixture *f, unsigned n)
{
    char tag[16];
    (void)snprintf(tag, sizeof tag, "t%u", n);
    struct meta_event e = {.action = SLICE_LIT("pull"),
                           .repo = REPO,
                           .digest = SLICE_LIT("sha256:x"),
                           .media_type = SLICE_LIT("a/b"),
                           .size = 9,
                           .tag = slice_cstr(tag),
                           .url = SLICE_LIT("/v2/"),
                           .request = SLICE_LIT("{\"id\":\"1\"}"),
                           .references = SLICE_LIT("[]"),
                           .actor = SLICE_LIT("me")};
    notify_pull(f->notify, &e);
}

static void test_pulls(void **state)
{
    enum { N = 1200 };
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    struct notify_config c = config(f, &e, 1);
    c.backlog_max = 5000;
    start_with(f, &c);
    for (unsigned i = 0; i < N; i++)
        pull(f, i);
    assert_true(stub_wait(f->stub, N, LONG_MS));
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(told(f->stub, i), i);
    assert_non_null(strstr(stub_body(f->stub, 0), "\"length\": 9"));
    assert_non_null(strstr(stub_body(f->stub, 0), "\"name\": \"me\""));
    /* What is in memory at the end is written, and told by the next process. */
    stub_answer(f->stub, STUB_HANG, 0);
    pull(f, N);
    stop(f);
    assert_true(backlog(f, "x") >= 1);
}

static void test_pulls_unwanted(void **state)
{
    struct fixture *f = *state;
    static const char *const pull_only[] = {"pull"};
    struct notify_endpoint e = endpoint(f, "x");
    e.ignored_actions = pull_only;
    e.n_ignored_actions = 1;
    start(f, &e, 1);
    assert_false(notify_wants(f->notify, "pull"));
    assert_true(notify_wants(f->notify, "push"));
    pull(f, 1);
    push(f, 2);
    assert_true(stub_wait(f->stub, 1, LONG_MS));
    stop(f);
    struct meta_events page = {0};
    struct error err = {0};
    struct arena *a = arena_new(4096);
    assert_int_equal(meta_events_after(f->meta, 0, 10, a, &page, &err), 0);
    assert_int_equal(page.n, 1);
    arena_free(a);
}

/* The database cannot be written: pulls wait in memory, up to a bound, and are told later. */
static void test_pulls_wait(void **state)
{
    enum { N = 11000, MAX = 10000 };
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    struct notify_config c = config(f, &e, 1);
    c.backlog_max = 100000;
    stub_answer(f->stub, STUB_HANG, 0);
    start_with(f, &c);
    assert_int_equal(fault_configure("meta.commit=ENOSPC+"), 0);
    for (unsigned i = 0; i < N; i++)
        pull(f, i);
    assert_true(log_gets(f, "pulls cannot be written"));
    assert_int_equal(logged(f, "pulls cannot be written"), 1);
    assert_int_equal(fault_configure(""), 0);
    assert_true(pending_gets(f, "endpoint=\"x\"", MAX));
    assert_int_equal(backlog(f, "x"), MAX);
    /* Those that came while it wrote are counted when it looks again. */
    for (unsigned i = 0; i < LONG_MS / 5 && dropped_metric(f, "endpoint=\"x\"") < N - MAX; i++)
        (void)usleep(5000);
    assert_int_equal(dropped_metric(f, "endpoint=\"x\""), N - MAX);
    assert_int_equal(logged(f, "more pulls than can be written"), 1);
}

/* --- what else moves cursors --- */

static void test_replay_and_drop(void **state)
{
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    struct error err = {0};
    uint64_t n = 0;
    start(f, &e, 1);
    for (unsigned i = 1; i <= 10; i++)
        push(f, i);
    assert_true(stub_wait(f->stub, 10, LONG_MS));
    assert_true(backlog_gets(f, "x", 0));
    assert_int_equal(meta_events_replay(f->meta, SLICE_LIT("x"), 8, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_true(stub_wait(f->stub, 13, LONG_MS));
    assert_true(backlog_gets(f, "x", 0));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(told(f->stub, 10 + i), 8 + i);
    /* Nothing but a drop gets past an event that is never taken. */
    stub_answer(f->stub, 400, 0);
    push(f, 11);
    push(f, 12);
    assert_true(stub_wait(f->stub, 16, LONG_MS));
    assert_int_equal(meta_events_drop(f->meta, SLICE_LIT("x"), 11, &n, &err), 0);
    assert_int_equal(n, 1);
    for (unsigned i = 0; i < 2000 && told(f->stub, stub_count(f->stub) - 1) != 12; i++)
        (void)usleep(5000);
    assert_int_equal(told(f->stub, stub_count(f->stub) - 1), 12);
    assert_int_equal(meta_events_drop(f->meta, SLICE_LIT("x"), INT64_MAX, &n, &err), 0);
    stub_answer(f->stub, 200, 0);
    unsigned before = stub_count(f->stub);
    push(f, 13);
    assert_true(backlog_gets(f, "x", 0));
    assert_true(stub_count(f->stub) - before <= 2); /* one may have been on its way */
    assert_int_equal(told(f->stub, stub_count(f->stub) - 1), 13);
}

/* Moved while something is done and not written yet: the other one is right. */
static void test_moved_before_save(void **state)
{
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    struct error err = {0};
    uint64_t n = 0;
    start(f, &e, 1);
    for (unsigned i = 1; i <= 40; i++) {
        push(f, i);
        if (i % 4 == 0)
            assert_int_equal(meta_events_drop(f->meta, SLICE_LIT("x"), INT64_MAX, &n, &err), 0);
    }
    assert_true(backlog_gets(f, "x", 0));
    int last = 0;
    for (unsigned i = 0; i < stub_count(f->stub); i++) {
        assert_true(told(f->stub, i) >= last);
        last = told(f->stub, i);
    }
}

/* An endpoint that is gone takes its cursor with it, a new one begins now, names need not be
 * unique. */
static void test_cursors(void **state)
{
    struct fixture *f = *state;
    struct notify_endpoint list[] = {endpoint(f, "a"), endpoint(f, "b"),  endpoint(f, "b"),
                                     endpoint(f, ""),  endpoint(f, NULL), endpoint(f, "b")};
    struct error err = {0};
    struct meta_events page = {0};
    for (unsigned i = 0; i < 6; i++)
        list[i].url = "http://127.0.0.1:1/";
    start(f, list, 6);
    push(f, 1);
    stop(f);
    assert_int_equal(backlog(f, "a"), 1);
    assert_int_equal(backlog(f, "b"), 1);
    assert_int_equal(backlog(f, "b#2"), 1);
    assert_int_equal(backlog(f, "b#3"), 1);
    assert_int_equal(backlog(f, "unnamed"), 1);
    assert_int_equal(backlog(f, "unnamed#2"), 1);
    list[0].name = "new";
    start(f, list, 2);
    stop(f);
    assert_int_equal(backlog(f, "a"), UINT64_MAX);
    assert_int_equal(backlog(f, "unnamed"), UINT64_MAX);
    assert_int_equal(logged(f, "an endpoint is gone"), 5);
    assert_int_equal(backlog(f, "new"), 0);
    assert_int_equal(backlog(f, "b"), 1);
    /* No endpoint at all: no cursor, and no events. */
    start(f, NULL, 0);
    assert_false(notify_wants(f->notify, "push"));
    pull(f, 1);
    notify_wake(f->notify);
    push(f, 2);
    stop(f);
    /* Said of b, for which something waited, and not of the new one. */
    assert_int_equal(logged(f, "an endpoint is gone"), 6);
    struct arena *a = arena_new(4096);
    assert_int_equal(meta_events_after(f->meta, 0, 10, a, &page, &err), 0);
    assert_int_equal(page.n, 0);
    arena_free(a);
    notify_free(NULL);
}

/* The database fails: an error at the start; later a log line, and then it goes on. */
static void test_database_fails(void **state)
{
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    struct notify_config c = config(f, &e, 1);
    struct notify *n = NULL;
    struct error err = {0};
    assert_int_equal(fault_configure("meta.commit=EIO"), 0);
    assert_int_equal(notify_new(&c, &n, &err), -1);
    assert_null(n);
    assert_true(err.message[0] != '\0');
    start_with(f, &c);
    push(f, 1);
    assert_true(backlog_gets(f, "x", 0));
    /* The cursor cannot be written for a while; nothing is told twice because of that. */
    stub_answer(f->stub, STUB_HANG, 0);
    unsigned before = stub_count(f->stub);
    push(f, 2);
    assert_true(stub_wait(f->stub, before + 1, LONG_MS));
    assert_int_equal(fault_configure("meta.commit=EIO+"), 0);
    stub_answer(f->stub, 200, 0);
    assert_true(log_gets(f, "the database does not answer"));
    assert_int_equal(fault_configure(""), 0);
    assert_true(backlog_gets(f, "x", 0));
    before = stub_count(f->stub);
    push(f, 3);
    assert_true(stub_wait(f->stub, before + 1, LONG_MS));
    assert_int_equal(told(f->stub, before), 3);
}

static void execute(struct fixture *f, const char *sql)
{
    sqlite3 *h = NULL;
    assert_int_equal(sqlite3_open(f->db, &h), SQLITE_OK);
    (void)sqlite3_busy_timeout(h, 5000);
    if (sqlite3_exec(h, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(h));
    (void)sqlite3_close(h);
}

/* It cannot be read for a while: neither what there is to tell, nor where the cursor stands. */
static void test_database_unreadable(void **state)
{
    static const char *const tables[] = {"events", "cursors"};
    struct fixture *f = *state;
    struct notify_endpoint e = endpoint(f, "x");
    start(f, &e, 1);
    for (unsigned i = 0; i < 2; i++) {
        char sql[128];
        unsigned before = stub_count(f->stub);
        stub_answer(f->stub, 500, 0); /* a cursor is looked at again between tries */
        push(f, 2 * i);
        push(f, 2 * i + 1);
        assert_true(stub_wait(f->stub, before + 1, LONG_MS));
        (void)snprintf(sql, sizeof sql, "ALTER TABLE %s RENAME TO away", tables[i]);
        execute(f, sql);
        before = stub_count(f->stub);
        assert_true(stub_wait(f->stub, before + 3, LONG_MS));
        notify_wake(f->notify);
        stub_answer(f->stub, 200, 0);
        assert_true(log_gets(f, "the database does not answer"));
        (void)usleep(300 * 1000);
        (void)snprintf(sql, sizeof sql, "ALTER TABLE away RENAME TO %s", tables[i]);
        execute(f, sql);
        assert_true(backlog_gets(f, "x", 0));
        assert_int_equal(told(f->stub, stub_count(f->stub) - 1), 2 * i + 1);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_envelope_v2),
        TEST(test_envelope_v3),
        TEST(test_envelope_of_hostile_platform),
        TEST(test_order),
        TEST(test_saved_often),
        TEST(test_retry),
        TEST(test_backoff),
        TEST(test_defaults),
        TEST(test_restart),
        TEST(test_endless_failure),
        TEST(test_filters),
        TEST(test_pulls),
        TEST(test_pulls_unwanted),
        TEST(test_pulls_wait),
        TEST(test_replay_and_drop),
        TEST(test_moved_before_save),
        TEST(test_cursors),
        TEST(test_database_fails),
        TEST(test_database_unreadable),
    };
    client_global_init();
    return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
