/* SPDX-License-Identifier: Apache-2.0 */
/* `berth events`: what waits for the endpoints of `notifications`, beside a server that runs or
 * not. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/util.h"
#include "cli/argument.h"
#include "cli/command.h"
#include "main/config.h"
#include "main/directory.h"
#include "meta/meta.h"
#include "os/clock.h"

#include "base/banned.h"

extern char **environ;

enum { PAGE = 500, OUT_MAX = 64 * 1024 * 1024 };

struct request {
    const char *verb, *endpoint, *data, *config;
    const char *from, *id; /* numbers */
    bool all, json;
};

/* --- the command line --- */

static int usage(const char *text)
{
    fprintf(stderr, "berth: %s; `berth help events` says more\n", text);
    return 2;
}

static int parse(int argc, char **argv, struct request *q)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {
        {"--endpoint", &q->endpoint}, {"--data", &q->data}, {"--from", &q->from}, {"--id", &q->id}};
    for (int i = 2; i < argc; i++) {
        const char *value = NULL;
        for (size_t k = 0; k < ARRAY_LEN(options) && !value; k++)
            if ((value = argument_value(options[k].name, argc, argv, &i)))
                *options[k].value = value;
        if (value)
            continue;
        if (strcmp(argv[i], "--json") == 0)
            q->json = true;
        else if (strcmp(argv[i], "--all") == 0)
            q->all = true;
        else if (argv[i][0] == '-' || q->config)
            return -1;
        else
            q->config = argv[i];
    }
    return 0;
}

static int number(const char *text, int64_t *out)
{
    uint64_t v;
    if (parse_u63(slice_cstr(text), &v) || v == 0)
        return -1;
    *out = (int64_t)v;
    return 0;
}

/* --- the database --- */

/* The root directory that a server with this configuration and environment has. */
static int configured(const char *file, char **out, struct error *err)
{
    struct config *c = NULL;
    struct config_source source = {.file = file ? file : getenv("REGISTRY_CONFIGURATION_PATH"),
                                   .environment = environ};
    if (source.file && !*source.file)
        source.file = NULL;
    int r = config_load(&source, &c, err);
    if (r == 0 && config_settings(c)->in_memory)
        r = error_detail(err, ERR_BAD_REQUEST,
                         "this configuration keeps everything in memory: there are no events that "
                         "another process can see");
    if (r == 0)
        r = directory_choose(config_settings(c)->root_directory, out, err);
    config_free(c);
    return r;
}

static int open_database(const struct request *q, struct meta **out, struct error *err)
{
    CLEANUP_FREE char *dir = q->data ? xstrdup(q->data) : NULL;
    CLEANUP_FREE char *path = NULL;
    if (!dir && configured(q->config, &dir, err) < 0)
        return -1;
    CHECK(asprintf(&path, "%s/berth.db", dir) >= 0);
    return meta_sqlite_tool(path, out, err);
}

/* --- list --- */

static int put(struct buf *b)
{
    bool good = !b->failed && fwrite(b->p, 1, b->n, stdout) == b->n;
    buf_clear(b);
    return good ? 0 : -1;
}

static void time_text(int64_t ms, char out[21])
{
    if (ms)
        os_rfc3339(ms, out);
    else
        (void)snprintf(out, 21, "-");
}

static void text_cursors(struct buf *b, const struct meta_cursor *list, unsigned n)
{
    buf_printf(b, "%-24s %10s  %-20s  %s\n", "ENDPOINT", "WAITING", "SINCE", "LAST DONE");
    for (unsigned i = 0; i < n; i++) {
        char since[21];
        time_text(list[i].oldest_ms, since);
        buf_printf(b, "%-24.*s %10" PRIu64 "  %-20s  %" PRId64 "\n", SLICE_ARG(list[i].name),
                   list[i].backlog, since, list[i].position);
    }
    buf_printf(b, "\n%-8s  %-20s  %-6s  %s\n", "EVENT", "TIME", "ACTION", "TARGET");
}

static void text_event(struct buf *b, const struct meta_event_row *row)
{
    const struct meta_event *e = &row->event;
    char when[21];
    time_text(row->time_ms, when);
    buf_printf(b, "%-8" PRId64 "  %-20s  %-6.*s  %.*s", row->id, when, SLICE_ARG(e->action),
               SLICE_ARG(e->repo));
    if (e->tag.n)
        buf_printf(b, ":%.*s", SLICE_ARG(e->tag));
    if (e->digest.n)
        buf_printf(b, "@%.*s", SLICE_ARG(e->digest));
    buf_putc(b, '\n');
}

static void member(struct json_writer *w, const char *key, struct slice value)
{
    if (value.n == 0)
        return;
    jw_key(w, key);
    jw_string(w, value);
}

static void json_cursors(struct json_writer *w, const struct meta_cursor *list, unsigned n)
{
    char since[21];
    jw_object(w);
    jw_key(w, "endpoints");
    jw_array(w);
    for (unsigned i = 0; i < n; i++) {
        jw_object(w);
        member(w, "name", list[i].name);
        jw_key(w, "waiting");
        jw_int(w, (int64_t)list[i].backlog);
        jw_key(w, "last_done");
        jw_int(w, list[i].position);
        if (list[i].oldest_ms) {
            time_text(list[i].oldest_ms, since);
            member(w, "since", slice_cstr(since));
        }
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_key(w, "events");
    jw_array(w);
}

static void json_event(struct json_writer *w, const struct meta_event_row *row)
{
    const struct meta_event *e = &row->event;
    char when[21];
    time_text(row->time_ms, when);
    jw_object(w);
    jw_key(w, "event");
    jw_int(w, row->id);
    member(w, "time", slice_cstr(when));
    member(w, "id", slice_cstr(row->uuid));
    member(w, "action", e->action);
    member(w, "repository", e->repo);
    member(w, "fromRepository", e->from_repo);
    member(w, "tag", e->tag);
    member(w, "digest", e->digest);
    member(w, "mediaType", e->media_type);
    jw_key(w, "size");
    jw_int(w, (int64_t)e->size);
    member(w, "url", e->url);
    member(w, "actor", e->actor);
    jw_object_end(w);
}

/* In pages, so that a long backlog needs no more memory than a short one. */
static int list_events(struct meta *m, bool json, int64_t position, struct buf *b,
                       struct json_writer *w, struct error *err)
{
    for (bool more = true; more;) {
        struct arena *a = arena_new(16 * 1024);
        struct meta_events page = {0};
        int r = meta_events_after(m, position, PAGE, a, &page, err);
        for (unsigned i = 0; r == 0 && i < page.n; i++) {
            if (json)
                json_event(w, &page.list[i]);
            else
                text_event(b, &page.list[i]);
            position = page.list[i].id;
        }
        arena_free(a);
        more = page.more;
        if (r < 0)
            return -1;
        if (put(b) < 0)
            return error_set(err, ERR_UNKNOWN, "standard output cannot be written");
    }
    return 0;
}

static int list(struct meta *m, const struct request *q, struct arena *a, struct error *err)
{
    CLEANUP_BUF struct buf b = {0};
    struct json_writer w;
    struct meta_cursor *cursors = NULL;
    unsigned n = 0;
    int64_t position = 0;
    if (meta_cursors(m, a, &cursors, &n, err) < 0)
        return -1;
    if (q->endpoint) {
        unsigned at = 0;
        while (at < n && !slice_is(cursors[at].name, q->endpoint))
            at++;
        if (at == n)
            return error_detail(err, ERR_NOT_FOUND, "there is no endpoint %.100s", q->endpoint);
        cursors += at;
        n = 1;
        position = cursors->position;
    }
    buf_init(&b, OUT_MAX);
    jw_init(&w, &b);
    if (q->json)
        json_cursors(&w, cursors, n);
    else
        text_cursors(&b, cursors, n);
    if (list_events(m, q->json, position, &b, &w, err) < 0)
        return -1;
    if (q->json) {
        jw_array_end(&w);
        jw_object_end(&w);
        buf_putc(&b, '\n');
    }
    return put(&b) < 0 || fflush(stdout) != 0
               ? error_set(err, ERR_UNKNOWN, "standard output cannot be written")
               : 0;
}

/* --- replay, drop --- */

static int replay(struct meta *m, const struct request *q, struct error *err)
{
    int64_t id = 0;
    uint64_t again = 0;
    if (number(q->from, &id) < 0)
        return error_detail(err, ERR_BAD_REQUEST, "--from %.40s is not the number of an event",
                            q->from);
    if (meta_events_replay(m, slice_cstr(q->endpoint), id, &again, err) < 0)
        return -1;
    printf("%s: %" PRIu64 " events are delivered again, from event %" PRId64 " on\n", q->endpoint,
           again, id);
    return 0;
}

static int drop(struct meta *m, const struct request *q, struct error *err)
{
    int64_t id = INT64_MAX;
    uint64_t dropped = 0;
    if (q->id && number(q->id, &id) < 0)
        return error_detail(err, ERR_BAD_REQUEST, "--id %.40s is not the number of an event",
                            q->id);
    if (meta_events_drop(m, slice_cstr(q->endpoint), id, &dropped, err) < 0)
        return -1;
    printf("%s: %" PRIu64 " events dropped\n", q->endpoint, dropped);
    return 0;
}

static int act(const struct request *q, struct error *err)
{
    struct meta *m = NULL;
    if (open_database(q, &m, err) < 0)
        return -1;
    struct arena *a = arena_new(4096);
    int r = strcmp(q->verb, "list") == 0     ? list(m, q, a, err)
            : strcmp(q->verb, "replay") == 0 ? replay(m, q, err)
                                             : drop(m, q, err);
    arena_free(a);
    meta_close(m);
    return r;
}

static int run(int argc, char **argv)
{
    struct request q = {.verb = argc > 1 ? argv[1] : ""};
    struct error err = {0};
    bool is_list = strcmp(q.verb, "list") == 0, is_replay = strcmp(q.verb, "replay") == 0,
         is_drop = strcmp(q.verb, "drop") == 0;
    if (!is_list && !is_replay && !is_drop)
        return usage("events needs one of list, replay, drop");
    if (parse(argc, argv, &q) < 0)
        return usage("events does not understand these arguments");
    if (!is_list && !q.endpoint)
        return usage("name the endpoint with --endpoint NAME");
    if (is_replay != (q.from != NULL))
        return usage(is_replay ? "name the first event with --from ID" : "--from is for replay");
    if (is_drop ? q.all == (q.id != NULL) : q.all || q.id)
        return usage(is_drop ? "either --id ID or --all" : "--id and --all are for drop");
    if (act(&q, &err) == 0)
        return 0;
    return command_failed(&err);
}

const struct command command_events = {
    "events",
    "list [--endpoint NAME] [--json] [--data DIR] [CONFIG] | "
    "replay --endpoint NAME --from ID [--data DIR] [CONFIG] | "
    "drop --endpoint NAME [--id ID] [--all] [--data DIR] [CONFIG]",
    "look at, repeat or drop the events for webhooks",
    "list shows how many events wait for each endpoint of `notifications`, then the events (with\n"
    "--endpoint those that wait for it). replay delivers again what was delivered, from an event\n"
    "on; the last 1000 are kept. drop gives up what waits, up to an event or all of it. A server\n"
    "that runs notices within a second or two; it need not run.\n"
    "\n"
    "  --endpoint NAME  the endpoint, by the name in the configuration\n"
    "  --from ID        replay: the first event to deliver again\n"
    "  --id ID          drop: the last event to give up\n"
    "  --all            drop: all that waits\n"
    "  --json           list: one JSON document\n"
    "  --data DIR       the data directory; otherwise that of CONFIG, or of the environment",
    run};
