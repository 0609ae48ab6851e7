/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/man.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "cli/command.h"
#include "cli/usage.h"
#include "main/config.h"

#include "base/banned.h"

enum { FILL_COLUMNS = 76 };

/* --- roff ------------------------------------------------------------------------------------ */

static void put_char(struct buf *b, char c)
{
    switch (c) {
    case '\\':
        buf_puts(b, "\\e");
        break;
    case '-': /* what is copied from a page has to be typeable */
        buf_puts(b, "\\-");
        break;
    case '\'':
        buf_puts(b, "\\(aq");
        break;
    case '^':
        buf_puts(b, "\\(ha");
        break;
    case '~':
        buf_puts(b, "\\(ti");
        break;
    default:
        buf_putc(b, c);
    }
}

/* Escaped. `code` in the text is bold; *bold carries over from piece to piece. */
static void put_marked(struct buf *b, struct slice s, bool *bold)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '`') {
            put_char(b, s.p[i]);
            continue;
        }
        *bold = !*bold;
        buf_puts(b, *bold ? "\\fB" : "\\fR");
    }
}

/* A paragraph, wrapped; a word that would begin a request is told that it is text. */
static void put_fill(struct buf *b, struct slice text)
{
    bool bold = false;
    size_t line = b->n; /* where the line begins */
    for (size_t i = 0; i < text.n;) {
        size_t from = i, space = b->n;
        while (i < text.n && text.p[i] != ' ' && text.p[i] != '\n')
            i++;
        struct slice word = slice_make(text.p + from, i - from);
        while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\n'))
            i++;
        if (word.n == 0)
            continue;
        if (space > line)
            buf_putc(b, ' ');
        if (word.p[0] == '.' || word.p[0] == '\'')
            buf_puts(b, "\\&");
        put_marked(b, word, &bold);
        if (space > line && b->n - line > FILL_COLUMNS && !b->failed) {
            b->p[space] = '\n';
            line = space + 1;
        }
    }
    buf_puts(b, bold ? "\\fR\n" : "\n");
}

/* A line as it is. */
static void put_literal(struct buf *b, struct slice line)
{
    bool bold = false;
    if (line.n && (line.p[0] == '.' || line.p[0] == '\''))
        buf_puts(b, "\\&");
    put_marked(b, line, &bold);
    buf_puts(b, bold ? "\\fR\n" : "\n");
}

static bool is_indented(struct slice line)
{
    return line.n > 1 && (line.p[0] == ' ' || line.p[0] == '\t');
}

static size_t indent_of(struct slice line)
{
    size_t n = 0;
    while (n < line.n && line.p[n] == ' ')
        n++;
    return n;
}

/* Indented lines are shown as they are, less the indent of the first. */
static struct slice put_example(struct buf *b, struct slice text)
{
    size_t indent = indent_of(text);
    buf_puts(b, ".RS 4\n.nf\n");
    while (text.n) {
        struct slice rest = text;
        struct slice line = slice_cut(&rest, '\n');
        if (line.n && !is_indented(line))
            break;
        /* Blank lines at the end of an example belong to what follows. */
        struct slice after = rest;
        while (line.n == 0 && after.n && after.p[0] == '\n')
            after = slice_from(after, 1);
        if (line.n == 0 && !is_indented(after))
            break;
        put_literal(b, slice_from(line, MIN(indent, indent_of(line))));
        text = rest;
    }
    buf_puts(b, ".fi\n.RE\n");
    return text;
}

/* "  --strict  what it does" or "check   what it does": where the text begins, or 0. */
static size_t entry_column(struct slice line)
{
    size_t from = indent_of(line), i = from;
    bool option = i < line.n && line.p[i] == '-';
    if (!option && (from > 0 || !line.n || !islower((unsigned char)line.p[0])))
        return 0;
    while (i + 2 < line.n && !(line.p[i] == ' ' && line.p[i + 1] == ' ')) {
        if (!option && line.p[i] == ' ')
            return 0;
        i++;
    }
    size_t column = i + indent_of(slice_from(line, i));
    return i + 2 < line.n && column < line.n ? column : 0;
}

/* A term and its text, which goes on in the lines that are indented as far. */
static struct slice put_entry(struct buf *b, struct slice text, size_t column)
{
    CLEANUP_BUF struct buf description = {0};
    buf_init(&description, (size_t)1 << 16);
    struct slice rest = text;
    struct slice line = slice_cut(&rest, '\n');
    struct slice term = slice_trim(slice_first(line, column));
    buf_slice(&description, slice_from(line, column));
    while (rest.n) {
        struct slice after = rest;
        line = slice_cut(&after, '\n');
        if (line.n <= column || indent_of(line) < column)
            break;
        buf_putc(&description, ' ');
        buf_slice(&description, slice_trim(line));
        rest = after;
    }
    bool bold = false;
    buf_puts(b, ".TP\n\\fB");
    put_marked(b, term, &bold);
    buf_puts(b, "\\fR\n");
    put_fill(b, buf_view(&description));
    return rest;
}

static bool ends_paragraph(struct slice text, size_t n)
{
    if (text.p[n] != '\n')
        return false;
    struct slice rest = slice_from(text, n + 1);
    struct slice next = rest;
    next = slice_cut(&rest, '\n');
    return next.n == 0 || is_indented(next) || entry_column(next);
}

/* The text of a help: paragraphs, lists of options or words, and examples. */
static void put_text(struct buf *b, struct slice text)
{
    bool entry = false, first = true;
    while (text.n) {
        struct slice rest = text;
        struct slice line = slice_cut(&rest, '\n');
        size_t column = entry_column(line);
        if (line.n == 0) {
            text = rest;
        } else if (column) {
            text = put_entry(b, text, column);
            entry = true;
        } else if (is_indented(text)) {
            text = put_example(b, text);
        } else {
            size_t n = 0;
            while (n < text.n && !ends_paragraph(text, n))
                n++;
            if (!first || entry)
                buf_puts(b, ".PP\n");
            put_fill(b, slice_first(text, n));
            text = slice_from(text, n + 1);
            entry = false;
        }
        first = false;
    }
}

static void put_cstr(struct buf *b, const char *text)
{
    put_text(b, slice_cstr(text));
}

static void put_escaped(struct buf *b, const char *text)
{
    for (; *text; text++)
        put_char(b, *text);
}

/* --- parts of pages -------------------------------------------------------------------------- */

static void put_title(struct buf *b, const char *name, char section)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds = 0;
    time_t now = time(NULL);
    struct tm tm = {0};
    char date[16] = "";
    if (epoch && parse_u63(slice_cstr(epoch), &seconds) == 0)
        now = (time_t)seconds;
    if (gmtime_r(&now, &tm))
        (void)strftime(date, sizeof date, "%Y-%m-%d", &tm);
    buf_puts(b, ".\\\" Made by `berth help man`; what it says is in the source's tables.\n.TH ");
    for (const char *p = name; *p; p++)
        buf_putc(b, (char)toupper((unsigned char)*p));
    buf_printf(b, " %c %s \"berth %s\" \"berth\"\n", section, date, BERTH_VERSION);
    /* Names of options are neither stretched nor broken. */
    buf_puts(b, ".ad l\n.nh\n.SH NAME\n");
    put_escaped(b, name);
    buf_puts(b, " \\- ");
}

static void put_see_also(struct buf *b, const char *own)
{
    const char *sep = "";
    buf_puts(b, ".SH SEE ALSO\n");
    CLEANUP_BUF struct buf names = {0};
    buf_init(&names, (size_t)1 << 16);
    man_names(&names);
    struct slice rest = buf_view(&names);
    while (rest.n) {
        struct slice name = slice_cut(&rest, '\n');
        if (name.n == 0 || slice_is(name, own))
            continue;
        buf_printf(b, "%s.BR ", sep);
        for (size_t i = 0; i < name.n - 2; i++)
            put_char(b, name.p[i]);
        buf_printf(b, " (%c)", name.p[name.n - 1]);
        sep = ",\n";
    }
    buf_putc(b, '\n');
}

static void put_exit_status(struct buf *b, const char *help)
{
    buf_puts(b, ".SH EXIT STATUS\n.TP\n.B 0\nDone.\n.TP\n.B 1\nIt failed; standard error says "
                "why.\n.TP\n.B 2\nIt was called in a way that it does not understand.\n");
    if (help && strstr(help, "tatus 3"))
        buf_puts(b, ".TP\n.B 3\nAs described above.\n");
}

/* Words in capitals are placeholders, the rest is typed as it is. */
static void put_usage(struct buf *b, struct slice text)
{
    bool word = false, italic = false;
    size_t line = b->n;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool letter = isalpha((unsigned char)c) != 0;
        bool capitals = isupper((unsigned char)c) &&
                        (i + 1 == text.n || !islower((unsigned char)text.p[i + 1]));
        if (letter && !word && capitals && !(i > 0 && text.p[i - 1] == '-')) {
            buf_puts(b, "\\fI");
            italic = true;
        } else if (!letter && italic) {
            buf_puts(b, "\\fR");
            italic = false;
        }
        word = letter;
        if (c == ' ' && b->n - line > FILL_COLUMNS - 16) {
            buf_putc(b, '\n');
            line = b->n;
            continue;
        }
        if (b->n == line && c == '.')
            buf_puts(b, "\\&");
        put_char(b, c);
    }
    buf_puts(b, italic ? "\\fR\n" : "\n");
}

static void put_synopsis(struct buf *b, const struct command *c)
{
    struct slice whole = slice_trim(slice_cstr(c->arguments));
    struct slice rest = usage_unwrap(whole);
    /* All in brackets: it can be called without any. */
    bool alone = rest.n != whole.n && memchr(rest.p, '|', rest.n);
    buf_puts(b, ".SH SYNOPSIS\n");
    if (!alone)
        rest = whole;
    if (alone || rest.n == 0)
        buf_printf(b, ".B berth %s\n", c->name);
    for (bool first = !alone; rest.n; first = false) {
        if (!first)
            buf_puts(b, ".br\n");
        buf_printf(b, ".B berth %s\n", c->name);
        put_usage(b, usage_cut(&rest));
    }
}

/* What its value looks like: a word, or the alternatives. */
static void put_form(struct buf *b, const struct config_option *o)
{
    for (const char *p = o->choices ? o->choices : o->type; *p; p++) {
        put_char(b, *p);
        if (*p == '|')
            buf_puts(b, "\\:"); /* a line may be broken here */
    }
}

static void put_about(struct buf *b, const struct config_option *o)
{
    put_fill(b, slice_cstr(o->doc));
    if (o->instead) {
        put_fill(b, o->refused ? SLICE_LIT("What to do:") : SLICE_LIT("Instead:"));
        put_fill(b, slice_cstr(o->instead));
    }
    if (o->example) {
        CLEANUP_BUF struct buf text = {0};
        buf_init(&text, 4096);
        buf_printf(&text, "Example: %s", o->example);
        buf_puts(b, ".br\n");
        put_fill(b, buf_view(&text));
    }
}

static void put_flag(struct buf *b, const struct config_option *o)
{
    buf_puts(b, ".TP\n\\fB");
    put_escaped(b, "--");
    put_escaped(b, o->name);
    buf_puts(b, "\\fR=\\fI");
    put_form(b, o);
    buf_puts(b, "\\fR");
    if (*o->def) {
        buf_puts(b, " (default: ");
        put_escaped(b, o->def);
        buf_putc(b, ')');
    }
    buf_putc(b, '\n');
    put_about(b, o);
}

static void put_key(struct buf *b, const struct config_option *o)
{
    buf_puts(b, ".TP\n\\fB");
    put_escaped(b, o->name);
    buf_puts(b, "\\fR (");
    put_form(b, o);
    if (*o->def && !o->instead) {
        buf_puts(b, "; default: ");
        put_escaped(b, o->def);
    }
    buf_puts(b, ")\n");
    put_about(b, o);
    if (o->reloadable && !o->instead)
        buf_puts(b, ".br\nA reload changes it.\n");
}

static void put_flags(struct buf *b)
{
    struct config_option o;
    for (size_t at = 0; config_option_next(&at, &o);)
        if (o.flag)
            put_flag(b, &o);
}

/* Those that are honoured, or those that are not. */
static void put_keys(struct buf *b, bool honoured, bool refused)
{
    struct config_option o;
    for (size_t at = 0; config_option_next(&at, &o);)
        if (honoured ? !o.instead : o.instead && o.refused == refused)
            put_key(b, &o);
}

/* --- pages ----------------------------------------------------------------------------------- */

static void page_of_berth(struct buf *b)
{
    put_title(b, "berth", '1');
    buf_puts(b, "a private container registry in one small process\n.SH SYNOPSIS\n.B berth\n"
                "\\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n.SH DESCRIPTION\n");
    put_cstr(b, "berth is an OCI distribution server: docker, podman, containerd, skopeo and every "
                "other client push to it and pull from it unmodified. It takes the configuration "
                "file, the environment and the data directory of registry:2 and registry:3.");
    buf_puts(b, ".SH COMMANDS\n");
    for (const struct command *const *c = commands; *c; c++) {
        buf_puts(b, ".TP\n.B ");
        put_escaped(b, (*c)->name);
        buf_putc(b, '\n');
        put_fill(b, slice_cstr((*c)->summary));
    }
    buf_puts(b, ".SH ENVIRONMENT\n.TP\n.B REGISTRY_CONFIGURATION_PATH\n");
    put_cstr(b, "The configuration file, when none is named.");
    buf_puts(b, ".TP\n.BR REGISTRY_ ...\n");
    put_cstr(b, "Every setting has a variable: `REGISTRY_HTTP_ADDR` is `http.addr`.");
    buf_puts(b, ".TP\n.BR NOTIFY_SOCKET \", \" WATCHDOG_USEC \", \" LISTEN_FDS\n");
    put_cstr(b, "Set by systemd: where to tell that berth is ready and alive, and the sockets that "
                "it is given.");
    buf_puts(b, ".SH FILES\n.TP\n.I /etc/berth/config.yml\n");
    put_cstr(b, "The configuration of the Debian package.");
    buf_puts(b, ".TP\n.I /var/lib/berth\n");
    put_cstr(b, "The data, unless `storage.filesystem.rootdirectory` says otherwise.");
    put_exit_status(b, NULL);
    put_see_also(b, "berth.1");
}

static void page_of_command(struct buf *b, const struct command *c)
{
    char name[64];
    (void)snprintf(name, sizeof name, "berth-%s", c->name);
    put_title(b, name, '1');
    put_fill(b, slice_cstr(c->summary));
    put_synopsis(b, c);
    buf_puts(b, ".SH DESCRIPTION\n");
    put_cstr(b, c->help ? c->help : c->summary);
    if (c == &command_serve) {
        buf_puts(b, ".SH OPTIONS\n");
        put_cstr(b, "Every setting of the configuration can be given as an option, which wins over "
                    "the environment and the file. A list or a section is YAML; the elements of a "
                    "list have numbers (`--http.listeners.0.addr=:80`), and the keys of a section "
                    "names (`--log.fields.site=a`).");
        put_flags(b);
        buf_puts(b, ".SH SIGNALS\n.TP\n.BR SIGTERM \", \" SIGINT\n");
        put_cstr(b, "Finishes the requests that run, and ends; a second one ends at once.");
        buf_puts(b, ".TP\n.B SIGHUP\n");
        put_cstr(b, "Reads the configuration, the certificates and the htpasswd file again. What "
                    "is wrong is logged, and the old stays in force.");
    }
    put_exit_status(b, c->help);
    (void)snprintf(name, sizeof name, "berth-%s.1", c->name);
    put_see_also(b, name);
}

static void page_of_config(struct buf *b)
{
    put_title(b, "berth-config", '5');
    buf_puts(b, "the configuration file of berth\n.SH DESCRIPTION\n");
    put_cstr(
        b,
        "A YAML file in the form of registry:2 and registry:3 (version 0.1), with a few keys of "
        "berth's own. `berth config init` writes one with comments, `berth config check` looks at "
        "one, `berth config dump --show-origin` shows what is in force and where it comes from.\n"
        "\n"
        "Durations are written 250ms, 10s, 1h30m; sizes 4096, 16KiB, 64MiB, 1GiB. A dot in the "
        "names below is a level of the file:\n\n"
        "  version: 0.1\n"
        "  http:\n"
        "    addr: :5000\n"
        "    tls:\n"
        "      certificate: /etc/berth/tls/server.pem\n"
        "      key: /etc/berth/tls/server.key\n"
        "  storage:\n"
        "    filesystem:\n"
        "      rootdirectory: /var/lib/berth\n"
        "  auth:\n"
        "    htpasswd:\n"
        "      realm: berth\n"
        "      path: /etc/berth/htpasswd\n");
    buf_puts(b, ".SH ENVIRONMENT\n");
    put_cstr(b,
             "A variable replaces what the file says: `REGISTRY_`, and the name of the key in "
             "capitals with `_` for each dot. Its value is YAML: "
             "`REGISTRY_HTTP_HEADERS='{X-A: [b]}'` sets a section, `REGISTRY_STORAGE=inmemory` a "
             "driver. As in registry, some keys have another name there: "
             "`NOTIFICATIONS_EVENTCONFIG` for `notifications.events`, `HEALTH_FILECHECKERS`, "
             "`HEALTH_HTTPCHECKERS` and `HEALTH_TCPCHECKERS` for `health.file`, `health.http` and "
             "`health.tcp`.");
    buf_puts(b, ".SH KEYS\n");
    put_cstr(b, "`[]` stands for the elements of a list.");
    put_keys(b, true, false);
    buf_puts(b, ".SH KEYS THAT ARE IGNORED\n");
    put_cstr(b, "Of registry's, and not needed here: a warning says so when one of them asks for "
                "something.");
    put_keys(b, false, false);
    buf_puts(b, ".SH KEYS THAT ARE REFUSED\n");
    put_cstr(b, "Of registry's, and the registry could not do its job without them: berth does not "
                "start.");
    put_keys(b, false, true);
    put_see_also(b, "berth-config.5");
}

void man_names(struct buf *out)
{
    buf_puts(out, "berth.1\n");
    for (const struct command *const *c = commands; *c; c++)
        buf_printf(out, "berth-%s.1\n", (*c)->name);
    buf_puts(out, "berth-config.5\n");
}

int man_page(const char *name, struct buf *out)
{
    struct slice s = slice_cstr(name);
    char section = '\0';
    char command[32] = "";
    if (slice_ends(s, SLICE_LIT(".1")) || slice_ends(s, SLICE_LIT(".5"))) {
        section = s.p[s.n - 1];
        s.n -= 2;
    }
    if (slice_is(s, "berth") && section != '5') {
        page_of_berth(out);
        return 0;
    }
    if (slice_starts(s, SLICE_LIT("berth-")))
        s = slice_from(s, sizeof "berth-" - 1);
    if (s.n >= sizeof command)
        return -1;
    memcpy(command, s.p, s.n);
    const struct command *c = section == '5' ? NULL : command_find(command);
    if (c)
        page_of_command(out, c);
    else if (section != '1' && slice_is(s, "config"))
        page_of_config(out);
    else
        return -1;
    return 0;
}
