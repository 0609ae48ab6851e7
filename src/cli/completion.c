/* SPDX-License-Identifier: Apache-2.0 */
/* Completion scripts. All that they know is written into them, so that pressing a key starts
 * nothing. */
#include <ctype.h>

#include "base/util.h"
#include "cli/command.h"
#include "cli/man.h"
#include "cli/usage.h"
#include "main/config.h"

#include "base/banned.h"

/* Settings whose value is a file or a directory. */
static bool is_path(const struct config_option *o)
{
    static const char *const ends[] = {".certificate",    ".key",  ".path",     ".rootdirectory",
                                       ".rootcertbundle", ".jwks", ".clientcas"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (slice_ends(slice_cstr(o->name), slice_cstr(ends[i])))
            return true;
    return false;
}

static struct slice choices_of(const struct config_option *o)
{
    return slice_cstr(o->choices ? o->choices : "");
}

/* The next setting that is completed as an option of `berth serve`. */
static bool next_flag(size_t *at, struct config_option *out)
{
    while (config_option_next(at, out))
        if (out->flag)
            return true;
    return false;
}

static void put_words(struct buf *b, struct slice words)
{
    const char *sep = "";
    while (words.n) {
        buf_puts(b, sep);
        buf_slice(b, slice_cut(&words, '|'));
        sep = " ";
    }
}

/* The first sentence, without what a shell would see in it. */
static void put_sentence(struct buf *b, struct slice text, const char *drop)
{
    size_t n = 0;
    while (n < text.n && text.p[n] != '\n' &&
           !(text.p[n] == '.' && (n + 1 == text.n || text.p[n + 1] == ' ')))
        n++;
    for (size_t i = 0; i < n; i++)
        if (!strchr(drop, text.p[i]))
            buf_putc(b, text.p[i]);
}

/* What an argument that is no file can be. */
static bool put_argument(struct buf *b, struct slice name)
{
    if (slice_is(name, "COMMAND"))
        for (const struct command *const *c = commands; *c; c++)
            buf_printf(b, " %s", (*c)->name);
    else if (slice_is(name, "SHELL"))
        buf_puts(b, " bash zsh fish");
    else if (usage_is_choice(name)) {
        buf_putc(b, ' ');
        put_words(b, name);
    } else
        return false;
    return true;
}

/* --- bash ------------------------------------------------------------------------------------ */

/* words="..." of one form: its options and arguments. */
static void bash_form(struct buf *b, const struct usage_form *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        const struct usage_item *item = &f->items[i];
        if (item->option.n)
            buf_printf(b, " %.*s%s", SLICE_ARG(item->option), item->attached ? "=" : "");
        else
            (void)put_argument(b, item->value);
    }
}

static bool takes_files(const struct usage_form *f)
{
    for (unsigned i = 0; i < f->n; i++)
        if (!f->items[i].option.n && usage_is_file(f->items[i].value))
            return true;
    return false;
}

static void bash_command(struct buf *b, const struct command *c)
{
    struct usage u;
    usage_parse(c->arguments, &u);
    for (unsigned i = 0; i < u.n; i++) {
        if (!u.forms[i].name.n)
            continue;
        buf_printf(b, "    \"%s %.*s\")\n        words='", c->name, SLICE_ARG(u.forms[i].name));
        bash_form(b, &u.forms[i]);
        buf_printf(b, " --help'\n        files=%d\n        ;;\n", takes_files(&u.forms[i]));
    }
    bool files = false;
    buf_printf(b, "    \"%s \"*)\n        words='", c->name);
    for (unsigned i = 0; i < u.n; i++) {
        if (u.forms[i].name.n) {
            buf_printf(b, " %.*s", SLICE_ARG(u.forms[i].name));
            continue;
        }
        bash_form(b, &u.forms[i]);
        files = files || takes_files(&u.forms[i]);
    }
    struct config_option o;
    for (size_t at = 0; c == &command_serve && next_flag(&at, &o);)
        buf_printf(b, " --%s=", o.name);
    buf_printf(b, " --help'\n        files=%d\n        ;;\n", files);
}

static void bash_value(struct buf *b, const struct command *c, const struct usage_item *item)
{
    buf_printf(b, "    \"%s %.*s\")\n        words='", c->name, SLICE_ARG(item->option));
    if (usage_is_choice(item->value))
        put_words(b, item->value);
    buf_printf(b, "'\n        files=%d\n        ;;\n", usage_is_file(item->value));
}

static void bash_values(struct buf *b)
{
    for (const struct command *const *c = commands; *c; c++) {
        struct usage u;
        usage_parse((*c)->arguments, &u);
        for (unsigned i = 0; i < u.n; i++)
            for (unsigned k = 0; k < u.forms[i].n; k++)
                if (u.forms[i].items[k].option.n && u.forms[i].items[k].value.n)
                    bash_value(b, *c, &u.forms[i].items[k]);
    }
    struct config_option o;
    for (size_t at = 0; next_flag(&at, &o);) {
        struct slice choices = choices_of(&o);
        if (!choices.n && !is_path(&o))
            continue;
        buf_printf(b, "    \"serve --%s\")\n        words='", o.name);
        put_words(b, choices);
        buf_printf(b, "'\n        files=%d\n        ;;\n", is_path(&o));
    }
}

/* Options whose value is the next word. */
static void bash_separate(struct buf *b)
{
    buf_puts(b, "    case \"$command $previous\" in\n");
    for (const struct command *const *c = commands; *c; c++) {
        struct usage u;
        usage_parse((*c)->arguments, &u);
        for (unsigned i = 0; i < u.n; i++)
            for (unsigned k = 0; k < u.forms[i].n; k++) {
                const struct usage_item *item = &u.forms[i].items[k];
                if (item->option.n && item->value.n && !item->attached)
                    buf_printf(b, "    \"%s %.*s\") option=$previous ;;\n", (*c)->name,
                               SLICE_ARG(item->option));
            }
    }
    buf_puts(b, "    esac\n");
}

static void bash(struct buf *b)
{
    buf_puts(
        b,
        "# bash completion for berth, made by `berth help completion bash`\n"
        "_berth()\n{\n"
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local option='' command='' sub='' words='' files=0 i word\n"
        "    # bash breaks words at \"=\": --log.level=warn is three.\n"
        "    if [[ $current == = ]]; then\n"
        "        option=$previous current=''\n"
        "    elif [[ $previous == = ]]; then\n"
        "        option=${COMP_WORDS[COMP_CWORD-2]}\n"
        "    fi\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        word=${COMP_WORDS[i]}\n"
        "        [[ $word == -* || $word == = || ${COMP_WORDS[i-1]} == = ]] && continue\n"
        "        if [[ ! $command ]]; then command=$word; elif [[ ! $sub ]]; then sub=$word; fi\n"
        "    done\n");
    bash_separate(b);
    buf_puts(b, "    COMPREPLY=()\n    if [[ $option ]]; then\n    case \"$command $option\" in\n");
    bash_values(b);
    buf_puts(b, "    *)\n        files=1\n        ;;\n    esac\n    else\n"
                "    case \"$command $sub\" in\n    \" \")\n        words='");
    for (const struct command *const *c = commands; *c; c++)
        buf_printf(b, " %s", (*c)->name);
    buf_puts(b, " --help --version'\n        ;;\n");
    for (const struct command *const *c = commands; *c; c++)
        bash_command(b, *c);
    buf_puts(b, "    esac\n    fi\n"
                "    # shellcheck disable=SC2207\n"
                "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                "    if ((files)) && [[ $current != -* ]]; then\n"
                "        local IFS=$'\\n'\n"
                "        compopt -o filenames 2>/dev/null\n"
                "        # shellcheck disable=SC2207\n"
                "        COMPREPLY+=($(compgen -f -- \"$current\"))\n"
                "    fi\n"
                "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
                "    return 0\n}\ncomplete -F _berth berth\n");
}

/* --- zsh ------------------------------------------------------------------------------------- */

#define ZSH_DROP "'\\[]:`$\""

static void zsh_action(struct buf *b, struct slice value, struct slice choices, bool file)
{
    buf_putc(b, ':');
    for (size_t i = 0; i < value.n; i++)
        buf_putc(b, value.p[i] == '|' ? ' ' : (char)tolower((unsigned char)value.p[i]));
    buf_putc(b, ':');
    if (choices.n) {
        buf_putc(b, '(');
        put_words(b, choices);
        buf_putc(b, ')');
    } else if (file) {
        buf_puts(b, "_files");
    }
}

static void zsh_item(struct buf *b, const struct command *c, const struct usage_item *item)
{
    CLEANUP_BUF struct buf words = {0};
    struct slice value = item->value;
    buf_init(&words, 1 << 12);
    buf_puts(b, " \\\n            '");
    if (!item->option.n) {
        bool named = put_argument(&words, value);
        buf_putc(b, '*');
        if (named)
            zsh_action(b, value, slice_trim(buf_view(&words)), false);
        else
            zsh_action(b, value, SLICE_LIT(""), usage_is_file(value));
    } else {
        buf_printf(b, "%.*s%s[", SLICE_ARG(item->option), item->attached ? "=" : "");
        put_sentence(b, usage_describe(c->help, item->option), ZSH_DROP);
        buf_putc(b, ']');
        if (value.n)
            zsh_action(b, usage_is_choice(value) ? SLICE_LIT("value") : value,
                       usage_is_choice(value) ? value : SLICE_LIT(""), usage_is_file(value));
    }
    buf_putc(b, '\'');
}

static void zsh_form(struct buf *b, const struct command *c, const struct usage_form *f)
{
    bool argument = false;
    buf_puts(b, "_arguments");
    for (unsigned i = 0; i < f->n; i++) {
        bool option = f->items[i].option.n != 0;
        /* "*" stands for all arguments, and may be there once. */
        if (!option && argument)
            continue;
        argument = argument || !option;
        zsh_item(b, c, &f->items[i]);
    }
    struct config_option o;
    for (size_t at = 0; c == &command_serve && next_flag(&at, &o);) {
        buf_printf(b, " \\\n            '--%s=[", o.name);
        put_sentence(b, slice_cstr(o.doc), ZSH_DROP);
        buf_putc(b, ']');
        zsh_action(b, slice_cstr(o.choices ? "value" : o.type), choices_of(&o), is_path(&o));
        buf_putc(b, '\'');
    }
    buf_puts(b, " \\\n            '--help[say more]'\n");
}

static void zsh_command(struct buf *b, const struct command *c)
{
    struct usage u;
    const struct usage_form none = {.name = SLICE_LIT("")};
    const struct usage_form *plain = NULL;
    unsigned named = 0;
    usage_parse(c->arguments, &u);
    for (unsigned i = 0; i < u.n; i++) {
        named += u.forms[i].name.n != 0;
        if (!u.forms[i].name.n)
            plain = &u.forms[i];
    }
    buf_printf(b, "    %s)\n", c->name);
    if (named == 0) {
        buf_puts(b, "        ");
        zsh_form(b, c, plain ? plain : &none);
        buf_puts(b, "        ;;\n");
        return;
    }
    buf_puts(b, "        ((CURRENT > 2)) && sub=$words[2]\n        case $sub in\n");
    for (unsigned i = 0; i < u.n; i++) {
        if (!u.forms[i].name.n)
            continue;
        buf_printf(
            b, "        %.*s)\n            shift words\n            ((CURRENT--))\n            ",
            SLICE_ARG(u.forms[i].name));
        zsh_form(b, c, &u.forms[i]);
        buf_puts(b, "            ;;\n");
    }
    buf_puts(b, "        *)\n            _values word");
    for (unsigned i = 0; i < u.n; i++)
        if (u.forms[i].name.n)
            buf_printf(b, " %.*s", SLICE_ARG(u.forms[i].name));
    for (unsigned i = 0; plain && i < plain->n; i++)
        if (!plain->items[i].option.n)
            (void)put_argument(b, plain->items[i].value);
    buf_puts(b, "\n            ;;\n        esac\n        ;;\n");
}

static void zsh(struct buf *b)
{
    buf_puts(b, "#compdef berth\n# Made by `berth help completion zsh`.\n_berth()\n{\n"
                "    local curcontext=$curcontext state line sub\n"
                "    typeset -A opt_args\n"
                "    _arguments -C '(- *)--help[say what berth can do]' "
                "'(- *)--version[print the version]' \\\n        '1:command:((");
    for (const struct command *const *c = commands; *c; c++) {
        buf_printf(b, "%s%s\\:\"", c == commands ? "" : " ", (*c)->name);
        put_sentence(b, slice_cstr((*c)->summary), ZSH_DROP "()");
        buf_putc(b, '"');
    }
    buf_puts(b, "))' '*::argument:->rest' && return\n"
                "    [[ $state == rest ]] || return\n    case $words[1] in\n");
    for (const struct command *const *c = commands; *c; c++)
        zsh_command(b, *c);
    buf_puts(b, "    esac\n}\nif [[ $funcstack[1] == _berth ]]; then\n    _berth \"$@\"\nelse\n"
                "    compdef _berth berth\nfi\n");
}

/* --- fish ------------------------------------------------------------------------------------ */

#define FISH_DROP "'\\\""

static void fish_value(struct buf *b, struct slice choices, bool file)
{
    if (choices.n) {
        buf_puts(b, " -x -a '");
        put_words(b, choices);
        buf_putc(b, '\'');
    } else {
        buf_puts(b, file ? " -r -F" : " -x");
    }
}

static void fish_about(struct buf *b, struct slice text)
{
    if (text.n) {
        buf_puts(b, " -d '");
        put_sentence(b, text, FISH_DROP);
        buf_putc(b, '\'');
    }
    buf_putc(b, '\n');
}

static void fish_item(struct buf *b, const struct command *c, const struct usage_item *item,
                      const char *condition)
{
    if (!item->option.n) {
        CLEANUP_BUF struct buf words = {0};
        buf_init(&words, 1 << 12);
        if (put_argument(&words, item->value))
            buf_printf(b, "complete -c berth -n '%s' -a '%s'\n", condition, words.p + 1);
        else if (usage_is_file(item->value))
            buf_printf(b, "complete -c berth -n '%s' -F\n", condition);
        return;
    }
    bool is_long = slice_starts(item->option, SLICE_LIT("--"));
    buf_printf(b, "complete -c berth -n '%s' %s %.*s", condition, is_long ? "-l" : "-s",
               SLICE_ARG(slice_from(item->option, is_long ? 2 : 1)));
    if (item->value.n)
        fish_value(b, usage_is_choice(item->value) ? item->value : SLICE_LIT(""),
                   usage_is_file(item->value));
    fish_about(b, usage_describe(c->help, item->option));
}

static void fish_command(struct buf *b, const struct command *c)
{
    struct usage u;
    CLEANUP_BUF struct buf condition = {0}, names = {0};
    buf_init(&condition, 1 << 12);
    buf_init(&names, 1 << 12);
    usage_parse(c->arguments, &u);
    for (unsigned i = 0; i < u.n; i++)
        if (u.forms[i].name.n)
            buf_printf(&names, " %.*s", SLICE_ARG(u.forms[i].name));
    if (names.n)
        buf_printf(b,
                   "complete -c berth -n '__fish_seen_subcommand_from %s; and not "
                   "__fish_seen_subcommand_from%s' -a '%s'\n",
                   c->name, names.p, names.p + 1);
    for (unsigned i = 0; i < u.n; i++) {
        buf_clear(&condition);
        buf_printf(&condition, "__fish_seen_subcommand_from %s", c->name);
        if (u.forms[i].name.n)
            buf_printf(&condition, "; and __fish_seen_subcommand_from %.*s",
                       SLICE_ARG(u.forms[i].name));
        else if (names.n)
            buf_printf(&condition, "; and not __fish_seen_subcommand_from%s", names.p);
        for (unsigned k = 0; k < u.forms[i].n; k++)
            fish_item(b, c, &u.forms[i].items[k], condition.p);
    }
}

static void fish(struct buf *b)
{
    buf_puts(b, "# fish completion for berth, made by `berth help completion fish`\n"
                "complete -c berth -f\n"
                "complete -c berth -l help -d 'say what berth can do'\n");
    for (const struct command *const *c = commands; *c; c++) {
        buf_printf(b, "complete -c berth -n __fish_use_subcommand -a %s", (*c)->name);
        fish_about(b, slice_cstr((*c)->summary));
    }
    for (const struct command *const *c = commands; *c; c++)
        fish_command(b, *c);
    struct config_option o;
    for (size_t at = 0; next_flag(&at, &o);) {
        buf_printf(b, "complete -c berth -n '__fish_seen_subcommand_from serve' -l %s", o.name);
        fish_value(b, choices_of(&o), is_path(&o));
        fish_about(b, slice_cstr(o.doc));
    }
}

int completion(const char *shell, struct buf *out)
{
    static const struct {
        const char *name;
        void (*write)(struct buf *b);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < ARRAY_LEN(shells); i++)
        if (slice_is(slice_cstr(shell), shells[i].name)) {
            shells[i].write(out);
            return 0;
        }
    return -1;
}
