/* SPDX-License-Identifier: Apache-2.0 */
/* end-8: tags of a repository, and the catalog of repositories. Both are pages of an index range
 * scan, in byte order. */
#include "base/json.h"
#include "registry/registry_int.h"

#include "base/banned.h"

enum { LIST_BYTES_MAX = 8 * 1024 * 1024, TAGS_AT_ONCE = 10000 };

static void write_names(struct json_writer *w, const struct meta_names *names)
{
    jw_array(w);
    for (unsigned i = 0; i < names->n; i++)
        jw_string(w, names->names[i]);
    jw_array_end(w);
}

static enum step finish(struct request *r, struct buf *b, const struct meta_names *names,
                        unsigned n)
{
    buf_putc(b, '\n');
    enum step done = resp_json(r, MT_JSON, b);
    buf_release(b);
    /* distribution-spec: n=0 has an empty list and no Link. */
    if (r->resp.status == 200 && names->more && names->n > 0)
        resp_next_link(r, names->names[names->n - 1], n, NULL, SLICE_NONE);
    return done;
}

/* As registry 3.1: tags.maxtags is about the n that a client names; without one it wants all. */
static unsigned tags_most(struct request *r)
{
    unsigned most = live_of(r)->tags_page;
    struct slice n = SLICE_NONE;
    bool bad = false;
    bool named = request_query(r, "n", &n, &bad) && n.n;
    return named || most > TAGS_AT_ONCE ? most : TAGS_AT_ONCE;
}

enum step tags_get(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    unsigned n;
    struct slice last;
    struct meta_names names = {0};
    if (req_page(r, tags_most(r), &n, &last, &err))
        return step_error(r, &err);
    if (meta_tags(reg->c.meta, req_repo(r), last, n, r->arena, &names, &err)) {
        if (err.code == ERR_NAME_UNKNOWN)
            error_detail(&err, ERR_NAME_UNKNOWN, "there is no repository %.*s",
                         SLICE_ARG(req_repo(r)));
        return step_error(r, &err);
    }
    struct buf b;
    struct json_writer w;
    buf_init(&b, LIST_BYTES_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "name");
    jw_string(&w, req_repo(r));
    jw_key(&w, "tags");
    write_names(&w, &names);
    jw_object_end(&w);
    return finish(r, &b, &names, n);
}

enum step catalog_get(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    unsigned n;
    struct slice last;
    struct meta_names names = {0};
    if (req_page(r, live_of(r)->catalog_page, &n, &last, &err) ||
        meta_repositories(reg->c.meta, last, n, r->arena, &names, &err))
        return step_error(r, &err);
    struct buf b;
    struct json_writer w;
    buf_init(&b, LIST_BYTES_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "repositories");
    write_names(&w, &names);
    jw_object_end(&w);
    return finish(r, &b, &names, n);
}
