/* SPDX-License-Identifier: Apache-2.0 */
/* The storage section: one driver, and what goes for all of them. */
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

/* Keys of the section that are no drivers. */
static bool is_sibling(const char *key)
{
    static const char *const siblings[] = {"cache", "delete",  "redirect", "maintenance",
                                           "tag",   "workers", "adopt"};
    for (size_t i = 0; i < ARRAY_LEN(siblings); i++)
        if (slice_is(slice_cstr(key), siblings[i]))
            return true;
    return false;
}

static void two_drivers(struct config *c, const struct member *first, const struct member *second)
{
    CLEANUP_BUF struct buf where = {0};
    struct slice one = slice_first(text_shown(slice_cstr(first->key)), 40);
    struct slice other = slice_first(text_shown(slice_cstr(second->key)), 40);
    buf_init(&where, 8192);
    origin_print(&first->origin, &where);
    if (first->origin.kind == FROM_FILE && second->origin.kind == FROM_VARIABLE)
        note_add(c, CONFIG_ERROR, &second->origin, "storage",
                 "the driver is %.*s (%s), and this variable names another, %.*s: set "
                 "REGISTRY_STORAGE=%.*s too, which drops what the file says",
                 SLICE_ARG(one), where.p, SLICE_ARG(other), SLICE_ARG(other));
    else
        note_add(c, CONFIG_ERROR, &second->origin, "storage",
                 "two drivers, %.*s (%s) and %.*s: there has to be one", SLICE_ARG(one),
                 where.p ? where.p : "", SLICE_ARG(other));
}

static void bind_driver(struct config *c)
{
    const struct node *n = bind_given(c, "storage");
    const struct member *driver = NULL;
    struct settings *s = &c->settings;
    for (unsigned i = 0; n && n->kind == NODE_MAP && i < n->n; i++) {
        if (is_sibling(n->v[i].key))
            continue;
        if (driver)
            two_drivers(c, driver, &n->v[i]);
        else
            driver = &n->v[i];
    }
    s->in_memory = driver && slice_is(slice_cstr(driver->key), "inmemory");
    if (driver && slice_is(slice_cstr(driver->key), "filesystem") &&
        !bind_given(c, "storage.filesystem.rootdirectory")) {
        note_add(c, CONFIG_WARNING, &driver->origin, "storage.filesystem.rootdirectory",
                 "not given; taken as /var/lib/registry, which is registry's default");
        s->root_directory = bind_copy(c, "/var/lib/registry");
    }
}

/* Registry panics when one of them is missing. */
static void check_purging(struct config *c)
{
    static const char *const keys[] = {"age", "interval", "dryrun"};
    static const char section[] = "storage.maintenance.uploadpurging";
    CLEANUP_BUF struct buf missing = {0};
    const struct node *n = bind_given(c, section);
    buf_init(&missing, 128);
    if (!n || !c->settings.purge_enabled)
        return;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!node_get(n, keys[i]))
            buf_printf(&missing, "%s%s", missing.n ? ", " : "", keys[i]);
    struct origin o = bind_origin(c, section);
    /* Who sets one of them by a flag has read about the others. */
    if (missing.n && o.kind != FROM_FLAG)
        note_add(c, CONFIG_WARNING, &o, section, "not given, and taken by default: %s", missing.p);
}

/* Who brings a file of registry's gets registry's default: no file without the key switches deletes
 * on. A switch without a value is off in registry, and so is one in quotes, which is text and no
 * truth; here too. */
static void check_delete(struct config *c)
{
    static const char key[] = "storage.delete.enabled";
    const struct node *n = node_find(c->root, key);
    if (!n)
        c->settings.delete_enabled = !c->file;
    bool text = n && n->kind == NODE_SCALAR && n->quoted && c->settings.delete_enabled;
    if (!n || !(text || n->kind == NODE_NULL))
        return;
    struct origin o = bind_origin(c, key);
    note_add(c, CONFIG_WARNING, &o, key,
             text ? "in quotes this is text; taken as false, as in registry: write it without them"
                  : "has no value; taken as false, as in registry");
    c->settings.delete_enabled = false;
}

void bind_storage(struct config *c)
{
    bind_driver(c);
    check_delete(c);
    check_purging(c);
}
