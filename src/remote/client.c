/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

enum {
    DEFAULT_TIMEOUT_MS = 30 * 1000,
    /* Of a body that nobody wants. The status is known by then, so what comes after it is not
     * waited for: a server that never ends must not look like one that does not answer. */
    DRAIN_MAX = 1024 * 1024
};

struct client {
    CURL *h;
    /* Of the exchange that runs. */
    const struct client_request *request;
    size_t received;
    bool cut;  /* ended by us at DRAIN_MAX */
    bool head; /* the head of the answer (not of a 1xx) has come, with its empty line */
};

void client_global_init(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

struct client *client_new(void)
{
    struct client *c = xcalloc(1, sizeof *c);
    c->h = curl_easy_init();
    CHECK(c->h);
    return c;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->h);
    free(c);
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    struct client *c = arg;
    size_t bytes = size * n;
    long code = 0;
    (void)curl_easy_getinfo(c->h, CURLINFO_RESPONSE_CODE, &code);
    c->head |= code >= 200 && bytes > 0 && (*p == '\r' || *p == '\n');
    return bytes;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct client *c = arg;
    struct buf *out = c->request->response;
    size_t bytes = size * n;
    if (out && out->n < out->max)
        (void)buf_add(out, p, MIN(bytes, out->max - out->n));
    c->received += bytes;
    if (c->received <= DRAIN_MAX || (out && out->n < out->max))
        return bytes;
    c->cut = true;
    return CURL_WRITEFUNC_ERROR;
}

/* About once a second, and whenever something happens. */
static int on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow)
{
    const struct client *c = arg;
    (void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
    return c->request->cancel && atomic_load(c->request->cancel);
}

/* An option that this libcurl has cannot be refused, except for memory. */
#define SET(h, option, value) CHECK(curl_easy_setopt((h), (option), (value)) == CURLE_OK)

/* Go's client, which registry uses, looks for them there. */
static void set_authorities(CURL *h)
{
    const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");
    if (file && *file)
        SET(h, CURLOPT_CAINFO, file);
    if (dir && *dir)
        SET(h, CURLOPT_CAPATH, dir);
}

/* Go's client does not send to a proxy what is for this machine; libcurl does unless it is told.
 * "*" says it already. */
static void set_direct(CURL *h)
{
    const char *lower = getenv("no_proxy"), *upper = getenv("NO_PROXY");
    const char *given = lower ? lower : upper ? upper : "";
    CLEANUP_FREE char *hosts = NULL;
    CHECK(asprintf(&hosts, "%s,localhost,127.0.0.0/8,::1", given) >= 0);
    SET(h, CURLOPT_NOPROXY, strcmp(given, "*") == 0 ? given : hosts);
}

static void set_transport(CURL *h)
{
    SET(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(h, CURLOPT_NOSIGNAL, 1L); /* there are other threads */
    SET(h, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(h, CURLOPT_FOLLOWLOCATION, 0L);
    SET(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(h, CURLOPT_TCP_NODELAY, 1L);
    /* A name server that does not answer keeps its thread, not ours. */
    SET(h, CURLOPT_QUICK_EXIT, 1L);
    SET(h, CURLOPT_USERAGENT, "berth/" BERTH_VERSION);
    set_authorities(h);
    set_direct(h);
}

static void set_method(CURL *h, const struct client_request *request)
{
    if (strcmp(request->method, "HEAD") == 0) {
        SET(h, CURLOPT_NOBODY, 1L);
    } else if (strcmp(request->method, "POST") == 0) {
        SET(h, CURLOPT_POST, 1L);
        SET(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n);
        SET(h, CURLOPT_POSTFIELDS, request->body.p ? request->body.p : "");
    } else {
        CHECK(strcmp(request->method, "GET") == 0);
    }
}

/* "scheme://host:port" of a URL: a path may be a secret, and so may what stands before the host. */
static char *place_of(const char *url)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *place = NULL;
    bool known = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                 curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                 curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (!known || asprintf(&place, "%s://%s:%s", scheme, host, port) < 0)
        place = xstrdup("its URL");
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return place;
}

static int failed(struct client *c, CURLcode rc, struct error *err)
{
    CLEANUP_FREE char *place = place_of(c->request->url);
    long sys = 0;
    char text[96];
    (void)curl_easy_getinfo(c->h, CURLINFO_OS_ERRNO, &sys);
    bool shown = sys && rc == CURLE_COULDNT_CONNECT;
    error_set(err, ERR_UNAVAILABLE, "%s %s: %s%s%s", c->request->method, place,
              curl_easy_strerror(rc), shown ? ": " : "",
              shown ? strerrordesc((int)sys, text, sizeof text) : "");
    if (err)
        err->sys = (int)sys;
    return -1;
}

/* "Name: value"; a name without a value is written so that curl sends it all the same. A line break
 * would end the field and begin another. */
static struct curl_slist *add_field(struct curl_slist *list, const struct client_header *header)
{
    CLEANUP_FREE char *line = NULL;
    CHECK(asprintf(&line, *header->value ? "%s: %s" : "%s;%s", header->name, header->value) >= 0);
    for (char *p = line; *p; p++)
        if (*p == '\r' || *p == '\n')
            *p = ' ';
    struct curl_slist *more = curl_slist_append(list, line);
    CHECK(more);
    return more;
}

static struct curl_slist *fields(const struct client_request *request)
{
    /* No "Expect: 100-continue": many a small server does not know it. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    CHECK(list);
    for (unsigned i = 0; i < request->n_headers; i++)
        list = add_field(list, &request->headers[i]);
    return list;
}

int client_do(struct client *c, const struct client_request *request, int *status,
              struct error *err)
{
    long code = 0;
    *c = (struct client){.h = c->h, .request = request};
    curl_easy_reset(c->h); /* keeps its connections */
    set_transport(c->h);
    set_method(c->h, request);
    struct curl_slist *list = fields(request);
    SET(c->h, CURLOPT_HTTPHEADER, list);
    SET(c->h, CURLOPT_TIMEOUT_MS,
        (long)MIN(request->timeout_ms ? request->timeout_ms : DEFAULT_TIMEOUT_MS, INT32_MAX));
    SET(c->h, CURLOPT_HEADERFUNCTION, on_head);
    SET(c->h, CURLOPT_HEADERDATA, c);
    SET(c->h, CURLOPT_WRITEFUNCTION, on_body);
    SET(c->h, CURLOPT_WRITEDATA, c);
    SET(c->h, CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(c->h, CURLOPT_XFERINFODATA, c);
    SET(c->h, CURLOPT_NOPROGRESS, 0L);
    CURLcode rc = curl_easy_setopt(c->h, CURLOPT_URL, request->url);
    if (rc == CURLE_OK)
        rc = curl_easy_perform(c->h);
    curl_slist_free_all(list);
    (void)curl_easy_getinfo(c->h, CURLINFO_RESPONSE_CODE, &code);
    /* Who wants the status alone has it with the head, as with Go's client: a body that never comes
     * to its end must not make a delivery look undelivered, and come again for ever. */
    bool answered = rc == CURLE_OK || c->cut || (c->head && !request->response);
    if (!answered || code == 0)
        return failed(c, rc, err);
    *status = (int)code;
    return 0;
}

bool client_url_valid(const char *url)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL;
    /* libcurl forgives slashes that are missing or too many. */
    const char *rest = strstr(url, "://");
    bool valid = u && rest && rest[3] != '/' &&
                 curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                 (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
                 curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host;
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return valid;
}
