/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator of bench/run: one mode per run, one line of JSON on stdout. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/util.h"
#include "content.h"

#include "base/banned.h"

struct mode {
    const char *name;
    const char *what;
    int (*run)(const struct load_options *o, struct error *err);
};

static const struct mode modes[] = {
    {"get", "GET or HEAD a list of paths, in a closed loop", mode_get},
    {"push", "push blobs of unique content", mode_push},
    {"manifest", "PUT manifests of unique content by tag", mode_manifest},
    {"start", "run a server and time exec to the first 200 on /v2/", mode_start},
    {"probe", "speed of one stream of SHA-256 on this CPU", mode_probe},
};

static const struct option long_options[] = {
    {"target", required_argument, NULL, 't'},
    {"conns", required_argument, NULL, 'c'},
    {"count", required_argument, NULL, 'n'},
    {"seconds", required_argument, NULL, 's'},
    {"head", no_argument, NULL, 'H'},
    {"verify", no_argument, NULL, 'v'},
    {"follow", no_argument, NULL, 'f'},
    {"accept", required_argument, NULL, 'a'},
    {"paths", required_argument, NULL, 'p'},
    {"repo", required_argument, NULL, 'r'},
    {"style", required_argument, NULL, 'y'},
    {"template", required_argument, NULL, 'm'},
    {"type", required_argument, NULL, 'T'},
    {"tag", required_argument, NULL, 'g'},
    {"digests", required_argument, NULL, 'd'},
    {"size", required_argument, NULL, 'z'},
    {"chunk", required_argument, NULL, 'k'},
    {"tags", required_argument, NULL, 'N'},
    {"cpu", required_argument, NULL, 'C'},
    {"rate", required_argument, NULL, 'R'},
    {NULL, 0, NULL, 0},
};

static int usage(void)
{
    fprintf(stderr, "usage: berth-load MODE --target IP:PORT [OPTION...] [-- COMMAND...]\n");
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        fprintf(stderr, "  %-9s %s\n", modes[i].name, modes[i].what);
    fprintf(stderr, "options:");
    for (size_t i = 0; long_options[i].name; i++)
        fprintf(stderr, " --%s%s", long_options[i].name, long_options[i].has_arg ? "=X" : "");
    fprintf(stderr, "\n");
    return 2;
}

static int parse_target(struct load_options *o, const char *text)
{
    struct slice port = slice_cstr(text);
    struct slice ip = slice_cut(&port, ':');
    char addr[INET_ADDRSTRLEN];
    uint64_t n;
    if (parse_u63(port, &n) < 0 || n == 0 || n > 65535 || strlen(text) >= sizeof o->host)
        return -1;
    (void)snprintf(addr, sizeof addr, "%.*s", SLICE_ARG(ip));
    (void)snprintf(o->host, sizeof o->host, "%s", text);
    o->client.addr.sin_family = AF_INET;
    o->client.addr.sin_port = htons((uint16_t)n);
    return inet_pton(AF_INET, addr, &o->client.addr.sin_addr) == 1 ? 0 : -1;
}

static int parse_number(const char *text, uint64_t max, uint64_t *out)
{
    return parse_u63(slice_cstr(text), out) < 0 || *out > max ? -1 : 0;
}

static int parse_real(const char *text, double max, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    return end == text || *end || !(*out >= 0 && *out <= max) ? -1 : 0;
}

static int parse_option(struct load_options *o, int c, const char *arg)
{
    uint64_t n = 0;
    int rc = 0;
    switch (c) {
    case 't':
        return parse_target(o, arg);
    case 'c':
        rc = parse_number(arg, 4096, &n);
        o->client.conns = (unsigned)n;
        return rc || n == 0 ? -1 : 0;
    case 'n':
        return parse_number(arg, INT64_MAX, &o->client.count);
    case 's':
        return parse_real(arg, 3600, &o->client.seconds);
    case 'R':
        return parse_real(arg, 1e7, &o->client.rate);
    case 'z':
        return parse_number(arg, 1ull << 34, &o->size);
    case 'k':
        return parse_number(arg, 1ull << 30, &o->chunk);
    case 'N':
        return parse_number(arg, 1000000, &o->tags);
    case 'C':
        rc = parse_number(arg, 1023, &n);
        o->cpu = (int)n;
        return rc;
    case 'H':
        o->head = true;
        return 0;
    case 'v':
        o->verify = true;
        return 0;
    case 'f':
        o->follow = true;
        return 0;
    default:
        break;
    }
    const char **text = c == 'a'   ? &o->accept
                        : c == 'p' ? &o->paths
                        : c == 'r' ? &o->repo
                        : c == 'y' ? &o->style
                        : c == 'm' ? &o->template
                        : c == 'T' ? &o->media_type
                        : c == 'g' ? &o->tag
                        : c == 'd' ? &o->digests
                                   : NULL;
    if (!text)
        return -1;
    *text = arg;
    return 0;
}

int load_expect(const struct response *r, int status, const char *what, struct error *err)
{
    if (r->status == status)
        return 0;
    return error_set(err, ERR_UNKNOWN, "%s: status %d instead of %d", what, r->status, status);
}

struct slice load_target(struct slice url)
{
    const char *scheme = url.n ? memmem(url.p, url.n, "://", 3) : NULL;
    if (!scheme)
        return url;
    struct slice rest = slice_from(url, (size_t)(scheme - url.p) + 3);
    const char *path = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
    return path ? slice_from(rest, (size_t)(path - rest.p)) : SLICE_LIT("/");
}

static double cpu_seconds(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Messages are our own text, without quotes; a stray one must not break the line. */
static void print_message(const char *text)
{
    for (; *text; text++)
        putchar(*text == '"' || *text == '\\' || (unsigned char)*text < ' ' ? '\'' : *text);
}

static void print_result(const struct client_result *res, double cpu, double hashed)
{
    const struct histogram *h = &res->latency;
    double s = res->seconds > 0 ? res->seconds : 1e-9;
    printf("{\"ops\":%llu,\"errors\":%llu,\"requests\":%llu,\"reconnects\":%llu,\"seconds\":%.6f,"
           "\"ops_per_s\":%.2f,\"bytes_in\":%llu,\"bytes_out\":%llu,\"in_mb_s\":%.2f,"
           "\"out_mb_s\":%.2f,",
           (unsigned long long)res->ops, (unsigned long long)res->errors,
           (unsigned long long)res->requests, (unsigned long long)res->reconnects, res->seconds,
           (double)res->ops / s, (unsigned long long)res->bytes_in,
           (unsigned long long)res->bytes_out, (double)res->bytes_in / s / 1e6,
           (double)res->bytes_out / s / 1e6);
    printf("\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
           "\"client_cpu_s\":%.4f,\"client_share\":%.3f,\"hash_share\":%.4f,\"error\":\"",
           (double)histogram_quantile(h, 0.5) / 1e3, (double)histogram_quantile(h, 0.99) / 1e3,
           (double)histogram_quantile(h, 0.999) / 1e3, (double)h->max / 1e3, cpu, cpu / s,
           hashed / s);
    print_message(res->errors ? res->first.message : "");
    printf("\"}\n");
}

int load_run(const struct load_options *o, const struct scenario *s,
             uint64_t (*hashed)(const void *arg), const void *arg, struct error *err)
{
    CLEANUP_FREE struct client_result *res = xcalloc(1, sizeof *res);
    double cpu = cpu_seconds();
    if (client_run(&o->client, s, res, err) < 0)
        return -1;
    print_result(res, cpu_seconds() - cpu, hashed ? (double)hashed(arg) / 1e9 : 0);
    return 0;
}

int mode_probe(const struct load_options *o, struct error *err)
{
    (void)err;
    printf("{\"sha256_mb_s\":%.1f}\n",
           content_probe(o->client.seconds > 0 ? o->client.seconds : 0.2));
    return 0;
}

int main(int argc, char **argv)
{
    struct load_options o = {.client = {.conns = 1}, .chunk = 32 * 1024, .size = 4096, .cpu = -1};
    if (argc < 2)
        return usage();
    const struct mode *mode = NULL;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        mode = strcmp(argv[1], modes[i].name) == 0 ? &modes[i] : mode;
    int c;
    while ((c = getopt_long(argc - 1, argv + 1, "+", long_options, NULL)) != -1)
        if (parse_option(&o, c, optarg) < 0)
            return usage();
    o.command = argv + 1 + optind;
    if (!mode || (mode->run != mode_probe && o.host[0] == '\0'))
        return usage();
    struct error err;
    error_clear(&err);
    if (mode->run(&o, &err) < 0) {
        fprintf(stderr, "berth-load: %s\n", err.message);
        return 1;
    }
    return 0;
}
