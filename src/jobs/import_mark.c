/* SPDX-License-Identifier: Apache-2.0 */
/* adopted.json: what was imported into a data directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/util.h"
#include "jobs/import_int.h"
#include "os/clock.h"
#include "os/file.h"

#include "base/banned.h"

enum { FILE_MAX = 256 * 1024, ENTRIES_MAX = 64, FILE_MODE = 0600 };

static const char file_name[] = "adopted.json";
static const char temp_name[] = "adopted.json.new";

static int data_open(const char *data_directory, struct error *err)
{
    char *path;
    if (asprintf(&path, "%s/.", data_directory) < 0)
        return error_sys(err, ENOMEM, "open %s", data_directory);
    int fd = os_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, "import.mark", err);
    free(path);
    return fd;
}

/* What a source is called: "." for the data directory itself, so that it may be moved; else its
 * absolute path. The caller frees it. NULL with errno. */
static char *source_name(const char *data_directory, const char *directory)
{
    CLEANUP_FREE char *data = realpath(data_directory, NULL);
    char *source = realpath(directory, NULL);
    if (!data || !source || strcmp(data, source) != 0)
        return source;
    free(source);
    return xstrdup(".");
}

enum { MARK_NONE = 1, MARK_DAMAGED };

/* The file's document: 0, MARK_NONE, MARK_DAMAGED, or -1. */
static int mark_read(int dir, struct json_doc **out, struct error *err)
{
    struct error why = {0};
    CLEANUP_CLOSE int fd = os_open(dir, file_name, O_RDONLY, 0, "import.mark", &why);
    if (fd < 0 && why.sys == ENOENT)
        return MARK_NONE;
    CLEANUP_FREE char *text = xcalloc(1, FILE_MAX);
    ssize_t n = fd < 0 ? -1 : os_pread_full(fd, text, FILE_MAX, 0, "import.mark", &why);
    if (n < 0) {
        if (err)
            *err = why;
        return -1;
    }
    return jdoc_parse(slice_make(text, (size_t)n), ERR_UNKNOWN, out, NULL) == 0 ? 0 : MARK_DAMAGED;
}

/* To take "cannot be read" for "no" would do it again, and turn back every tag that was pushed
 * since. */
static int mark_doubtful(const char *data_directory, const struct error *why, struct error *err)
{
    return error_detail(err, ERR_UNAVAILABLE,
                        "%s/%s: %s; it says what was taken over already. Restore it; or remove it, "
                        "and then the tags will be as the registry has them",
                        data_directory, file_name, why->message[0] ? why->message : "is damaged");
}

int import_adopted(const char *data_directory, const char *directory, struct error *err)
{
    struct json_doc *doc CLEANUP_JSON = NULL;
    struct error why = {0};
    CLEANUP_CLOSE int dir = data_open(data_directory, &why);
    if (dir < 0)
        return why.sys == ENOENT ? 0 : mark_doubtful(data_directory, &why, err);
    int r = mark_read(dir, &doc, &why);
    if (r == MARK_NONE)
        return 0;
    const struct json_value *list = jv_get(jdoc_root(doc), "imports");
    if (r != 0 || !list)
        return mark_doubtful(data_directory, &why, err);
    CLEANUP_FREE char *name = source_name(data_directory, directory);
    for (size_t i = 0; name && i < jv_count(list); i++)
        if (slice_is(jv_string(jv_get(jv_at(list, i), "source")), name))
            return 1;
    return 0;
}

static void count_put(struct json_writer *w, const char *key, uint64_t n)
{
    jw_key(w, key);
    jw_int(w, (int64_t)n);
}

static void entry_put(struct json_writer *w, const char *name, const struct import_result *r)
{
    char now[21];
    os_rfc3339(os_wall_ms(), now);
    jw_object(w);
    jw_key(w, "source");
    jw_cstr(w, name);
    jw_key(w, "finished");
    jw_cstr(w, now);
    count_put(w, "repositories", r->repositories);
    count_put(w, "manifests", r->manifests);
    count_put(w, "tags", r->tags);
    count_put(w, "links", r->links);
    count_put(w, "blobs", r->blobs_linked + r->blobs_copied + r->blobs_inline + r->blobs_present);
    count_put(w, "bytes", r->blobs_bytes);
    count_put(w, "findings", r->findings);
    jw_object_end(w);
}

/* The new entry, and the others that were there. */
static int compose(struct buf *out, const struct json_doc *old, const char *name,
                   const struct import_result *result)
{
    struct json_writer w;
    const struct json_value *list = jv_get(old ? jdoc_root(old) : NULL, "imports");
    jw_init(&w, out);
    jw_object(&w);
    jw_key(&w, "version");
    jw_int(&w, 1);
    jw_key(&w, "imports");
    jw_array(&w);
    entry_put(&w, name, result);
    for (size_t i = 0; i < jv_count(list); i++) {
        const struct json_value *entry = jv_at(list, i);
        /* The oldest are forgotten, but not the one that a start asks for. */
        if (i >= ENTRIES_MAX - 1 && !slice_is(jv_string(jv_get(entry, "source")), "."))
            continue;
        CLEANUP_BUF struct buf one = {0};
        buf_init(&one, FILE_MAX);
        if (slice_is(jv_string(jv_get(entry, "source")), name) || jv_dump(entry, &one) != 0)
            continue;
        jw_raw(&w, buf_view(&one));
    }
    jw_array_end(&w);
    jw_object_end(&w);
    buf_putc(out, '\n');
    return out->failed ? -1 : 0;
}

/* A file of that content takes the place of the old one, durable. */
static int replace(int dir, struct slice text, struct error *err)
{
    CLEANUP_CLOSE int fd =
        os_open(dir, temp_name, O_RDWR | O_CREAT | O_TRUNC, FILE_MODE, "import.mark", err);
    if (fd < 0 || os_pwrite_all(fd, text.p, text.n, 0, "import.mark", err) != 0 ||
        os_fsync(fd, "import.mark", err) != 0 ||
        os_rename(dir, temp_name, dir, file_name, "import.mark", err) != 0)
        return -1;
    return os_fsync(dir, "import.mark", err);
}

int import_mark(const char *data_directory, const char *directory,
                const struct import_result *result, struct error *err)
{
    struct json_doc *doc CLEANUP_JSON = NULL;
    CLEANUP_BUF struct buf text = {0};
    buf_init(&text, FILE_MAX);
    CLEANUP_CLOSE int dir = data_open(data_directory, err);
    if (dir < 0)
        return -1;
    int r = mark_read(dir, &doc, err);
    /* A new file in its place would forget what else was taken over, and a start would do that
     * again. */
    if (r == MARK_DAMAGED)
        return mark_doubtful(data_directory, &(struct error){0}, err);
    if (r < 0)
        return -1;
    CLEANUP_FREE char *name = source_name(data_directory, directory);
    if (!name)
        return error_sys(err, errno, "find %s", directory);
    if (compose(&text, doc, name, result) != 0)
        return error_set(err, ERR_UNKNOWN, "%s is too long", file_name);
    return replace(dir, buf_view(&text), err);
}
