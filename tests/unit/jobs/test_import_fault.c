/* SPDX-License-Identifier: Apache-2.0 */
/* An import that is interrupted, by failures and by kill -9, and then goes on: in the end berth has
 * what it has without the interruption. */
#include "registry_tree.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "oci/media_type.h"
#include "os/fault.h"

#include "base/banned.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
/* Every process here has joined its threads when it ends: it need not wait a second for races of
 * those that are left. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "atexit_sleep_ms=0";
}
#endif
#endif

/* What a kill of a whole import is measured by. */
enum { POINTS_MAX = 400 };

static void faults(const char *spec)
{
    assert_int_equal(fault_configure(spec), 0);
}

/* Something of everything; the text of what berth makes of it. */
static char *make_source(struct tree *t)
{
    struct digest list[2] = {tree_image(t, "a/b", "one", 1), tree_image(t, "a/b", "two", 2)};
    const uint64_t sizes[2] = {1, 2};
    struct digest index =
        tree_manifest(t, "a/b", index_text(MT_OCI_INDEX, list, sizes, 2), "index", NULL);
    tree_watch(&index);
    tree_image(t, "c", "one", 1);
    struct digest spare = tree_content(t, LARGE, 77);
    tree_layer(t, "c", &spare);
    tree_watch(&spare);
    struct digest bad = tree_content(t, LARGE, 78);
    tree_layer(t, "c", &bad);
    tree_watch(&bad);
    char path[256];
    (void)snprintf(path, sizeof path, "blobs/sha256/%.2s/%s/data", bad.text + 7, bad.text + 7);
    char *p = xcalloc(1, LARGE);
    tree_file(t, path, p, LARGE);
    free(p);
    /* So that it is looked at. */
    tree_manifest(t, "c", image_text(NULL, &spare, LARGE, &bad, (uint64_t[]){1}, 1), "no", NULL);
    tree_import(t);
    char *text = berth_text(t);
    tree_reset(t);
    return text;
}

static void assert_same(struct tree *t, const char *spec, const char *wanted)
{
    faults("");
    tree_close(t);
    tree_open(t);
    tree_import(t);
    char *text = berth_text(t);
    if (strcmp(text, wanted) != 0)
        fail_msg("after %s:\n%s\ninstead of\n%s", spec, text, wanted);
    free(text);
}

/* Each point fails once, at its first and at a later passage, and then on every one. */
static void test_every_call_fails(void **state)
{
    struct tree *t = *state;
    char *wanted = make_source(t);
    static const char *const points[] = {
        "import.read",  "import.linked", "import.repository", "blob.link",    "blob.dirsync",
        "blob.open",    "blob.stat",     "store.setup",       "meta.begin",   "meta.commit",
        "stage.create", "stage.write",   "stage.sync",        "blob.replace",
    };
    static const char *const when[] = {"", "@2", "@7", "+"};
    unsigned failed = 0;
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        for (size_t k = 0; k < ARRAY_LEN(when); k++) {
            char spec[128];
            struct import_result r = {0};
            struct error err = {0};
            bool copies =
                strncmp(points[i], "stage", 5) == 0 || strcmp(points[i], "blob.replace") == 0;
            (void)snprintf(spec, sizeof spec, "%s%s=EIO%s", copies ? "blob.link=EXDEV+," : "",
                           points[i], when[k]);
            faults(spec);
            int result = tree_run(t, IMPORT_VERIFY_SIZE, false, 2, &r, &err);
            faults("");
            failed += result != 0;
            if (result != 0 && !err.message[0])
                fail_msg("%s: no word of why", spec);
            (void)store_probe(t->store, NULL);
            assert_same(t, spec, wanted);
            tree_reset(t);
        }
    assert_true(failed > ARRAY_LEN(points));
    free(wanted);
}

/* When the disk does not give a directory, what is in it is unknown: a caller that will not come
 * back for it can tell. */
static void test_unread(void **state)
{
    struct tree *t = *state;
    unsigned missed = 0;
    free(make_source(t));
    for (unsigned n = 1; n <= 30; n++) {
        char spec[64];
        struct import_result r = {0};
        struct error err = {0};
        (void)snprintf(spec, sizeof spec, "import.read=EIO@%u", n);
        faults(spec);
        int result = tree_run(t, IMPORT_VERIFY_SIZE, true, 1, &r, &err);
        faults("");
        if (result != 0 || t->n_found == 0)
            continue;
        bool all = r.repositories == 2 && r.tags == 4;
        missed += !all;
        if (!all && r.unread == 0)
            fail_msg("%s: %u findings, %u tags", spec, (unsigned)r.findings, (unsigned)r.tags);
    }
    assert_true(missed >= 5);
    struct import_result r = tree_import(t);
    assert_int_equal(r.unread, 0);
    assert_int_equal(r.repositories, 2);
}

/* Data that may not be read is not the same as none. */
static void test_detect(void **state)
{
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    assert_true(import_detect(t->source));
    assert_false(import_detect(t->data));
    assert_false(import_detect("/nowhere"));
    static const char *const specs[] = {"import.read=EIO", "import.read=EIO@2",
                                        "import.read=EIO@3"};
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        faults(specs[i]);
        assert_true(import_detect(t->source));
        faults(specs[i]);
        assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, true, 1, &r, &err), -1);
        assert_true(err.detail[0] != '\0');
    }
}

/* kill -9 at the n-th passage of anything, with links and with copies. */
static void test_kill(void **state)
{
    struct tree *t = *state;
    char *wanted = make_source(t);
    const char *const before[] = {"", "blob.link=EXDEV+,"};
    static const char *const points[] = {
        "import.linked",  "import.repository",  "blob.link",    "blob.link.after",
        "blob.dirsync",   "blob.dirsync.after", "meta.begin",   "meta.commit",
        "meta.committed", "store.setup",        "stage.create", "stage.write",
        "stage.sync",     "stage.sync.after",   "blob.replace", "blob.replace.after",
        "import.read"};
    unsigned kills = 0;
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        for (unsigned copy = 0; copy < 2; copy++)
            for (unsigned n = 1; n <= 9; n += 1 + n / 3 * 2) {
                char spec[128];
                int status = 0;
                (void)snprintf(spec, sizeof spec, "%s%s=kill@%u", before[copy], points[i],
                               strcmp(points[i], "import.read") == 0 ? n * 20 : n);
                tree_close(t);
                pid_t pid = fork();
                if (pid == 0) {
                    struct import_result r;
                    struct error err;
                    tree_open(t);
                    faults(spec);
                    _exit(tree_run(t, IMPORT_VERIFY_SIZE, false, 2, &r, &err) ? 1 : 0);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
                kills += WIFSIGNALED(status);
                tree_open(t);
                assert_same(t, spec, wanted);
                tree_reset(t);
            }
    assert_true(kills > 40);
    free(wanted);
}

/* What a kill leaves pending is settled by the next import, or by the recovery of a server. */
static void test_pending(void **state)
{
    struct tree *t = *state;
    char *wanted = make_source(t);
    int status = 0;
    tree_close(t);
    pid_t pid = fork();
    if (pid == 0) {
        struct import_result r;
        struct error err;
        tree_open(t);
        faults("import.linked=kill");
        _exit(tree_run(t, IMPORT_VERIFY_SIZE, false, 1, &r, &err) ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    tree_open(t);
    struct arena *a = arena_new(4096);
    struct meta_pending *list;
    unsigned n;
    assert_int_equal(meta_blob_pending(t->meta, SLICE_NONE, 100, a, &list, &n, NULL), 0);
    assert_true(n > 0);
    unsigned whole = 0;
    for (unsigned i = 0; i < n; i++) {
        bool ok = false;
        assert_int_equal(store_verify(t->store, &list[i].digest, list[i].size, &ok, NULL), 0);
        whole += ok;
    }
    assert_true(whole > 0 && whole + 1 >= n); /* but for the bad one */
    arena_free(a);
    assert_same(t, "kill", wanted);
    free(wanted);
}

/* Errors of the source are findings; the rest goes on. (With full, because what disagrees with a
 * manifest that cannot be read is not noticed otherwise.) */
static void test_unreadable(void **state)
{
    struct tree *t = *state;
    char *wanted = make_source(t);
    struct import_result r = {0};
    struct error err = {0};
    unsigned found = 0;
    for (unsigned i = 1; i < POINTS_MAX; i += 3) {
        char spec[64];
        (void)snprintf(spec, sizeof spec, "import.read=EIO@%u", i);
        faults(spec);
        int result = tree_run(t, IMPORT_VERIFY_FULL, i % 4 == 0, 1, &r, &err);
        faults("");
        /* Only the directory itself is not to be done without. */
        if (result != 0 && i > 8)
            fail_msg("%s: %s %s", spec, err.message, err.detail);
        found += tree_finding(t, "unreadable", "") != NULL;
        assert_true(result != 0 || r.findings > 0);
    }
    assert_true(found > 50);
    assert_same(t, "EIO", wanted);
    /* Out of descriptors or memory is of us, not of a file. */
    static const char *const own[] = {"import.read=EMFILE@40", "import.read=ENOMEM@60"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        faults(own[i]);
        assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, 1, &r, &err), -1);
        faults("");
    }
    assert_same(t, "EMFILE", wanted);
    free(wanted);
}

static void test_mark_fails(void **state)
{
    struct tree *t = *state;
    const struct import_result r = {.tags = 1};
    struct error err = {0};
    assert_int_equal(import_mark(t->data, t->data, &r, &err), 0);
    for (unsigned i = 1; i <= 8; i++) {
        char spec[64];
        (void)snprintf(spec, sizeof spec, "import.mark=EIO@%u", i);
        faults(spec);
        assert_int_equal(import_mark(t->data, t->source, &r, &err), -1);
        faults("");
        assert_int_equal(import_adopted(t->data, t->data, NULL), 1);
    }
    assert_int_equal(import_mark(t->data, t->source, &r, &err), 0);
    assert_int_equal(import_adopted(t->data, t->source, NULL), 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_call_fails), TEST(test_unread),     TEST(test_detect),     TEST(test_kill),
        TEST(test_pending),          TEST(test_unreadable), TEST(test_mark_fails),
    };
    return cmocka_run_group_tests_name("import_fault", tests, NULL, NULL);
}
