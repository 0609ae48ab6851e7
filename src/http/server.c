/* SPDX-License-Identifier: Apache-2.0 */
/* The server: its loops, and how they end.
 *
 * A drain asks every loop to close its draining listeners and idle connections; each loop reports
 * once when it has nothing of a draining site left, and the last to report stops the server. A stop
 * closes everything; a loop then runs on until the steps that are out have come back, so that no
 * worker ever posts to a loop that is gone. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "os/clock.h"

#include "base/banned.h"

/* ---- what loops keep for their requests ---- */

struct arena *http_loop_arena(struct http_loop *l)
{
    return l->n_arenas ? l->arenas[--l->n_arenas] : arena_new(ARENA_FIRST);
}

void http_loop_arena_back(struct http_loop *l, struct arena *a)
{
    if (l->n_arenas == ARENAS_KEPT) {
        arena_free(a);
        return;
    }
    arena_reset(a);
    l->arenas[l->n_arenas++] = a;
}

const char *http_loop_date(struct http_loop *l)
{
    int64_t now = os_wall_ms();
    if (now / 1000 != l->date_s) {
        l->date_s = now / 1000;
        os_http_date(now, l->date);
    }
    return l->date;
}

void http_loop_id(struct http_loop *l, char out[ID_MADE])
{
    uint64_t v = l->id_next++;
    memcpy(out, l->id_prefix, 16);
    for (int i = ID_MADE - 1; i >= 16; i--, v >>= 4)
        out[i] = "0123456789abcdef"[v & 15];
}

/* ---- drain and stop ---- */

static bool accepting(const struct http_loop *l)
{
    for (const struct acceptor *a = l->acceptors; a; a = a->next) {
        if (a->site->site->drains)
            return true;
    }
    return false;
}

void http_loop_quiet(struct http_loop *l)
{
    struct http_server *s = l->server;
    if (l->stopping && l->n_conns == 0 && l->n_streams == 0)
        loop_stop(l->loop);
    if (l->draining && !l->drained && l->n_draining == 0 && !accepting(l)) {
        l->drained = true;
        if (atomic_fetch_sub(&s->drain_left, 1) == 1)
            http_server_stop(s);
    }
}

static void close_idle(struct http_loop *l)
{
    struct conn *next;
    for (struct conn *c = l->conns; c; c = next) {
        next = c->next;
        if (!c->site->site->drains)
            continue;
        conn_enter(c);
        conn_drain(c);
        conn_leave(c);
    }
}

static void drain_loop(struct task *t)
{
    struct http_loop *l = CONTAINER_OF(t, struct http_loop, drain_task);
    l->draining = true;
    close_idle(l); /* before the last ones are accepted: those have not had their chance yet */
    acceptors_stop(l, false);
    http_loop_quiet(l);
}

static void stop_loop(struct task *t)
{
    struct http_loop *l = CONTAINER_OF(t, struct http_loop, stop_task);
    l->stopping = true;
    acceptors_stop(l, true);
    struct conn *next;
    for (struct conn *c = l->conns; c; c = next) {
        next = c->next;
        conn_enter(c);
        conn_close(c);
        conn_leave(c);
    }
    http_loop_quiet(l);
}

void http_server_drain(struct http_server *s)
{
    if (atomic_exchange(&s->draining, true))
        return;
    for (unsigned i = 0; i < s->n_loops; i++)
        loop_post(s->loops[i].loop, &s->loops[i].drain_task);
}

void http_server_stop(struct http_server *s)
{
    if (atomic_exchange(&s->stopping, true))
        return;
    for (unsigned i = 0; i < s->n_loops; i++)
        loop_post(s->loops[i].loop, &s->loops[i].stop_task);
}

bool http_server_draining(const struct http_server *s)
{
    return atomic_load(&s->draining) || atomic_load(&s->stopping);
}

/* ---- making ---- */

static unsigned cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

static int loop_setup(struct http_server *s, unsigned index, struct error *err)
{
    struct http_loop *l = &s->loops[index];
    l->server = s;
    l->index = index;
    l->reserve = -1;
    l->date_s = -1;
    l->drain_task.fn = drain_loop;
    l->stop_task.fn = stop_loop;
    if (loop_new(&l->loop, err))
        return -1;
    l->scratch = xcalloc(1, SCRATCH_BYTES);
    uint8_t random[8];
    os_random(random, sizeof random);
    hex_encode(random, sizeof random, l->id_prefix);
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    live_refresh(l);
    return 0;
}

int http_server_new(const struct http_config *config, struct http_server **out, struct error *err)
{
    const struct http_limits *lim = &config->limits;
    if (lim->buffer_min == 0 || lim->buffer_max < lim->buffer_min)
        return error_detail(err, ERR_BAD_REQUEST,
                            "buffer_min must be above 0 and at most buffer_max");
    struct http_server *s = xcalloc(1, sizeof *s);
    s->config = *config;
    s->n_loops = MIN(config->loops ? config->loops : cpus(), (unsigned)HTTP_LOOPS_MAX);
    s->loops = xcalloc(s->n_loops, sizeof *s->loops);
    atomic_init(&s->drain_left, s->n_loops);
    admission_init(&s->admission, connections_allowed(lim->connections_max, config->fds_reserved),
                   lim->connections_per_ip);
    s->memory.max = lim->body_memory_max;
    live_init(s);
    access_setup(s);
    for (unsigned i = 0; i < s->n_loops; i++) {
        if (loop_setup(s, i, err)) {
            s->n_loops = i;
            http_server_free(s);
            return -1;
        }
    }
    *out = s;
    return 0;
}

struct site_state *http_server_site(struct http_server *s, const struct http_site *site)
{
    for (struct site_state *i = s->sites; i; i = i->next) {
        if (i->site == site)
            return i;
    }
    struct site_state *state = xcalloc(1, sizeof *state);
    *state = (struct site_state){.next = s->sites, .site = site, .rows = access_rows(s, site)};
    admission_init(&state->own, site->connections_max, 0);
    s->sites = state;
    return state;
}

struct loop *http_server_loop(struct http_server *s)
{
    return s->loops[0].loop;
}

static void loop_release(struct http_loop *l)
{
    CHECK(!l->conns && l->n_streams == 0);
    acceptors_stop(l, true);
    while (l->n_arenas)
        arena_free(l->arenas[--l->n_arenas]);
    upbufs_release(l);
    live_loop_release(l);
    free(l->scratch);
    free(l->copy);
    util_closep(&l->reserve);
    loop_free(l->loop);
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n_loops; i++)
        loop_release(&s->loops[i]);
    listener_release(s);
    live_release(s);
    while (s->sites) {
        struct site_state *state = s->sites;
        s->sites = state->next;
        admission_release(&state->own);
        free(state->rows);
        free(state);
    }
    admission_release(&s->admission);
    free(s->loops);
    free(s);
}

/* ---- running ---- */

static void *loop_thread(void *arg)
{
    struct http_loop *l = arg;
    acceptors_start(l);
    loop_run(l->loop);
    l->listening = false;
    return NULL;
}

static void locals_open(struct http_server *s)
{
    for (unsigned i = 0; i < s->n_loops; i++) {
        if (s->config.loop_open)
            s->loops[i].local = s->config.loop_open(s->config.app, i);
    }
}

static void locals_close(struct http_server *s)
{
    for (unsigned i = 0; i < s->n_loops; i++) {
        if (s->config.loop_close)
            s->config.loop_close(s->config.app, s->loops[i].local);
        s->loops[i].local = NULL;
    }
}

int http_server_run(struct http_server *s, struct error *err)
{
    locals_open(s);
    unsigned started = 1;
    int rc = 0;
    for (; started < s->n_loops; started++) {
        struct http_loop *l = &s->loops[started];
        rc = pthread_create(&l->thread, NULL, loop_thread, l);
        if (rc)
            break;
        char name[16];
        (void)snprintf(name, sizeof name, "http-%u", started);
        (void)pthread_setname_np(l->thread, name);
    }
    if (rc)
        http_server_stop(s);
    loop_thread(&s->loops[0]);
    for (unsigned i = 1; i < started; i++)
        CHECK(pthread_join(s->loops[i].thread, NULL) == 0);
    for (unsigned i = 0; i < s->n_loops; i++) {
        while (atomic_load_explicit(&s->loops[i].posting, memory_order_acquire))
            (void)sched_yield();
    }
    locals_close(s);
    return rc ? error_sys(err, rc, "start the thread of loop %u", started) : 0;
}
