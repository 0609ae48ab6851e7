/* SPDX-License-Identifier: Apache-2.0 */
/* `berth cert`: certificates for who has no authority to ask for one. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "cli/argument.h"
#include "cli/command.h"
#include "os/file.h"
#include "tls/cert.h"

#include "base/banned.h"

/* 397 days: Apple's and Google's clients take no more from authorities that the public trusts, and
 * test tools say so of all. */
enum {
    DAYS_DEFAULT = 397,
    DAYS_MAX = 825,
    CA_DAYS = 3650,
    PORT_DEFAULT = 5000,
    HTTPS = 443,
    OUT_MAX = 1 << 20
};

static int wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int wrong(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("berth: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputs("; `berth help cert` says more\n", stderr);
    va_end(ap);
    return 2;
}

static int print(struct buf *out)
{
    int bad = out->failed || fwrite(out->p, 1, out->n, stdout) != out->n || fflush(stdout) != 0;
    return bad;
}

/* --- options: --name VALUE or --name=VALUE */

struct option_def {
    const char *name;
    const char **value; /* or NULL: a flag */
    bool *flag;
};

/* Takes the options out of argv: what is left, from argv[0] on, is counted by *n. 0, or 2. */
static int take_options(int argc, char **argv, const struct option_def *defs, unsigned n_defs,
                        int *n)
{
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        struct slice rest = slice_cstr(argv[i]);
        if (!slice_starts(rest, SLICE_LIT("--"))) {
            argv[kept++] = argv[i];
            continue;
        }
        struct slice name = slice_cut(&rest, '=');
        const struct option_def *d = NULL;
        for (unsigned k = 0; k < n_defs && !d; k++)
            if (slice_is(name, defs[k].name))
                d = &defs[k];
        if (!d || (d->flag && rest.p))
            return wrong("there is no option %.*s here", SLICE_ARG(name));
        if (d->flag)
            *d->flag = true;
        else if (rest.p)
            *d->value = rest.p;
        else if (i + 1 < argc)
            *d->value = argv[++i];
        else
            return wrong("%s needs a value", d->name);
    }
    *n = kept;
    return 0;
}

/* --- create: what the clients have to be told */

/* How a single quote is written between single quotes. */
#define SHELL "'\\''"
#define YAML "''"

/* In single quotes when a shell or YAML would see more than a word. */
static void put_word(struct buf *out, const char *word, const char *escape)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "/._-+@:";
    if (word[strspn(word, plain)] == '\0') {
        buf_puts(out, word);
        return;
    }
    buf_putc(out, '\'');
    for (const char *p = word; *p; p++)
        *p == '\'' ? buf_puts(out, escape) : buf_putc(out, *p);
    buf_putc(out, '\'');
}

static void put_path(struct buf *out, const char *dir, const char *name, const char *escape)
{
    CLEANUP_BUF struct buf path = {0};
    buf_init(&path, PATH_MAX + 64);
    buf_printf(&path, "%s/%s", dir, name);
    put_word(out, path.p ? path.p : name, escape);
}

/* What clients write in front of the repository: host, or host:port. */
static void put_authority(struct buf *out, const struct cert_request *r, unsigned port)
{
    const char *host = r->names[0];
    for (unsigned i = 0; i < r->n_names; i++)
        if (r->names[i][0] != '*') {
            host = r->names[i];
            break;
        }
    if (host[0] == '*')
        buf_printf(out, "registry%s", host + 1);
    else
        buf_printf(out, strchr(host, ':') ? "[%s]" : "%s", host);
    if (port != HTTPS)
        buf_printf(out, ":%u", port);
}

static void put_copy(struct buf *out, const char *etc, const char *host, const char *dir)
{
    CLEANUP_BUF struct buf to = {0};
    buf_init(&to, 2048);
    buf_printf(&to, "%s/%s", etc, host);
    buf_puts(out, "  mkdir -p ");
    put_word(out, to.p, SHELL);
    buf_puts(out, "\n  cp ");
    put_path(out, dir, "ca.crt", SHELL);
    buf_putc(out, ' ');
    put_path(out, to.p, "ca.crt", SHELL);
    buf_putc(out, '\n');
}

static void put_trust(struct buf *out, const struct cert_request *r, const char *dir, unsigned port)
{
    static const char containerd[] = "/etc/containerd/certs.d";
    CLEANUP_BUF struct buf host = {0};
    buf_init(&host, 1024);
    put_authority(&host, r, port);
    buf_printf(out, "\nClients have to trust the CA. On each machine, as root, with ca.crt copied "
                    "there:\n\nDocker (no restart):\n");
    put_copy(out, "/etc/docker/certs.d", host.p, dir);
    buf_printf(out, "\ncontainerd (config_path = \"%s\" in its config.toml):\n", containerd);
    put_copy(out, containerd, host.p, dir);
    CLEANUP_BUF struct buf to = {0};
    buf_init(&to, 2048);
    buf_printf(&to, "%s/%s", containerd, host.p);
    buf_puts(out, "  cat > ");
    put_path(out, to.p, "hosts.toml", SHELL);
    buf_printf(out,
               " <<'END'\n"
               "server = \"https://%s\"\n\n"
               "[host.\"https://%s\"]\n"
               "  ca = \"%s/ca.crt\"\n"
               "END\n",
               host.p, host.p, to.p);
    buf_puts(out, "\npodman, skopeo, buildah:\n");
    put_copy(out, "/etc/containers/certs.d", host.p, dir);
    buf_puts(out, "\nThe whole system, and what uses its authorities (Debian, Ubuntu, Alpine):\n"
                  "  cp ");
    put_path(out, dir, "ca.crt", SHELL);
    buf_puts(out, " /usr/local/share/ca-certificates/berth-ca.crt\n  update-ca-certificates\n"
                  "The same on Fedora and RHEL:\n  cp ");
    put_path(out, dir, "ca.crt", SHELL);
    buf_puts(out, " /etc/pki/ca-trust/source/anchors/berth-ca.crt\n  update-ca-trust\n");
    if (r->n_names > 1)
        buf_puts(out, "\nThe directories are named by what clients write: one for each name that "
                      "they use.\n");
}

static void put_result(struct buf *out, const struct cert_request *r, bool ca_made, const char *dir)
{
    buf_printf(out,
               ca_made ? "CA           %s (new; its key %s signs the next certificates, keep "
                         "it safe)\n"
                       : "CA           %s (was there; key %s)\n",
               r->ca_certificate, r->ca_key);
    buf_printf(out, "certificate  %s, for %u days:", r->certificate, r->days);
    for (unsigned i = 0; i < r->n_names; i++)
        buf_printf(out, " %s", r->names[i]);
    buf_printf(out,
               "\nkey          %s (only its owner may read it: that has to be who runs "
               "berth)\n\nIn berth's configuration:\n  http:\n    tls:\n      certificate: ",
               r->private_key);
    put_path(out, dir, "server.crt", YAML);
    buf_puts(out, "\n      key: ");
    put_path(out, dir, "server.key", YAML);
    buf_putc(out, '\n');
}

/* --- create */

static int number(const char *name, const char *text, unsigned max, unsigned *out)
{
    uint64_t v = 0;
    if (!text)
        return 0;
    if (parse_u63(slice_cstr(text), &v) || v == 0 || v > max)
        return wrong("%s: 1 to %u, not \"%.40s\"", name, max, text);
    *out = (unsigned)v;
    return 0;
}

static int create(int argc, char **argv)
{
    const char *dir = "certs", *days = NULL, *port_text = NULL;
    bool rsa = false;
    struct cert_request r = {.days = DAYS_DEFAULT, .ca_days = CA_DAYS};
    const struct option_def defs[] = {
        {"--dir", &dir, NULL},        {"--days", &days, NULL},       {"--rsa", NULL, &rsa},
        {"--port", &port_text, NULL}, {"--force", NULL, &r.replace},
    };
    unsigned port = PORT_DEFAULT;
    int n = 0;
    if (take_options(argc, argv, defs, ARRAY_LEN(defs), &n))
        return 2;
    if (n == 0)
        return wrong("cert create: for which names? `berth cert create registry.example.org`");
    if (number("--days", days, DAYS_MAX, &r.days) || number("--port", port_text, 65535, &port))
        return 2;
    char paths[4][PATH_MAX + 16], real[PATH_MAX];
    static const char *const names[] = {"ca.crt", "ca.key", "server.crt", "server.key"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (snprintf(paths[i], sizeof paths[i], "%s/%s", dir, names[i]) >= PATH_MAX)
            return wrong("--dir: the path is too long");
    r.names = (const char *const *)argv;
    r.n_names = (unsigned)n;
    r.key = rsa ? CERT_RSA_4096 : CERT_ECDSA_P256;
    r.ca_certificate = paths[0];
    r.ca_key = paths[1];
    r.certificate = paths[2];
    r.private_key = paths[3];
    struct error err = {0};
    bool ca_made = false;
    if (os_mkdir_all(dir, 0755, "cert.write", &err) || cert_create(&r, &ca_made, &err))
        return command_failed(&err);
    CLEANUP_BUF struct buf out = {0};
    buf_init(&out, OUT_MAX);
    if (!realpath(dir, real))
        (void)snprintf(real, sizeof real, "%s", dir);
    put_result(&out, &r, ca_made, real);
    put_trust(&out, &r, real, port);
    return print(&out);
}

/* --- show */

static int show(int argc, char **argv)
{
    struct cert_check check = {0};
    const struct option_def defs[] = {
        {"--ca", &check.ca, NULL}, {"--key", &check.key, NULL}, {"--name", &check.name, NULL}};
    int n = 0;
    if (take_options(argc, argv, defs, ARRAY_LEN(defs), &n))
        return 2;
    if (n != 1)
        return wrong("cert show: one file");
    check.certificate = argv[0];
    struct error err = {0};
    unsigned problems = 0;
    CLEANUP_BUF struct buf out = {0};
    buf_init(&out, OUT_MAX);
    if (cert_show(&check, &out, &problems, &err))
        return command_failed(&err);
    if (problems == 0)
        buf_puts(&out, "no problems found\n");
    return print(&out) || problems > 0;
}

static int run(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "create") == 0)
        return create(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "show") == 0)
        return show(argc - 2, argv + 2);
    if (argc > 1)
        return wrong("there is no `berth cert %s`, but create and show", argv[1]);
    return wrong("cert: create or show");
}

const struct command command_cert = {
    "cert",
    "create [--dir DIR] [--days DAYS] [--rsa] [--port PORT] [--force] NAME... | "
    "show [--ca FILE] [--key FILE] [--name HOST] FILE",
    "make and check certificates for TLS",
    "create makes a server certificate for the names (DNS names, *.example.org, IP addresses), "
    "signed by a CA of your own,\n"
    "which it makes too when there is none in the directory, and prints what berth and its clients "
    "have to be told.\n"
    "show prints a chain as a client sees it, and every problem it would have; exit status 1 when "
    "there is one.\n"
    "\n"
    "  --dir DIR      where ca.crt, ca.key, server.crt and server.key are or come to be: certs\n"
    "  --days DAYS    how long the certificate is valid: 397, at most 825\n"
    "  --rsa          keys of RSA with 4096 bits, for old clients, and not ECDSA P-256\n"
    "  --port PORT    the port that clients will use, for the lines that are printed: 5000\n"
    "  --force        replace server.crt and server.key; the CA is never replaced\n"
    "  --ca FILE      the authorities of the client; without it the system's\n"
    "  --key FILE     the key that has to belong to the certificate\n"
    "  --name HOST    the name or address that the client uses",
    run};
