/* SPDX-License-Identifier: Apache-2.0 */
/* A server with test routes in a thread, and raw-socket clients for it. Include cmocka's prologue
 * first. */
#ifndef TEST_HTTP_FIXTURE_H
#define TEST_HTTP_FIXTURE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "http/server.h"

enum { FILE_BYTES = 6 * 1024 * 1024 + 17 };

struct fixture {
    struct http_config config;
    struct http_server *server;
    struct metrics *metrics;
    pthread_t thread;
    bool running;
    int rc;
    int port;
    char *bound;
    char log_path[64];
    struct log *log;
    int log_fd;
    int file_fd;
    /* Seen by the handlers. */
    atomic_uint destroyed;  /* requests whose cleanup ran */
    atomic_uint incomplete; /* of those, with r->incomplete */
    atomic_uint entered;    /* slow steps that began */
    atomic_uint dead_seen;  /* slow steps that saw r->dead */
    atomic_uint sink_calls; /* of the sink, that began */
    atomic_uint chunks;     /* and those that went past the delay */
    atomic_uint chunk_max;  /* largest */
    atomic_uint local_hits;
    atomic_uint locals;    /* loop_open less loop_close */
    atomic_bool sink_held; /* its calls wait */
    atomic_bool sink_fails;
    atomic_uint sink_delay_ms;
    sem_t gate; /* slow steps wait for it */
};

/* Defaults: 2 loops, pools of 2 threads, generous limits. Change f->config, then start. */
void fixture_init(struct fixture *f);
void fixture_start(struct fixture *f); /* on 127.0.0.1, a port of the system's choice */
void fixture_run(struct fixture *f);   /* without a listener of its own */
void fixture_join(struct fixture *f);  /* waits for http_server_run */
void fixture_stop(struct fixture *f);  /* stops and frees everything */
/* The access log so far; the caller's. */
char *fixture_log(struct fixture *f);
/* Waits up to 10 s until *v is at least n. */
void wait_for(atomic_uint *v, unsigned n);
/* The same until n bytes were read from connections, of TLS what was in it. */
void wait_received(struct fixture *f, int64_t n);
/* The same until so many connections are open. */
void wait_connections(struct fixture *f, int64_t n);

extern const struct http_site test_site, debug_site;

/* ---- client ---- */

struct reply {
    int status; /* 0: closed without an answer, or after a part of one */
    char head[8192];
    char *body; /* malloc'ed, NUL-terminated */
    size_t n;
};

int client(const struct fixture *f);
int client_unix(const char *path);
void send_all(int fd, const void *p, size_t n);
void send_text(int fd, const char *text);
/* Reads one response; `head_only` for the answer to a HEAD. */
void receive(int fd, struct reply *out, bool head_only);
void reply_free(struct reply *r);
/* Sends text on a new connection, reads one response, closes. */
void ask(const struct fixture *f, const char *text, struct reply *out);
/* Value of a field in the head, in static storage; NULL when absent. */
const char *reply_field(const struct reply *r, const char *name);
bool closed_by_peer(int fd); /* waits up to 10 s for the end of the stream */
void sleep_ms(unsigned ms);
uint64_t checksum(uint64_t sum, const void *p, size_t n); /* start with 0 */
unsigned char pattern(size_t i);

#endif
