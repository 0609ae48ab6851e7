/* SPDX-License-Identifier: Apache-2.0 */
/* What is made from the schema table for people: the reference page, help, and a commented file. */
#include <stdio.h>

#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

enum { TEXT_WIDTH = 96 };

static const char *const kind_names[] = {
    [K_STRUCT] = "section",
    [K_PARAMS] = "section",
    [K_MAP] = "section",
    [K_LIST] = "list",
    [K_TEXTS] = "list of strings",
    [K_HEADERS] = "section of lists",
    [K_ANY] = "anything",
    [K_STRING] = "string",
    [K_BOOL] = "true or false",
    [K_COUNT] = "whole number",
    [K_SIZE] = "size",
    [K_DURATION] = "duration",
    [K_CHOICE] = "one of",
};

static bool is_section(const struct schema *row)
{
    return row->kind == K_STRUCT || row->kind == K_PARAMS;
}

/* ---- docs/options.md ---- */

static const char intro[] =
    "# Options\n"
    "\n"
    "Made from the schema table (`berth help options --markdown`); a test fails when it is stale.\n"
    "[configuration.md](configuration.md) tells how files, variables and flags go together.\n"
    "\n"
    "An option is given in the configuration file (nested), as an environment variable, or as a "
    "flag `--name=value`; a flag wins over the environment, which wins over the file. "
    "`<N>` is the number of a list's element, from 0. Changes of options marked *reload* take "
    "effect on SIGHUP; the others wait for a restart. A secret can be kept in a file that the "
    "variable with `_FILE` at its end names.\n"
    "\n"
    "Durations are written 250ms, 10s, 1h30m; sizes 4096, 16KiB, 64MiB, 1GiB.\n"
    "\n"
    "```yaml\n"
    "version: 0.1\n"
    "http:\n"
    "  addr: 127.0.0.1:5000\n"
    "storage:\n"
    "  filesystem:\n"
    "    rootdirectory: /srv/berth\n"
    "  delete:\n"
    "    enabled: true\n"
    "log:\n"
    "  level: info\n"
    "```\n"
    "\n"
    "## Honoured\n"
    "\n"
    "Options in *italics* are berth's own; all others are registry's.\n"
    "\n"
    "| option | environment | type | default | reload | what it does |\n"
    "|---|---|---|---|---|---|\n";

static void cell(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++)
        *p == '|' ? buf_puts(out, "\\|") : buf_putc(out, *p);
}

static void honoured_line(const struct schema *row, struct buf *out)
{
    const char *mark = row->flags & F_OURS ? "*" : "";
    buf_printf(out, "| %s`%s`%s | `", mark, row->name, mark);
    schema_variable(row, out);
    buf_printf(out, "` | %s", kind_names[row->kind]);
    if (row->kind == K_CHOICE) {
        buf_putc(out, ' ');
        for (const char *p = row->unit; *p; p++)
            *p == '|' ? buf_puts(out, ", ") : buf_putc(out, *p);
    } else if (row->unit) {
        buf_printf(out, ", %s", row->unit);
    }
    buf_puts(out, row->flags & F_SECRET ? ", secret" : "");
    buf_printf(out, " | `%s` | %s | ", row->def && *row->def ? row->def : " ",
               schema_live(row) ? "yes" : "no");
    cell(out, row->doc);
    buf_puts(out, " |\n");
}

static void instead_table(enum schema_status status, struct buf *out)
{
    size_t n;
    const struct schema *rows = schema_rows(&n);
    for (size_t i = 1; i < n; i++) {
        if (rows[i].status != status)
            continue;
        buf_printf(out, "| `%s` | ", rows[i].name);
        cell(out, rows[i].doc);
        buf_puts(out, " | ");
        cell(out, rows[i].text);
        buf_puts(out, " |\n");
    }
}

void config_markdown(struct buf *out)
{
    size_t n;
    const struct schema *rows = schema_rows(&n);
    buf_puts(out, intro);
    for (size_t i = 1; i < n; i++)
        if (!is_section(&rows[i]) && (rows[i].status == S_HONOURED || rows[i].status == S_QUIET))
            honoured_line(&rows[i], out);
    buf_puts(out,
             "\n## Ignored\n\nOf registry's, and not needed here: a warning says so when one of "
             "them asks for something.\n\n| option | what it is in registry | what happens "
             "instead |\n|---|---|---|\n");
    instead_table(S_IGNORED, out);
    buf_puts(out,
             "\n## Refused\n\nOf registry's, and the registry could not do its job without it: "
             "berth does not start.\n\n| option | what it is in registry | what to do "
             "|\n|---|---|---|\n");
    instead_table(S_REFUSED, out);
}

/* ---- help ---- */

/* Words of text, broken before the line gets longer than TEXT_WIDTH. */
static void wrap(struct buf *out, const char *prefix, const char *text)
{
    size_t column = 0;
    for (struct slice rest = slice_cstr(text); rest.p;) {
        struct slice word = slice_cut(&rest, ' ');
        if (column && column + 1 + word.n > TEXT_WIDTH) {
            buf_putc(out, '\n');
            column = 0;
        }
        if (!column) {
            buf_puts(out, prefix);
            column = strlen(prefix);
        } else {
            buf_putc(out, ' ');
            column++;
        }
        buf_slice(out, word);
        column += word.n;
    }
    buf_putc(out, '\n');
}

void config_help_text(struct buf *out)
{
    size_t n;
    const struct schema *rows = schema_rows(&n);
    for (size_t i = 1; i < n; i++) {
        const struct schema *row = &rows[i];
        if (row->status != S_HONOURED || (row->flags & F_HIDDEN) || !schema_plain(row) ||
            is_section(row))
            continue;
        const char *shown = row->def && *row->def                         ? row->def
                            : schema_scalar(row)                          ? "\"\""
                            : row->kind == K_LIST || row->kind == K_TEXTS ? "[]"
                                                                          : "{}";
        buf_printf(out, "  --%s=%s\n", row->name, shown);
        wrap(out, "        ", row->doc);
        if (row->kind == K_CHOICE)
            buf_printf(out, "        (%s)\n", row->unit);
    }
}

/* ---- a commented file ---- */

static const char file_intro[] =
    "# The configuration of berth: registry's config.yml, version 0.1, with further keys of "
    "berth's own.\n"
    "# What is commented out is the default, or an example. `berth config check FILE` looks for\n"
    "# mistakes, `berth config dump --show-origin FILE` shows what is in force, and "
    "docs/options.md "
    "has it\n"
    "# all in a table. Every key can be given as a variable (REGISTRY_HTTP_ADDR) or as a flag\n"
    "# (--http.addr=VALUE) too.\n"
    "version: 0.1\n";

/* Sections that mean something by being there: commented out as a whole. */
static bool is_optional(struct slice name)
{
    return slice_is(name, "auth") || slice_is(name, "storage.filesystem") ||
           slice_is(name, "storage.inmemory");
}

static unsigned depth_of(const char *name)
{
    unsigned depth = 0;
    while ((name = strchr(name, '.'))) {
        depth++;
        name++;
    }
    return depth;
}

/* The depth of the optional section that the key is in (or is); UINT_MAX when it is in none. */
static unsigned optional_depth(const char *name)
{
    unsigned depth = 0;
    size_t all = strlen(name);
    for (size_t n = 0; n <= all; n++) {
        if (name[n] && name[n] != '.')
            continue;
        if (is_optional(slice_make(name, n)))
            return depth;
        depth++;
    }
    return UINT32_MAX;
}

/* Indentation, with the # of an optional section at that section's own. */
static void file_prefix(const char *name, char *out, size_t size)
{
    unsigned depth = depth_of(name);
    unsigned optional = optional_depth(name);
    size_t n = 0;
    for (unsigned i = 0; i < depth && n + 4 < size; i++) {
        if (i == optional)
            out[n++] = '#';
        out[n++] = ' ';
        out[n++] = ' ';
    }
    if (depth == optional)
        out[n++] = '#';
    out[n] = '\0';
}

static void wrap_choices(struct buf *out, const char *prefix, const char *choices)
{
    CLEANUP_BUF struct buf text = {0};
    buf_init(&text, 1024);
    buf_puts(&text, "One of: ");
    for (const char *p = choices; *p; p++)
        *p == '|' ? buf_puts(&text, ", ") : buf_putc(&text, *p);
    buf_putc(&text, '.');
    wrap(out, prefix, text.p);
}

static void file_row(const struct schema *row, struct buf *out)
{
    char prefix[64];
    char comment[72];
    bool inside = optional_depth(row->name) != UINT32_MAX;
    file_prefix(row->name, prefix, sizeof prefix);
    (void)snprintf(comment, sizeof comment, "%s%s ", prefix,
                   prefix[0] && prefix[strlen(prefix) - 1] == '#' ? "" : "#");
    if (!depth_of(row->name))
        buf_putc(out, '\n');
    wrap(out, comment, row->doc);
    if (row->kind == K_CHOICE)
        wrap_choices(out, comment, row->unit);
    if (row->kind == K_PARAMS && slice_is(slice_cstr(row->name), "storage.inmemory")) {
        buf_printf(out, "%s%s: {}\n", prefix, schema_key(row));
        return;
    }
    if (is_section(row)) {
        buf_printf(out, "%s%s:\n", prefix, schema_key(row));
        return;
    }
    buf_printf(out, "%s%s%s: ", prefix, inside ? "" : "#", schema_key(row));
    if (row->example && (!schema_scalar(row) || *row->example == '['))
        buf_puts(out, row->example);
    else if (row->example)
        yaml_quote(out, slice_cstr(row->example));
    else if (row->kind == K_STRING)
        yaml_quote(out, slice_cstr(row->def ? row->def : ""));
    else
        buf_puts(out, row->def && *row->def ? row->def : row->kind == K_BOOL ? "true" : "[]");
    buf_putc(out, '\n');
}

void config_init(struct buf *out)
{
    size_t n;
    const struct schema *rows = schema_rows(&n);
    buf_puts(out, file_intro);
    for (size_t i = 1; i < n; i++)
        if (rows[i].status == S_HONOURED && !(rows[i].flags & F_HIDDEN) && schema_plain(&rows[i]) &&
            !slice_is(slice_cstr(rows[i].name), "storage.redirect") &&
            !slice_is(slice_cstr(rows[i].name), "http.http2"))
            file_row(&rows[i], out);
}
