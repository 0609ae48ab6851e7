/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an authenticator, and which kind answers. */
#include "auth/authn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/authn_int.h"
#include "base/util.h"
#include "os/file.h"

#include "base/banned.h"

enum { MEMO_SETS = 512, LIMITER_SETS = 512 };

/* ---- life ---- */

static bool given(const char *s)
{
    return s && *s;
}

static int required(const char *value, const char *kind, const char *key, struct error *err)
{
    return given(value)
               ? 0
               : error_detail(err, ERR_BAD_REQUEST, "auth.%s needs auth.%s.%s", kind, kind, key);
}

static int check(const struct authn_config *c, struct error *err)
{
    switch (c->kind) {
    case AUTHN_NONE:
        return 0;
    case AUTHN_SILLY:
        return required(c->realm, "silly", "realm", err) ||
                       required(c->service, "silly", "service", err)
                   ? -1
                   : 0;
    case AUTHN_HTPASSWD:
        return required(c->realm, "htpasswd", "realm", err) ||
                       required(c->path, "htpasswd", "path", err)
                   ? -1
                   : 0;
    case AUTHN_TOKEN:
        if ((!c->autoredirect && required(c->realm, "token", "realm", err)) ||
            required(c->service, "token", "service", err) ||
            required(c->issuer, "token", "issuer", err))
            return -1;
        if (!given(c->root_cert_bundle) && !given(c->jwks))
            return error_detail(err, ERR_BAD_REQUEST,
                                "auth.token needs auth.token.rootcertbundle or auth.token.jwks");
        return 0;
    }
    return error_detail(err, ERR_BAD_REQUEST, "there is no such kind of login");
}

static char *copy(const char *s)
{
    return xstrdup(s ? s : "");
}

static char *path_copy(const char *s)
{
    return given(s) ? xstrdup(s) : NULL;
}

static void make_metrics(struct authn *a, struct metrics *metrics)
{
    static const char *const labels[OUTCOMES] = {
        [OUTCOME_OK] = "result=\"ok\"",
        [OUTCOME_CACHED] = "result=\"cached\"",
        [OUTCOME_REFUSED] = "result=\"refused\"",
        [OUTCOME_LIMITED] = "result=\"limited\"",
    };
    for (unsigned i = 0; metrics && i < OUTCOMES; i++)
        a->outcomes[i] = metrics_counter(metrics, "berth_logins_total",
                                         "Logins of requests: verified, known from before, "
                                         "refused, refused unseen after too many failures",
                                         labels[i]);
    if (metrics)
        a->reload_failed = metrics_gauge(metrics, "berth_login_files_stale",
                                         "1 while the files of auth could not be read again "
                                         "after a change, and what they held before is in force",
                                         "");
}

static struct authn *make(const struct authn_config *c)
{
    struct authn *a = xcalloc(1, sizeof *a);
    const char *redirect = given(c->autoredirect_path) ? c->autoredirect_path : "/auth/token";
    atomic_init(&a->refs, 1);
    a->kind = c->kind;
    a->realm = copy(c->realm);
    a->service = copy(c->service);
    a->issuer = copy(c->issuer);
    a->redirect_path = copy(redirect);
    a->autoredirect = c->kind == AUTHN_TOKEN && c->autoredirect;
    if (c->kind == AUTHN_HTPASSWD) {
        a->paths[0] = path_copy(c->path);
    } else if (c->kind == AUTHN_TOKEN) {
        a->paths[0] = path_copy(c->root_cert_bundle);
        a->paths[1] = path_copy(c->jwks);
    }
    a->algorithms = xcalloc(c->n_algorithms + 1, sizeof *a->algorithms);
    for (unsigned i = 0; i < c->n_algorithms; i++)
        a->algorithms[a->n_algorithms++] = xstrdup(c->algorithms[i]);
    secret_init(&a->secret);
    CHECK(pthread_mutex_init(&a->lock, NULL) == 0 && pthread_mutex_init(&a->reload, NULL) == 0);
    CHECK(pthread_mutex_init(&a->flights_lock, NULL) == 0 &&
          pthread_cond_init(&a->flights_ended, NULL) == 0);
    if (c->kind == AUTHN_HTPASSWD) {
        a->good = memo_new(MEMO_SETS, (struct memo_value){NULL, NULL});
        a->tried_passwords = memo_new(MEMO_SETS, (struct memo_value){NULL, NULL});
        a->limiter = limiter_new(LIMITER_SETS);
    } else if (c->kind == AUTHN_TOKEN) {
        a->good = memo_new(MEMO_SETS, bearer_value);
    }
    make_metrics(a, c->metrics);
    return a;
}

static void authn_free(struct authn *a)
{
    memo_free(a->good);
    memo_free(a->tried_passwords);
    limiter_free(a->limiter);
    material_unref(a->material);
    (void)pthread_mutex_destroy(&a->lock);
    (void)pthread_mutex_destroy(&a->reload);
    (void)pthread_mutex_destroy(&a->flights_lock);
    (void)pthread_cond_destroy(&a->flights_ended);
    for (unsigned i = 0; i < a->n_algorithms; i++)
        free((char *)(uintptr_t)a->algorithms[i]);
    free(a->algorithms);
    for (unsigned i = 0; i < SOURCES; i++)
        free(a->paths[i]);
    free(a->realm);
    free(a->service);
    free(a->issuer);
    free(a->redirect_path);
    secret_wipe(&a->secret);
    free(a);
}

/* As registry does: the user `docker` with a random password, when there is no file. */
static int provide(const char *path, char **password, struct error *err)
{
    if (access(path, F_OK) == 0)
        return 0;
    if (errno != ENOENT)
        return error_sys(err, errno, "open %s", path);
    const char *slash = strrchr(path, '/');
    if (slash && slash != path) {
        char *dir = xstrndup(path, (size_t)(slash - path));
        int failed = os_mkdir_all(dir, 0700, "store.setup", err);
        free(dir);
        if (failed)
            return -1;
    }
    char made[25];
    password_random(made);
    int failed =
        htpasswd_update(path, SLICE_LIT("docker"), slice_cstr(made), HTPASSWD_COST, true, err);
    if (!failed)
        *password = xstrdup(made);
    explicit_bzero(made, sizeof made);
    return failed;
}

int authn_new(const struct authn_config *config, struct authn **out, char **password,
              struct error *err)
{
    char *made = NULL;
    bool makes = config->kind == AUTHN_HTPASSWD && !config->must_exist;
    if (check(config, err) || (makes && provide(config->path, &made, err)))
        return -1;
    struct authn *a = make(config);
    if (material_load(a, &a->material, err)) {
        authn_free(a);
        if (made)
            explicit_bzero(made, strlen(made));
        free(made);
        return -1;
    }
    memcpy(a->tried, a->material->stamps, sizeof a->tried);
    if (a->reload_failed)
        metric_set(a->reload_failed, 0);
    if (password)
        *password = made;
    else
        free(made);
    *out = a;
    return 0;
}

struct authn *authn_ref(struct authn *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void authn_unref(struct authn *a)
{
    if (a && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1)
        authn_free(a);
}

enum authn_kind authn_kind_of(const struct authn *a)
{
    return a->kind;
}

void authn_status(struct authn *a, struct authn_status *out)
{
    *out = (struct authn_status){0};
    pthread_mutex_lock(&a->lock);
    const struct material *m = a->material;
    out->entries = m->passwords ? htpasswd_count(m->passwords)
                   : m->keys    ? token_keys_count(m->keys)
                                : 0;
    out->ignored = m->ignored;
    out->failed = a->failed;
    out->problem = a->problem;
    pthread_mutex_unlock(&a->lock);
}

void count(struct authn *a, enum outcome outcome)
{
    if (a->outcomes[outcome])
        metric_add(a->outcomes[outcome], 1);
}

/* ---- challenges ---- */

/* A quoted-string (RFC 9110 5.6.4): what cannot stand in one is left out. */
static void put_quoted(struct buf *b, struct slice s)
{
    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            continue;
        if (c == '"' || c == '\\')
            buf_putc(b, '\\');
        buf_putc(b, (char)c);
    }
    buf_putc(b, '"');
}

/* registry's silly names each action by itself: "repository:a:pull repository:a:push". */
static void silly_scope(const struct authn_question *q, struct buf *out)
{
    CLEANUP_BUF struct buf scope = {0};
    buf_init(&scope, 4096);
    policy_scope(q->action, q->repo, q->from, &scope);
    struct slice rest = buf_view(&scope);
    for (bool first = true; rest.n;) {
        struct slice one = slice_cut(&rest, ' ');
        const char *colon = memrchr(one.p, ':', one.n);
        struct slice actions = slice_from(one, (size_t)(colon - one.p) + 1);
        while (actions.n) {
            struct slice action = slice_cut(&actions, ',');
            buf_printf(out, "%s%.*s%.*s", first ? "" : " ",
                       SLICE_ARG(slice_first(one, (size_t)(colon - one.p) + 1)), SLICE_ARG(action));
            first = false;
        }
    }
}

static void put_bearer(struct authn *a, const struct authn_question *q, const char *error,
                       struct buf *b)
{
    CLEANUP_BUF struct buf realm = {0}, scope = {0};
    buf_init(&realm, 4096);
    buf_init(&scope, 4096);
    if (a->autoredirect)
        buf_printf(&realm, "%s://%.*s%s%s", q->plain ? "http" : "https", SLICE_ARG(q->host),
                   a->redirect_path[0] == '/' ? "" : "/", a->redirect_path);
    else
        buf_puts(&realm, a->realm);
    if (a->kind == AUTHN_SILLY)
        silly_scope(q, &scope);
    else
        policy_scope(q->action, q->repo, q->from, &scope);
    buf_puts(b, "Bearer realm=");
    put_quoted(b, buf_view(&realm));
    buf_puts(b, ",service=");
    put_quoted(b, slice_cstr(a->service));
    if (scope.n) {
        buf_puts(b, ",scope=");
        put_quoted(b, buf_view(&scope));
    }
    if (error && a->kind == AUTHN_TOKEN) {
        buf_puts(b, ",error=");
        put_quoted(b, slice_cstr(error));
    }
}

struct slice authn_challenge(struct authn *a, const struct authn_question *q, const char *error,
                             struct arena *arena)
{
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, 16 * 1024);
    switch (a->kind) {
    case AUTHN_NONE:
        return SLICE_NONE;
    case AUTHN_HTPASSWD:
        buf_puts(&b, "Basic realm=");
        put_quoted(&b, slice_cstr(a->realm));
        break;
    case AUTHN_SILLY:
    case AUTHN_TOKEN:
        put_bearer(a, q, error, &b);
        break;
    }
    return arena_slice(arena, buf_view(&b));
}

/* ---- who is it ---- */

static enum authn_result silly(struct authn *a, const struct authn_question *q,
                               struct principal *who, struct error *err)
{
    if (q->authorization.n == 0) {
        error_detail(err, ERR_UNAUTHORIZED, "this needs a login, of whatever kind");
        count(a, OUTCOME_REFUSED);
        return AUTHN_REFUSED;
    }
    *who = (struct principal){.name = SLICE_LIT("silly")};
    count(a, OUTCOME_OK);
    return AUTHN_OK;
}

static enum authn_result ask(struct authn *a, const struct authn_question *q, struct arena *arena,
                             struct principal *who, struct slice *challenge, struct error *err,
                             bool quick)
{
    enum authn_result result = AUTHN_OK;
    struct error why_not = {0};
    const char *error = NULL;
    switch (a->kind) {
    case AUTHN_NONE:
        *who = (struct principal){0};
        break;
    case AUTHN_SILLY:
        result = silly(a, q, who, &why_not);
        break;
    case AUTHN_HTPASSWD:
        result = (quick ? basic_quick : basic_verify)(a, q, arena, who, &why_not);
        break;
    case AUTHN_TOKEN:
        result = (quick ? bearer_quick : bearer_verify)(a, q, arena, who, &error, &why_not);
        break;
    }
    if (result != AUTHN_REFUSED)
        return result;
    *challenge =
        why_not.code == ERR_TOOMANYREQUESTS ? SLICE_NONE : authn_challenge(a, q, error, arena);
    if (err)
        *err = why_not;
    return result;
}

enum authn_result authn_quick(struct authn *a, const struct authn_question *q, struct arena *arena,
                              struct principal *who, struct slice *challenge, struct error *err)
{
    return ask(a, q, arena, who, challenge, err, true);
}

enum authn_result authn_verify(struct authn *a, const struct authn_question *q, struct arena *arena,
                               struct principal *who, struct slice *challenge, struct error *err)
{
    return ask(a, q, arena, who, challenge, err, false);
}
