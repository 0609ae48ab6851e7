/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <string.h>

#include "base/json.h"
#include "base/util.h"

#include "base/banned.h"

static struct json_doc *must_parse(const char *text)
{
    struct json_doc *doc = NULL;
    struct error err;
    if (jdoc_parse(slice_cstr(text), ERR_MANIFEST_INVALID, &doc, &err))
        fail_msg("%s: %s", text, err.message);
    return doc;
}

static void what_is_not_strict_json_is_refused(void **state)
{
    (void)state;
    static const struct slice bad[] = {
        {NULL, 0},
        SLICE_LIT("{"),
        SLICE_LIT("{\"a\":1,\"a\":2}"), /* duplicate key */
        SLICE_LIT("{} x"),              /* trailing data */
        SLICE_LIT("{}{}"),
        SLICE_LIT("{\"a\":1,}"),
        SLICE_LIT("{'a':1}"),
        SLICE_LIT("{\"a\":\"\\u0000\"}"),      /* NUL */
        SLICE_LIT("{\"a\":\"\xff\"}"),         /* not UTF-8 */
        SLICE_LIT("{\"a\":\"\xed\xa0\x80\"}"), /* a surrogate in UTF-8 */
        SLICE_LIT("{\"a\":\"\\ud800\"}"),      /* half a surrogate pair */
        SLICE_LIT("{\"a\":01}"),
        SLICE_LIT("{\"a\":NaN}"),
        SLICE_LIT("{\"a\":99999999999999999999}"),
        SLICE_LIT("\"text\""),
        SLICE_LIT("7"),
        SLICE_LIT("{}\0"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct json_doc *doc = NULL;
        struct error err = {0};
        if (jdoc_parse(bad[i], ERR_MANIFEST_INVALID, &doc, &err) != -1)
            fail_msg("row %zu was taken", i);
        assert_null(doc);
        assert_int_equal(err.code, ERR_MANIFEST_INVALID);
        assert_true(err.detail[0] != '\0');
    }
}

static void the_detail_names_line_and_column(void **state)
{
    (void)state;
    struct json_doc *doc = NULL;
    struct error err;
    assert_int_equal(jdoc_parse(SLICE_LIT("{\n  \"a\": oops}"), ERR_MANIFEST_INVALID, &doc, &err),
                     -1);
    assert_non_null(strstr(err.detail, "line 2"));
    assert_non_null(strstr(err.detail, "column"));
}

static void depth_is_bounded(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++)
        buf_putc(&b, '[');
    struct json_doc *doc = NULL;
    struct error err;
    assert_int_equal(jdoc_parse(buf_view(&b), ERR_MANIFEST_INVALID, &doc, &err), -1);
    assert_non_null(strstr(err.detail, "depth"));
}

static void values_are_found_by_key_and_place(void **state)
{
    (void)state;
    CLEANUP_JSON struct json_doc *doc = must_parse(
        "{\"n\":null,\"t\":true,\"f\":false,\"i\":-9223372036854775808,\"r\":1.5,\"s\":\"x\\ny\","
        "\"a\":[1,[],{}],\"o\":{\"k\":\"v\"}}");
    const struct json_value *root = jdoc_root(doc);
    static const struct {
        const char *key;
        enum json_kind_of kind;
    } rows[] = {{"n", JSON_NULL_},  {"t", JSON_BOOL_},   {"f", JSON_BOOL_},
                {"i", JSON_INT_},   {"r", JSON_REAL_},   {"s", JSON_STRING_},
                {"a", JSON_ARRAY_}, {"o", JSON_OBJECT_}, {"none", JSON_ABSENT_}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(jv_kind(jv_get(root, rows[i].key)), rows[i].kind);
    assert_int_equal(jv_kind(NULL), JSON_ABSENT_);
    assert_int_equal(jv_count(root), 8);
    assert_int_equal(jv_count(jv_get(root, "a")), 3);
    assert_int_equal(jv_count(jv_get(root, "s")), 0);
    assert_int_equal(jv_count(NULL), 0);
    assert_int_equal(jv_kind(jv_at(jv_get(root, "a"), 2)), JSON_OBJECT_);
    assert_null(jv_at(jv_get(root, "a"), 3));
    assert_null(jv_at(root, 0));
    assert_null(jv_at(NULL, 0));
    assert_null(jv_get(NULL, "k"));
    assert_null(jv_get(jv_get(root, "a"), "k"));
    assert_true(slice_is(jv_string(jv_get(jv_get(root, "o"), "k")), "v"));
    assert_true(slice_is(jv_string(jv_get(root, "s")), "x\ny"));
    assert_null(jv_string(jv_get(root, "i")).p);
    assert_null(jv_string(NULL).p);
    int64_t v = 5;
    assert_int_equal(jv_int(jv_get(root, "i"), &v), 0);
    assert_true(v == INT64_MIN);
    v = 5;
    assert_int_equal(jv_int(jv_get(root, "r"), &v), -1);
    assert_int_equal(jv_int(jv_get(root, "none"), &v), -1);
    assert_int_equal(v, 5);
}

static int collect(void *arg, const char *key, const struct json_value *value)
{
    struct buf *b = arg;
    int64_t v = 0;
    buf_puts(b, key);
    return jv_int(value, &v) == 0 ? (int)v : 0;
}

static void each_goes_in_document_order(void **state)
{
    (void)state;
    CLEANUP_JSON struct json_doc *doc =
        must_parse("{\"z\":0,\"b\":0,\"a\":0,\"q\":0,\"stop\":42,\"c\":0}");
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100);
    assert_int_equal(jv_each(jdoc_root(doc), collect, &b), 42);
    assert_string_equal(b.p, "zbaqstop");
    CLEANUP_JSON struct json_doc *array = must_parse("[1]");
    assert_int_equal(jv_each(jdoc_root(array), collect, &b), 0);
    assert_int_equal(jv_each(NULL, collect, &b), 0);
    CLEANUP_JSON struct json_doc *empty = must_parse("{}");
    assert_int_equal(jv_each(jdoc_root(empty), collect, &b), 0);
}

static void dump_gives_compact_json(void **state)
{
    (void)state;
    const char *text = "{\"b\":[1,2.5,null,true],\"a\":{\"k\":\"\xc3\xa9\\n\"}}";
    CLEANUP_JSON struct json_doc *doc = must_parse(text);
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100);
    assert_int_equal(jv_dump(jdoc_root(doc), &b), 0);
    assert_string_equal(b.p, text);
    buf_clear(&b);
    assert_int_equal(jv_dump(jv_get(jv_get(jdoc_root(doc), "a"), "k"), &b), 0);
    assert_string_equal(b.p, "\"\xc3\xa9\\n\"");
    assert_int_equal(jv_dump(NULL, &b), -1);
    CLEANUP_BUF struct buf tiny;
    buf_init(&tiny, 3);
    assert_int_equal(jv_dump(jdoc_root(doc), &tiny), -1);
}

static void the_writer_sets_commas(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1000);
    struct json_writer w;
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "a");
    jw_array(&w);
    jw_int(&w, INT64_MIN);
    jw_int(&w, INT64_MAX);
    jw_array(&w);
    jw_array_end(&w);
    jw_object(&w);
    jw_object_end(&w);
    jw_array_end(&w);
    jw_key(&w, "k\"ey");
    jw_cstr(&w, "v");
    jw_key(&w, "t");
    jw_bool(&w, true);
    jw_key(&w, "f");
    jw_bool(&w, false);
    jw_key(&w, "raw");
    jw_raw(&w, SLICE_LIT("[1,2]"));
    jw_key(&w, "s");
    jw_string(&w, SLICE_NONE);
    jw_object_end(&w);
    assert_string_equal(b.p, "{\"a\":[-9223372036854775808,9223372036854775807,[],{}],"
                             "\"k\\\"ey\":\"v\",\"t\":true,\"f\":false,\"raw\":[1,2],\"s\":\"\"}");
    CLEANUP_JSON struct json_doc *doc = must_parse(b.p);
    assert_int_equal(jv_count(jdoc_root(doc)), 6);
}

static void quoting_always_gives_valid_utf8(void **state)
{
    (void)state;
    static const struct {
        struct slice in;
        const char *out;
    } rows[] = {
        {SLICE_LIT("plain"), "\"plain\""},
        {SLICE_LIT("\"\\/\n\t\0\x7f"), "\"\\\"\\\\/\\n\\u0009\\u0000\\u007f\""},
        {SLICE_LIT("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x90\xb3"),
         "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x90\xb3\""},
        {SLICE_LIT("\xc3"), "\"\\ufffd\""},                       /* cut short */
        {SLICE_LIT("a\x80z"), "\"a\\ufffdz\""},                   /* no start */
        {SLICE_LIT("\xc0\xaf"), "\"\\ufffd\\ufffd\""},            /* overlong */
        {SLICE_LIT("\xe0\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\""}, /* overlong */
        {SLICE_LIT("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""}, /* surrogate */
        {SLICE_LIT("\xf0\x80\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {SLICE_LIT("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* past U+10FFFF */
        {SLICE_LIT("\xf5\x80\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {SLICE_LIT("\xe4\xb8x"), "\"\\ufffd\\ufffdx\""},
        /* C1, the separators of lines, and what turns the direction of the text around */
        {SLICE_LIT("\xc2\x80\xc2\x9f\xc2\xa0"), "\"\\u0080\\u009f\xc2\xa0\""},
        {SLICE_LIT("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xae\xe2\x80\xaf"),
         "\"\xe2\x80\xa7\\u2028\\u202e\xe2\x80\xaf\""},
        {SLICE_LIT("\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa"),
         "\"\xe2\x81\xa5\\u2066\\u2069\xe2\x81\xaa\""},
        {SLICE_LIT("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\""}, /* U+10FFFF */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf b;
        buf_init(&b, 100);
        assert_int_equal(jw_quote(&b, rows[i].in), 0);
        assert_string_equal(b.p, rows[i].out);
    }
    CLEANUP_BUF struct buf b;
    buf_init(&b, 3);
    assert_int_equal(jw_quote(&b, SLICE_LIT("abc")), -1);
}

static void every_two_bytes_survive_a_round_trip(void **state)
{
    (void)state;
    for (unsigned x = 0; x < 0x10000; x += 3) {
        char two[2] = {(char)(x >> 8), (char)x};
        CLEANUP_BUF struct buf b;
        buf_init(&b, 100);
        buf_putc(&b, '[');
        jw_quote(&b, slice_make(two, 2));
        buf_putc(&b, ']');
        if (two[0] == '\0' || two[1] == '\0')
            continue; /* written as \u0000, which the reader refuses */
        CLEANUP_JSON struct json_doc *doc = must_parse(b.p);
        if ((x & 0x8080) == 0)
            assert_true(slice_eq(jv_string(jv_at(jdoc_root(doc), 0)), slice_make(two, 2)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_strict_json_is_refused),
        cmocka_unit_test(the_detail_names_line_and_column),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(values_are_found_by_key_and_place),
        cmocka_unit_test(each_goes_in_document_order),
        cmocka_unit_test(dump_gives_compact_json),
        cmocka_unit_test(the_writer_sets_commas),
        cmocka_unit_test(quoting_always_gives_valid_utf8),
        cmocka_unit_test(every_two_bytes_survive_a_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
