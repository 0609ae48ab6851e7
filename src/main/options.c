/* SPDX-License-Identifier: Apache-2.0 */
#include "main/options.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/util.h"

#include "base/banned.h"

#define FIELD(f) offsetof(struct settings, f)

enum { TIMEOUT_MIN_MS = 100 };

static const struct option table[] = {
    {"http.addr", OPTION_STRING, "127.0.0.1:5000", NULL, false,
     "Where the registry listens: host:port, [v6]:port, :port for all addresses, or unix:/path. "
     "Port 0 picks a free one.",
     FIELD(http_addr)},
    {"http.debug.addr", OPTION_STRING, "127.0.0.1:5001", NULL, false,
     "Where /metrics, /livez, /readyz and /startupz are served; keep it off public networks. Empty "
     "for none.",
     FIELD(debug_addr)},
    {"http.draintimeout", OPTION_DURATION, "0", NULL, false,
     "How long SIGTERM waits for running requests. 0 waits until the last one is finished; a "
     "second signal ends at once.",
     FIELD(drain_timeout_ms)},
    {"http.limits.connections", OPTION_COUNT, "0", "connections", false,
     "Connections at a time. 0 takes what the limit of open files allows.", FIELD(connections_max)},
    {"http.limits.connectionsperip", OPTION_COUNT, "0", "connections", false,
     "Connections of one address at a time. 0 for no limit.", FIELD(connections_per_ip)},
    {"http.timeouts.head", OPTION_DURATION, "10s", NULL, false,
     "The whole head of a request, from its first byte. At least 100ms.", FIELD(head_timeout_ms),
     TIMEOUT_MIN_MS},
    {"http.timeouts.idle", OPTION_DURATION, "2m", NULL, false,
     "A connection without a request. At least 100ms.", FIELD(idle_timeout_ms), TIMEOUT_MIN_MS},
    {"http.timeouts.stall", OPTION_DURATION, "1m", NULL, false,
     "A body that makes no progress: nothing that was sent is taken, or less than 64 bytes a "
     "second "
     "are received over this time. There is no limit on how long a transfer may take. At least "
     "100ms.",
     FIELD(stall_timeout_ms), TIMEOUT_MIN_MS},
    {"http.loops", OPTION_COUNT, "0", "threads", false, "Event loops. 0 for one per processor.",
     FIELD(loops)},
    {"storage.filesystem.rootdirectory", OPTION_STRING, "", NULL, false,
     "Where everything is kept. Empty: /var/lib/berth when it may be written, else berth in the "
     "XDG data directory.",
     FIELD(root_directory)},
    {"storage.delete.enabled", OPTION_BOOL, "true", NULL, false,
     "Whether manifests, tags and blobs can be deleted through the API.", FIELD(delete_enabled)},
    {"storage.maintenance.readonly.enabled", OPTION_BOOL, "false", NULL, false,
     "Refuse pushes and deletes.", FIELD(read_only)},
    {"storage.maintenance.uploadpurging.enabled", OPTION_BOOL, "true", NULL, false,
     "Remove uploads that nobody went on with.", FIELD(purge_enabled)},
    {"storage.maintenance.uploadpurging.age", OPTION_DURATION, "168h", NULL, false,
     "How long an upload may rest before it is removed.", FIELD(purge_age_ms)},
    {"storage.maintenance.uploadpurging.interval", OPTION_DURATION, "1h", NULL, false,
     "How often to look for such uploads.", FIELD(purge_interval_ms)},
    {"storage.workers.db", OPTION_COUNT, "16", "threads", false, "Threads for metadata.",
     FIELD(db_workers)},
    {"storage.workers.io", OPTION_COUNT, "0", "threads", false,
     "Threads for writing and hashing. 0 for two per processor.", FIELD(io_workers)},
    {"storage.cache.manifests", OPTION_SIZE, "16MiB", "bytes", false,
     "Memory of each loop for manifests that were read lately. 0 for no cache.",
     FIELD(cache_bytes)},
    {"catalog.maxentries", OPTION_COUNT, "1000", "repositories", false,
     "Repositories in one page of the catalog: 1 to 20000, 0 for 1000.", FIELD(catalog_max)},
    {"tags.maxtags", OPTION_COUNT, "10000", "tags", false,
     "Tags in one page of a list: 1 to 20000, 0 for 10000.", FIELD(tags_max)},
    {"log.level", OPTION_CHOICE, "info", "error|warn|info|debug", false,
     "The least important messages that are logged; access lines have a switch of their own.",
     FIELD(log_level)},
    {"log.formatter", OPTION_CHOICE, "auto", "auto|text|json", false,
     "auto: logfmt on a terminal, JSON otherwise.", FIELD(log_format)},
    {"log.accesslog.disabled", OPTION_BOOL, "false", NULL, false, "No line for each request.",
     FIELD(accesslog_disabled)},
};
_Static_assert(ARRAY_LEN(table) <= 64, "settings.origin has a place for each option");

static const char *const type_names[] = {
    [OPTION_STRING] = "string", [OPTION_BOOL] = "true or false", [OPTION_COUNT] = "whole number",
    [OPTION_SIZE] = "size",     [OPTION_DURATION] = "duration",  [OPTION_CHOICE] = "one of",
};

const struct option *options_table(size_t *n)
{
    *n = ARRAY_LEN(table);
    return table;
}

const struct option *option_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (slice_is(name, table[i].name))
            return &table[i];
    return NULL;
}

/* "250ms", "1h30m", "0". Fractions are not taken. */
static int parse_duration(struct slice s, uint64_t *out)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t total = 0;
    if (slice_is(s, "0")) {
        *out = 0;
        return 0;
    }
    while (s.n) {
        size_t digits = 0;
        while (digits < s.n && isdigit((unsigned char)s.p[digits]))
            digits++;
        uint64_t v;
        if (parse_u63(slice_first(s, digits), &v))
            return -1;
        s = slice_from(s, digits);
        size_t letters = 0;
        while (letters < s.n && isalpha((unsigned char)s.p[letters]))
            letters++;
        uint64_t ms = 0;
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (slice_is(slice_first(s, letters), units[i].unit))
                ms = units[i].ms;
        if (ms == 0 || __builtin_mul_overflow(v, ms, &v) || u64_add(total, v, &total) ||
            total > INT64_MAX / 2)
            return -1;
        s = slice_from(s, letters);
    }
    *out = total;
    return 0;
}

static int parse_size(struct slice s, uint64_t *out)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    unsigned shift = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_ends(s, slice_cstr(units[i].unit))) {
            shift = units[i].shift;
            s = slice_first(s, s.n - 3);
            break;
        }
    }
    uint64_t v;
    if (parse_u63(s, &v) || v > (uint64_t)INT64_MAX >> shift)
        return -1;
    *out = v << shift;
    return 0;
}

static bool is_choice(const char *choices, struct slice value)
{
    struct slice rest = slice_cstr(choices);
    while (rest.p)
        if (slice_eq(slice_cut(&rest, '|'), value) && value.n)
            return true;
    return false;
}

enum { TOO_SMALL = -2 };

static int parse_value(const struct option *o, struct slice v, void *at)
{
    uint64_t number = 0;
    switch (o->type) {
    case OPTION_CHOICE:
        if (!is_choice(o->unit, v))
            return -1;
        break;
    case OPTION_STRING:
        if (memchr(v.p ? v.p : "", 0, v.n))
            return -1;
        break;
    case OPTION_BOOL:
        if (!slice_is(v, "true") && !slice_is(v, "false"))
            return -1;
        *(bool *)at = slice_is(v, "true");
        return 0;
    case OPTION_COUNT:
        if (parse_u63(v, &number) || number > INT32_MAX)
            return -1;
        *(uint64_t *)at = number;
        return 0;
    case OPTION_SIZE:
        return parse_size(v, at);
    case OPTION_DURATION:
        if (parse_duration(v, &number))
            return -1;
        if (number < o->min)
            return TOO_SMALL;
        *(uint64_t *)at = number;
        return 0;
    }
    free(*(char **)at);
    *(char **)at = xstrndup(v.p, v.n);
    return 0;
}

int settings_set(struct settings *s, const struct option *o, struct slice value,
                 enum option_origin origin, struct error *err)
{
    int failed = parse_value(o, value, (char *)s + o->offset);
    if (failed == TOO_SMALL)
        return error_detail(err, ERR_BAD_REQUEST,
                            "%s: \"%.*s\" is too short, it takes %jums or more", o->name,
                            SLICE_ARG(slice_first(value, 80)), (uintmax_t)o->min);
    if (failed)
        return error_detail(err, ERR_BAD_REQUEST, "%s: \"%.*s\" is not a %s%s%s%s", o->name,
                            SLICE_ARG(slice_first(value, 80)), type_names[o->type],
                            o->type == OPTION_CHOICE ? " " : "",
                            o->type == OPTION_CHOICE ? o->unit : "",
                            o->type == OPTION_DURATION ? " such as 10s, 1h30m or 250ms" : "");
    s->origin[o - table] = origin;
    return 0;
}

void settings_init(struct settings *s)
{
    *s = (struct settings){0};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct error err = {0};
        int failed = settings_set(s, &table[i], slice_cstr(table[i].def), ORIGIN_DEFAULT, &err);
        CHECK(!failed);
    }
}

void settings_release(struct settings *s)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].type == OPTION_STRING || table[i].type == OPTION_CHOICE)
            free(*(char **)((char *)s + table[i].offset));
    *s = (struct settings){0};
}

int settings_refuse(struct slice name, struct error *err)
{
    static const char *const drivers[] = {"s3",  "s3aws", "gcs",     "azure",
                                          "oss", "swift", "inmemory"};
    static const struct {
        const char *name, *why;
    } sections[] = {
        {"auth",
         "this version has no logins: take the section out, and keep the address on loopback"},
        {"http.tls", "this version has no TLS: take the section out, and put a proxy in front"},
        {"proxy", "this version is no pull-through cache: take the section out"},
    };
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        struct slice section = slice_cstr(sections[i].name);
        if (slice_starts(name, section) && (name.n == section.n || name.p[section.n] == '.'))
            return error_detail(err, ERR_BAD_REQUEST, "%.*s: %s", SLICE_ARG(slice_first(name, 80)),
                                sections[i].why);
    }
    if (!slice_starts(name, SLICE_LIT("storage.")))
        return 0;
    struct slice rest = slice_from(name, sizeof "storage." - 1);
    struct slice driver = slice_cut(&rest, '.');
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (slice_is(driver, drivers[i]))
            return error_detail(err, ERR_BAD_REQUEST,
                                "storage.%s: this version keeps its data in the filesystem only",
                                drivers[i]);
    return 0;
}

/* REGISTRY_AUTH_HTPASSWD_PATH as auth.htpasswd.path; REGISTRY_STORAGE=s3 as storage.s3. */
static int refuse_variable(struct slice key, struct slice value, struct error *err)
{
    CLEANUP_BUF struct buf name;
    struct slice prefix = SLICE_LIT("REGISTRY_");
    buf_init(&name, 256);
    if (!slice_starts(key, prefix) || key.n > 128)
        return 0;
    for (size_t i = prefix.n; i < key.n; i++)
        buf_putc(&name, key.p[i] == '_' ? '.' : ascii_lower(key.p[i]));
    if (slice_is(buf_view(&name), "storage")) {
        buf_putc(&name, '.');
        buf_slice(&name, slice_first(value, 64));
    }
    bool none = slice_is(buf_view(&name), "auth") && (value.n == 0 || slice_is(value, "none"));
    return none ? 0 : settings_refuse(buf_view(&name), err);
}

static void environment_name(const struct option *o, struct buf *out)
{
    buf_puts(out, "REGISTRY_");
    for (const char *p = o->name; *p; p++)
        buf_putc(out, *p == '.' ? '_' : (char)toupper((unsigned char)*p));
}

int settings_environment(struct settings *s, char *const *environ_, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        CLEANUP_BUF struct buf name;
        buf_init(&name, 256);
        environment_name(&table[i], &name);
        for (char *const *e = environ_; e && *e; e++) {
            struct slice value = slice_cstr(*e);
            struct slice key = slice_cut(&value, '=');
            if (i == 0 && value.p && refuse_variable(key, value, err))
                return -1;
            if (value.p && slice_eq(key, buf_view(&name)) &&
                settings_set(s, &table[i], value, ORIGIN_ENVIRONMENT, err))
                return -1;
        }
    }
    return 0;
}

void options_markdown(struct buf *out)
{
    buf_puts(
        out,
        "# Options\n\nMade from the option table (`berth help options --markdown`); a "
        "test fails when it is stale.\n"
        "An option is given in the configuration file (nested), as an environment "
        "variable, or as a flag "
        "`--name=value`; a flag wins over the environment, which wins over the file.\n\n"
        "Durations are written 250ms, 10s, 1h30m; sizes 4096, 16KiB, 64MiB, 1GiB. Settings of "
        "registry's that "
        "this version does not have are reported and ignored, except those that nobody may lose "
        "silently (`auth`, `http.tls`, `proxy`, other storage drivers): with them it does not "
        "start.\n\n"
        "The banner and the access log (a line for each request) go to standard output, everything "
        "else "
        "to standard error.\n\n```yaml\nversion: 0.1\nhttp:\n  addr: 127.0.0.1:5000\nstorage:\n"
        "  filesystem:\n    rootdirectory: /srv/berth\n  delete:\n    enabled: true\nlog:\n  "
        "level: info\n```\n\n"
        "| option | environment | type | default | reload | what it does "
        "|\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct option *o = &table[i];
        buf_printf(out, "| `%s` | `", o->name);
        environment_name(o, out);
        buf_printf(out, "` | %s", type_names[o->type]);
        if (o->unit) {
            buf_putc(out, ' ');
            for (const char *p = o->unit; *p; p++)
                *p == '|' ? buf_puts(out, ", ") : buf_putc(out, *p);
        }
        buf_printf(out, " | `%s` | %s | %s |\n", *o->def ? o->def : " ",
                   o->reloadable ? "yes" : "no", o->doc);
    }
}

void options_text(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct option *o = &table[i];
        buf_printf(out, "  --%s=%s\n        %s", o->name, *o->def ? o->def : "\"\"", o->doc);
        if (o->type == OPTION_CHOICE)
            buf_printf(out, " (%s)", o->unit);
        buf_putc(out, '\n');
    }
}
