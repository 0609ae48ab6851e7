/* SPDX-License-Identifier: Apache-2.0 */
/* The table itself, and what is made from it. */
#include "base/json.h"
#include "config_help.h"

#include "base/banned.h"

#define TEST(fn) cmocka_unit_test(fn)

static void test_rows(void **state)
{
    (void)state;
    size_t n;
    const struct schema *rows = schema_rows(&n);
    for (size_t i = 1; i < n; i++) {
        const struct schema *r = &rows[i];
        assert_non_null(r->doc);
        assert_true(strlen(r->doc) > 4 && strchr(".:", r->doc[strlen(r->doc) - 1]));
        assert_ptr_equal(schema_find(r->name), r); /* once */
        bool says = r->status == S_IGNORED || r->status == S_REFUSED;
        assert_int_equal(r->text != NULL, says);
        assert_int_equal(r->kind == K_CHOICE, r->unit && strchr(r->unit, '|'));
        struct value v;
        char why[400];
        struct node def = {
            .kind = NODE_SCALAR, .quoted = true, .text = slice_cstr(r->def ? r->def : "")};
        if (schema_scalar(r) && def.text.n && r->status == S_HONOURED)
            assert_int_equal(value_read(r, &def, &v, why, sizeof why), 0);
        /* Its section is there too. */
        char parent[160];
        (void)snprintf(parent, sizeof parent, "%s", r->name);
        char *cut = strrchr(parent, '.');
        char *bracket = strrchr(parent, '[');
        if (bracket && bracket[2] == '\0')
            cut = bracket;
        if (cut) {
            *cut = '\0';
            if (!schema_find(parent))
                fail_msg("%s is in no section", r->name);
        }
    }
    assert_ptr_equal(schema_root(), rows);
    assert_null(schema_find("http.adr"));
}

/* A section follows its parent, so that a dump opens each section once. */
static void test_order(void **state)
{
    (void)state;
    struct config *c = NULL;
    assert_int_equal(help_load(NULL, NULL, NULL, false, &c, NULL), 0);
    CLEANUP_BUF struct buf b;
    buf_init(&b, (size_t)1 << 20);
    config_dump(c, false, &b);
    struct yaml_problem why;
    struct node *n;
    struct origin o = {.kind = FROM_DEFAULT};
    assert_int_equal(yaml_load(c->arena, o, buf_view(&b), &n, &why), 0); /* no key twice */
    config_free(c);
}

static const char *sample(const struct schema *r)
{
    static const struct {
        const char *name, *value;
    } special[] = {
        {"version", "0.1"},          {"http.addr", "':1'"},    {"http.debug.addr", "':1'"},
        {"http.host", "https://a"},  {"http.loops", "5"},      {"log.level", "debug"},
        {"http.draintimeout", "7s"}, {"log.fields", "{a: b}"}, {"http.http2.disabled", "false"},
    };
    for (size_t i = 0; i < ARRAY_LEN(special); i++)
        if (strcmp(special[i].name, r->name) == 0)
            return special[i].value;
    switch (r->kind) {
    case K_BOOL:
        return r->def && strcmp(r->def, "true") == 0 ? "false" : "true";
    case K_COUNT:
        return "5";
    case K_SIZE:
        return "5MiB";
    case K_DURATION:
        return "7s";
    case K_TEXTS:
        return "[/x/]";
    case K_HEADERS:
        return "{X-A: [b]}";
    case K_LIST:
        return "[{}]";
    case K_STRUCT:
    case K_PARAMS:
    case K_MAP:
        return "{}";
    default:
        return "/x/";
    }
}

/* {a: {b: [{c: VALUE}]}} of the row's name. */
static void nest(const struct schema *r, const char *value, struct buf *out)
{
    CLEANUP_BUF struct buf tail;
    buf_init(&tail, 1024);
    for (struct slice rest = slice_cstr(r->name); rest.p;) {
        struct slice part = slice_cut(&rest, '.');
        unsigned lists = 0;
        while (slice_ends(part, SLICE_LIT("[]"))) {
            part.n -= 2;
            lists++;
        }
        bool top = part.p == r->name;
        if (slice_is(part, "*"))
            part = SLICE_LIT("any");
        buf_printf(out, "%s%.*s: ", top ? "" : "{", SLICE_ARG(part));
        if (!top)
            buf_putc(&tail, '}');
        for (unsigned i = 0; i < lists; i++) {
            buf_putc(out, '[');
            buf_putc(&tail, ']');
        }
    }
    buf_puts(out, value);
    for (size_t i = tail.n; i > 0; i--)
        buf_putc(out, tail.p[i - 1]);
    buf_putc(out, '\n');
}

static bool known(const struct config *c)
{
    return !help_noted(c, CONFIG_WARNING, "berth does not know") &&
           !help_noted(c, CONFIG_ERROR, "berth does not know") &&
           !help_noted(c, CONFIG_ERROR, "berth knows no") &&
           !help_noted(c, CONFIG_ERROR, "is expected here");
}

static enum schema_status status_above(const struct schema *r)
{
    char name[160];
    (void)snprintf(name, sizeof name, "%s", r->name);
    while (r->status == S_UNDER) {
        char *dot = strrchr(name, '.');
        char *bracket = strrchr(name, '[');
        assert_true(dot || bracket);
        *(dot > bracket ? dot : bracket) = '\0';
        r = schema_find(name);
        assert_non_null(r);
    }
    return r->status == S_REFUSED && r->trigger ? S_IGNORED : r->status;
}

/* Every key of registry's and ours is taken, and does what its row says. */
static void test_every_key(void **state)
{
    (void)state;
    size_t n;
    unsigned bound = 0;
    unsigned warned = 0;
    unsigned refused = 0;
    const struct schema *rows = schema_rows(&n);
    struct config *usual = NULL;
    assert_int_equal(help_load("", NULL, NULL, false, &usual, NULL), 0);
    for (size_t i = 2; i < n; i++) {
        const struct schema *r = &rows[i];
        CLEANUP_BUF struct buf file;
        CLEANUP_BUF struct buf is;
        CLEANUP_BUF struct buf was;
        struct config *c = NULL;
        buf_init(&file, 4096);
        buf_init(&is, 4096);
        buf_init(&was, 4096);
        nest(r, r->kind == K_CHOICE ? strrchr(r->unit, '|') + 1 : sample(r), &file);
        (void)help_load(file.p, NULL, NULL, false, &c, NULL);
        enum schema_status status = status_above(r);
        bool good = known(c) && config_given(c, "version") == false;
        if (status == S_REFUSED) {
            good = good && help_noted(c, CONFIG_ERROR, "storage.");
            refused++;
        } else if (status == S_IGNORED &&
                   slice_ends(slice_cstr(r->name), SLICE_LIT("[].disabled"))) {
            good = good && c->n_notes == 0; /* what is switched off asks for nothing */
        } else if (status == S_IGNORED && schema_scalar(r)) {
            good = good && (help_noted(c, CONFIG_WARNING, "ignored: ") ||
                            help_noted(c, CONFIG_ERROR, ": berth fetches no certificates") ||
                            help_noted(c, CONFIG_ERROR, ": this version is no pull-through"));
            warned++;
        } else if (status == S_HONOURED && schema_plain(r) && r->kind > K_PARAMS &&
                   r->kind != K_LIST && !(r->flags & F_HIDDEN)) {
            value_print(c, r, false, &is);
            value_print(usual, r, false, &was);
            if (!slice_starts(slice_cstr(r->name), SLICE_LIT("http.tls.c")) || r->kind != K_CHOICE)
                good = good && config_in_force(c, r) &&
                       (!slice_eq(buf_view(&is), buf_view(&was)) ||
                        (r->kind == K_CHOICE && r->def && strstr(r->unit, r->def) &&
                         strcmp(strrchr(r->unit, '|') + 1, r->def) == 0) ||
                        strcmp(r->name, "http.tls.ciphersuites") == 0);
            bound++;
        }
        if (!good) {
            help_print_notes(c);
            fail_msg("%s: %s is %s was %s", r->name, file.p, is.p ? is.p : "", was.p ? was.p : "");
        }
        config_free(c);
    }
    config_free(usual);
    assert_true(bound > 60);
    assert_true(warned > 60);
    assert_true(refused > 100);
}

static void test_variables(void **state)
{
    (void)state;
    static const struct {
        const char *row, *want;
    } rows[] = {
        {"http.addr", "REGISTRY_HTTP_ADDR"},
        {"notifications.events.includereferences",
         "REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES"},
        {"notifications.endpoints[].ignore.actions",
         "REGISTRY_NOTIFICATIONS_ENDPOINTS_<N>_IGNORE_ACTIONS"},
        {"health.http[].uri", "REGISTRY_HEALTH_HTTPCHECKERS_<N>_URI"},
        {"middleware.*[].name", "REGISTRY_MIDDLEWARE_<KEY>_<N>_NAME"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf b;
        buf_init(&b, 256);
        schema_variable(schema_find(rows[i].row), &b);
        assert_string_equal(b.p, rows[i].want);
    }
}

/* Every row but the sections, in order, and what is in sections that are ignored or refused. */
static void test_options(void **state)
{
    (void)state;
    struct config_option o;
    size_t n, i = 1;
    const struct schema *all = schema_rows(&n);
    for (size_t at = 0; config_option_next(&at, &o); i++) {
        const struct schema *r = schema_find(o.name);
        assert_non_null(r);
        for (; &all[i] != r; i++)
            assert_true(all[i].status == S_UNDER || all[i].kind == K_STRUCT ||
                        all[i].kind == K_PARAMS);
        bool honoured = r->status == S_HONOURED || r->status == S_QUIET;
        assert_int_equal(honoured, !o.instead);
        assert_int_equal(o.refused, r->status == S_REFUSED);
        assert_int_equal(o.flag, honoured && schema_plain(r) && !(r->flags & F_HIDDEN));
        assert_int_equal(o.reloadable, schema_live(r));
        assert_true(o.type && o.def && o.doc);
        /* What form a list or a section has is shown. */
        assert_true(schema_scalar(r) || o.example || !o.flag);
    }
    for (; i < n; i++)
        assert_int_equal(all[i].status, S_UNDER);
}

static void test_one_option(void **state)
{
    (void)state;
    struct config_option o;
    unsigned found = 0;
    for (size_t at = 0; config_option_next(&at, &o);) {
        if (strcmp(o.name, "log.level") == 0) {
            assert_string_equal(o.type, "choice");
            assert_string_equal(o.choices, "error|warn|info|debug");
            assert_true(o.reloadable && o.flag);
            found++;
        } else if (strcmp(o.name, "http.headers") == 0) {
            assert_string_equal(o.type, "section of lists");
            assert_string_equal(o.example, "{X-Content-Type-Options: [nosniff]}");
            found++;
        } else if (strcmp(o.name, "http.listeners[].addr") == 0) {
            assert_false(o.flag);
            found++;
        } else if (strcmp(o.name, "http.addr") == 0) {
            assert_false(o.reloadable);
            found++;
        } else if (strcmp(o.name, "proxy") == 0) {
            assert_true(o.refused && o.instead && !o.flag);
            found++;
        }
    }
    assert_int_equal(found, 5);
}

static void test_json_schema(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, (size_t)1 << 22);
    config_schema(&b);
    assert_false(b.failed);
    struct json_doc *doc CLEANUP_JSON = NULL;
    struct error err = {0};
    assert_int_equal(jdoc_parse(buf_view(&b), ERR_UNKNOWN, &doc, &err), 0);
    const struct json_value *p = jv_get(jdoc_root(doc), "properties");
    assert_non_null(p);
    const struct json_value *addr = jv_get(jv_get(jv_get(p, "http"), "properties"), "addr");
    assert_true(slice_is(jv_string(jv_get(addr, "default")), "127.0.0.1:5000"));
    assert_non_null(jv_get(jv_get(jv_get(p, "proxy"), "not"), "required"));
}

static void test_init(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    struct config *c = NULL;
    struct error err = {0};
    buf_init(&b, (size_t)1 << 20);
    buf_putc(&b, '%');
    config_init(&b);
    assert_false(b.failed);
    assert_int_equal(help_load(b.p, NULL, NULL, true, &c, &err), 0);
    assert_int_equal(c->n_notes, 0);
    config_free(c);
    for (struct slice rest = buf_view(&b); rest.p;) {
        struct slice line = slice_cut(&rest, '\n');
        assert_true(slice_eq(slice_trim(line), line) || line.p[0] == ' ');
        assert_false(slice_ends(line, SLICE_LIT(" ")));
    }
}

static void test_pages(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, (size_t)1 << 20);
    config_markdown(&b);
    assert_non_null(strstr(b.p, "| `http.addr` | `REGISTRY_HTTP_ADDR` | string | `127.0.0.1:5000` "
                                "| no | Where the registry listens"));
    assert_non_null(strstr(b.p, "| *`http.loops`* |"));
    assert_non_null(strstr(b.p, "| `redis` | A cache in Redis"));
    assert_non_null(strstr(b.p, "| `storage.s3` |"));
    buf_clear(&b);
    config_help_text(&b);
    assert_non_null(strstr(b.p, "  --http.addr=127.0.0.1:5000\n        Where the registry"));
    assert_non_null(strstr(b.p, "  --http.headers={}\n"));
    assert_non_null(strstr(b.p, "  --http.tls.clientcas=[]\n"));
    assert_non_null(strstr(b.p, "(error|warn|info|debug)"));
    assert_null(strstr(b.p, "--loglevel"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows),        TEST(test_order),   TEST(test_every_key),
        TEST(test_variables),   TEST(test_options), TEST(test_one_option),
        TEST(test_json_schema), TEST(test_init),    TEST(test_pages),
    };
    return cmocka_run_group_tests_name("config_schema", tests, NULL, NULL);
}
