/* SPDX-License-Identifier: Apache-2.0 */
/* Events and cursors. */
#include <stdlib.h>

#include "meta_conformance.h"

#include "base/banned.h"

#define REPO S("team/app")
#define OTHER S("team/other")
#define HOOK S("hook")

static struct meta_event event_of(const char *action)
{
    return (struct meta_event){.action = slice_cstr(action),
                               .repo = REPO,
                               .digest = S("sha256:d"),
                               .media_type = S("a/b"),
                               .size = 7,
                               .from_repo = S("from"),
                               .references = S("[]"),
                               .url = S("http://h/v2/x"),
                               .request = S("{}"),
                               .actor = S("me")};
}

static int64_t ensure(struct meta *m, struct slice name)
{
    int64_t position = -1;
    OK(meta_cursor_ensure(m, name, &position, &err));
    return position;
}

static struct meta_events events_after(void **state, int64_t position, unsigned n)
{
    struct meta_events page = {0};
    OK(meta_events_after(meta_of(state), position, n, arena_of(state), &page, &err));
    return page;
}

/* So many, in one call. */
static void add(struct meta *m, unsigned n)
{
    struct meta_event_row *rows = xcalloc(n, sizeof *rows);
    for (unsigned i = 0; i < n; i++)
        rows[i].event = event_of("pull");
    OK(meta_events_add(m, rows, n, &err));
    free(rows);
}

static struct meta_cursor cursor(void **state, const char *name)
{
    struct meta_cursor *list = NULL, found = {.position = -1};
    unsigned n = 0;
    OK(meta_cursors(meta_of(state), arena_of(state), &list, &n, &err));
    for (unsigned i = 0; i < n; i++)
        if (slice_is(list[i].name, name))
            found = list[i];
    return found;
}

static int64_t advance(struct meta *m, struct slice name, int64_t from, int64_t to)
{
    int64_t now = -1;
    OK(meta_cursor_advance(m, name, from, to, &now, &err));
    return now;
}

/* Nobody listens: nothing is written. */
static void test_no_listener(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(arena_of(state), 1);
    struct meta_event e = event_of("push");
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    add(m, 3);
    assert_int_equal(events_after(state, 0, 10).n, 0);
    assert_int_equal(ensure(m, HOOK), 0);
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, NULL, &err));
    assert_int_equal(events_after(state, 0, 10).n, 1);
    OK(meta_cursor_remove(m, HOOK, &err));
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    assert_int_equal(events_after(state, 0, 10).n, 0);
}

/* All that is given comes back, over a restart too. */
static void test_row(void **state)
{
    struct meta *m = meta_of(state);
    int64_t before = os_wall_ms();
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(arena_of(state), 1);
    struct meta_event e = event_of("push");
    e.tag = S("v1");
    ensure(m, HOOK);
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    reopen(state);
    struct meta_events page = events_after(state, 0, 10);
    assert_int_equal(page.n, 2);
    assert_false(page.more);
    const struct meta_event_row *row = &page.list[0];
    assert_true(row->time_ms >= before && row->time_ms <= os_wall_ms());
    assert_int_equal(strlen(row->uuid), 36);
    assert_int_equal(row->uuid[14], '4');
    assert_string_not_equal(row->uuid, page.list[1].uuid);
    assert_int_equal(page.list[1].id, row->id + 1);
    assert_true(slice_is(row->event.action, "push") && slice_eq(row->event.repo, REPO));
    assert_true(slice_eq(row->event.digest, e.digest));
    assert_true(slice_eq(row->event.media_type, e.media_type));
    assert_int_equal(row->event.size, 7);
    assert_true(slice_eq(row->event.tag, e.tag) && slice_eq(row->event.from_repo, e.from_repo));
    assert_true(slice_eq(row->event.references, e.references));
    assert_true(slice_eq(row->event.url, e.url) && slice_eq(row->event.request, e.request));
    assert_true(slice_eq(row->event.actor, e.actor));
}

/* action, repository, tag, digest of what came after `position`, as one text. */
static const char *told(void **state, int64_t position)
{
    struct meta_events page = events_after(state, position, 100);
    const char *text = "";
    for (unsigned i = 0; i < page.n; i++) {
        const struct meta_event *e = &page.list[i].event;
        text = arena_printf(arena_of(state), "%s%s%.*s %.*s:%.*s%s", text, i ? ", " : "",
                            SLICE_ARG(e->action), SLICE_ARG(e->repo), SLICE_ARG(e->tag),
                            e->digest.n ? "@" : "");
    }
    return text;
}

static int64_t newest(void **state)
{
    struct meta_events page = events_after(state, 0, 10000);
    return page.n ? page.list[page.n - 1].id : 0;
}

static void test_blobs(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1), absent = blob_digest(2);
    struct slice bytes = blob_bytes(arena_of(state), 1);
    struct meta_event e = event_of("push");
    ensure(m, HOOK);
    /* What fails tells nothing. */
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN,
          meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("none"), &e, &err));
    FAILS(ERR_CONFLICT, meta_blob_commit(m, REPO, &d, 100000, NULL, SLICE_NONE, &e, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, OTHER, REPO, &absent, &e, &err));
    FAILS(ERR_NAME_UNKNOWN, meta_blob_delete(m, REPO, &d, &e, &err));
    assert_string_equal(told(state, 0), "");
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_delete(m, REPO, &absent, &e, &err));
    e.action = S("mount");
    e.repo = OTHER;
    e.size = 0;
    OK(meta_blob_mount(m, REPO, OTHER, &d, &e, &err));
    OK(meta_blob_mount(m, SLICE_NONE, OTHER, &d, &e, &err)); /* is there already: told again */
    e.action = S("delete");
    OK(meta_blob_delete(m, OTHER, &d, &e, &err));
    assert_string_equal(told(state, 0), "push team/app:@, mount team/other:@, mount team/other:@, "
                                        "delete team/other:@");
    struct meta_events page = events_after(state, 0, 10);
    assert_int_equal(page.list[1].event.size, bytes.n);
    assert_int_equal(page.list[2].event.size, bytes.n);
}

static void test_manifests(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct meta_event e = event_of("push");
    struct meta_manifest_put_result out = {0};
    struct image im = image_push(m, a, REPO, 1, NULL);
    struct meta_manifest_put in = put_of(a, REPO, &im, NULL);
    struct expect_now *none = expect_now(a, NULL);
    ensure(m, HOOK);
    in.event = &e;
    OK(meta_manifest_put(m, &in, a, &out, &err));
    assert_string_equal(told(state, 0), "push team/app:@");
    int64_t at = newest(state);
    struct slice tags[] = {S("b"), S("a"), S("c")};
    in.tags = tags;
    in.n_tags = 3;
    OK(meta_manifest_put(m, &in, a, &out, &err));
    assert_string_equal(told(state, at), "push team/app:b@, push team/app:a@, push team/app:c@");
    at = newest(state);
    in.condition = &none->condition;
    FAILS(ERR_PRECONDITION, meta_manifest_put(m, &in, a, &out, &err));
    struct image two = image_make(a, 2, HASH_SHA256);
    struct digest absent = blob_digest(77);
    image_edge(a, &two, EDGE_LAYER, digest_slice(&absent), true);
    struct meta_manifest_put bad = put_of(a, REPO, &two, "v");
    bad.event = &e;
    FAILS(ERR_MANIFEST_BLOB_UNKNOWN, meta_manifest_put(m, &bad, a, &out, &err));
    e.action = S("delete");
    FAILS(ERR_MANIFEST_UNKNOWN, meta_tag_delete(m, REPO, S("none"), NULL, &e, &err));
    FAILS(ERR_PRECONDITION, meta_tag_delete(m, REPO, S("a"), &none->condition, &e, &err));
    FAILS(ERR_MANIFEST_UNKNOWN, meta_manifest_delete(m, REPO, &absent, NULL, &e, &err));
    FAILS(ERR_PRECONDITION, meta_manifest_delete(m, REPO, &im.digest, &none->condition, &e, &err));
    assert_string_equal(told(state, at), "");
    struct meta_event tag = {.action = S("delete"), .repo = REPO, .tag = S("b")};
    OK(meta_tag_delete(m, REPO, S("b"), NULL, &tag, &err));
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, &e, &err));
    assert_string_equal(told(state, at), "delete team/app:b, delete team/app:@, "
                                         "delete team/app:a, delete team/app:c");
    /* Of a tag only its name is told, and by whom. */
    struct meta_events page = events_after(state, at, 10);
    assert_int_equal(page.list[3].event.size, 0);
    assert_int_equal(page.list[3].event.url.n + page.list[3].event.media_type.n, 0);
    assert_true(slice_eq(page.list[3].event.actor, e.actor));
}

static void test_cursors(void **state)
{
    struct meta *m = meta_of(state);
    struct meta_cursor *list = NULL;
    int64_t position = -1, now = -1;
    unsigned n = 7;
    OK(meta_cursors(m, arena_of(state), &list, &n, &err));
    assert_int_equal(n, 0);
    assert_int_equal(ensure(m, HOOK), 0);
    add(m, 5);
    assert_int_equal(ensure(m, S("late")), 5);
    assert_int_equal(ensure(m, HOOK), 0);
    for (unsigned i = 0; i < 10; i++)
        ensure(m, slice_cstr(arena_printf(arena_of(state), "x%u", i)));
    OK(meta_cursors(m, arena_of(state), &list, &n, &err));
    assert_int_equal(n, 12);
    assert_true(slice_is(list[0].name, "hook") && slice_is(list[1].name, "late"));
    assert_int_equal(list[0].backlog, 5);
    assert_int_equal(list[0].oldest_ms, events_after(state, 0, 1).list[0].time_ms);
    assert_int_equal(list[1].backlog, 0);
    assert_int_equal(list[1].oldest_ms, 0);
    /* Only from where it stands. */
    assert_int_equal(advance(m, HOOK, 0, 3), 3);
    assert_int_equal(advance(m, HOOK, 0, 4), 3);
    assert_int_equal(advance(m, HOOK, 3, 3), 3);
    assert_int_equal(cursor(state, "hook").backlog, 2);
    OK(meta_cursor_get(m, HOOK, &position, &err));
    assert_int_equal(position, 3);
    FAILS(ERR_NOT_FOUND, meta_cursor_get(m, S("none"), &position, &err));
    FAILS(ERR_NOT_FOUND, meta_cursor_advance(m, S("none"), 0, 1, &now, &err));
    OK(meta_cursor_remove(m, S("none"), &err));
    reopen(state);
    assert_int_equal(cursor(state, "hook").position, 3);
    assert_int_equal(cursor(state, "hook").backlog, 2);
}

/* What everybody has passed goes, but for the newest; and what nobody waits for goes altogether. */
static void test_prune(void **state)
{
    enum { N = META_EVENTS_KEPT + 2500 };
    struct meta *m = meta_of(state);
    ensure(m, HOOK);
    ensure(m, S("slow"));
    add(m, N);
    assert_int_equal(advance(m, HOOK, 0, N), N);
    assert_int_equal(events_after(state, 0, 1).list[0].id, 1);
    assert_int_equal(cursor(state, "slow").backlog, N);
    assert_int_equal(advance(m, S("slow"), 0, 10), 10);
    assert_int_equal(events_after(state, 0, 1).list[0].id, 11);
    assert_int_equal(advance(m, S("slow"), 10, N - 1), N - 1);
    /* In batches of 1,000. */
    assert_int_equal(events_after(state, 0, 1).list[0].id, 1011);
    assert_int_equal(advance(m, S("slow"), N - 1, N), N);
    assert_int_equal(events_after(state, 0, 1).list[0].id, 2011);
    assert_int_equal(advance(m, S("slow"), N, N), N);
    assert_int_equal(events_after(state, 0, 1).list[0].id, N - META_EVENTS_KEPT + 1);
    assert_int_equal(cursor(state, "slow").backlog, 0);
    OK(meta_cursor_remove(m, HOOK, &err));
    assert_int_equal(events_after(state, 0, META_EVENTS_KEPT + 1).n, META_EVENTS_KEPT);
    OK(meta_cursor_remove(m, S("slow"), &err));
    assert_int_equal(events_after(state, 0, 1).n, 0);
    /* An id is never used again, and the backlog is right all the same. */
    ensure(m, HOOK);
    add(m, 2);
    assert_int_equal(events_after(state, 0, 1).list[0].id, N + 1);
    assert_int_equal(cursor(state, "hook").backlog, 2);
    reopen(state);
    uint64_t dropped = 0;
    OK(meta_events_drop(meta_of(state), HOOK, N + 1, &dropped, &err));
    assert_int_equal(dropped, 1);
}

static void test_replay(void **state)
{
    struct meta *m = meta_of(state);
    uint64_t again = 77;
    FAILS(ERR_NOT_FOUND, meta_events_replay(m, HOOK, 1, &again, &err));
    ensure(m, HOOK);
    FAILS(ERR_BAD_REQUEST, meta_events_replay(m, HOOK, 1, &again, &err));
    add(m, 10);
    FAILS(ERR_BAD_REQUEST, meta_events_replay(m, HOOK, 1, &again, &err));
    advance(m, HOOK, 0, 8);
    OK(meta_events_replay(m, HOOK, 4, &again, &err));
    assert_int_equal(again, 5);
    assert_int_equal(cursor(state, "hook").position, 3);
    assert_int_equal(cursor(state, "hook").backlog, 7);
    /* Who thinks that it is still at 8 is told. */
    assert_int_equal(advance(m, HOOK, 8, 9), 3);
    FAILS(ERR_BAD_REQUEST, meta_events_replay(m, HOOK, 0, &again, &err));
    FAILS(ERR_BAD_REQUEST, meta_events_replay(m, HOOK, -5, &again, &err));
    FAILS(ERR_BAD_REQUEST, meta_events_replay(m, HOOK, INT64_MAX, &again, &err));
    assert_int_equal(again, 5);
    add(m, META_EVENTS_KEPT);
    advance(m, HOOK, 3, 10 + META_EVENTS_KEPT);
    FAILS(ERR_BAD_REQUEST, meta_events_replay(m, HOOK, 10, &again, &err));
    OK(meta_events_replay(m, HOOK, 11, &again, &err));
    assert_int_equal(again, META_EVENTS_KEPT);
}

static void test_drop(void **state)
{
    struct meta *m = meta_of(state);
    uint64_t dropped = 77;
    FAILS(ERR_NOT_FOUND, meta_events_drop(m, HOOK, 1, &dropped, &err));
    assert_int_equal(dropped, 77);
    ensure(m, HOOK);
    ensure(m, S("other"));
    OK(meta_events_drop(m, HOOK, INT64_MAX, &dropped, &err));
    assert_int_equal(dropped, 0);
    add(m, 10);
    OK(meta_events_drop(m, HOOK, 4, &dropped, &err));
    assert_int_equal(dropped, 4);
    OK(meta_events_drop(m, HOOK, 2, &dropped, &err)); /* never back */
    assert_int_equal(dropped, 0);
    assert_int_equal(cursor(state, "hook").position, 4);
    OK(meta_events_drop(m, HOOK, INT64_MAX, &dropped, &err));
    assert_int_equal(dropped, 6);
    assert_int_equal(cursor(state, "hook").position, 10);
    assert_int_equal(cursor(state, "other").backlog, 10);
    /* What comes later is not dropped. */
    add(m, 1);
    assert_int_equal(cursor(state, "hook").backlog, 1);
}

static void test_pages(void **state)
{
    struct meta *m = meta_of(state);
    ensure(m, HOOK);
    add(m, 100);
    struct meta_events page = events_after(state, 10, 20);
    assert_int_equal(page.n, 20);
    assert_true(page.more);
    for (unsigned i = 0; i < page.n; i++)
        assert_int_equal(page.list[i].id, 11 + i);
    page = events_after(state, 80, 20);
    assert_int_equal(page.n, 20);
    assert_false(page.more);
    page = events_after(state, 100, 20);
    assert_int_equal(page.n, 0);
    assert_false(page.more);
    assert_true(events_after(state, 0, 0).more);
    /* Long ones end a page early, and the longest are left out. */
    char *text = arena_alloc(arena_of(state), META_EVENT_REFERENCES_MAX + 1);
    memset(text, 'x', META_EVENT_REFERENCES_MAX + 1);
    struct meta_event_row rows[40] = {0};
    for (unsigned i = 0; i < 40; i++) {
        rows[i].time_ms = 1000 + i;
        rows[i].event = event_of("pull");
        rows[i].event.references = slice_make(text, META_EVENT_REFERENCES_MAX + (i == 39));
        rows[i].event.request = slice_make(text, META_EVENT_REQUEST_MAX + (i == 39));
    }
    OK(meta_events_add(m, rows, 40, &err));
    page = events_after(state, 100, 40);
    assert_in_range(page.n, 10, 20);
    assert_true(page.more);
    assert_int_equal(page.list[0].time_ms, 1000);
    assert_int_equal(page.list[0].event.references.n, META_EVENT_REFERENCES_MAX);
    page = events_after(state, 139, 40);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.list[0].event.references.n + page.list[0].event.request.n, 0);
    assert_int_equal(page.list[0].event.url.n, 13);
}

void meta_conformance_events(struct meta_suite *s)
{
    meta_conformance_add_one(s, "events: nobody listens", test_no_listener);
    meta_conformance_add_one(s, "events: a row", test_row);
    meta_conformance_add_one(s, "events: blobs", test_blobs);
    meta_conformance_add_one(s, "events: manifests and tags", test_manifests);
    meta_conformance_add_one(s, "events: cursors", test_cursors);
    meta_conformance_add_one(s, "events: what everybody has passed", test_prune);
    meta_conformance_add_one(s, "events: replay", test_replay);
    meta_conformance_add_one(s, "events: drop", test_drop);
    meta_conformance_add_one(s, "events: pages", test_pages);
}
