/* SPDX-License-Identifier: Apache-2.0 */
/* The server: loops, listeners, limits, drain. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/request.h"
#include "http/route.h"
#include "os/pool.h"

struct http_server;

struct http_limits {
    unsigned connections_max;        /* over all loops; 0: what the descriptor limit allows (two per
                                        connection, less http_config.fds_reserved) */
    unsigned connections_per_ip;     /* of the socket's peer; not for trusted peers, which have one
                                        address for many; 0: no limit */
    uint64_t head_timeout_ms;        /* whole head, from its first byte (10 s) */
    uint64_t idle_timeout_ms;        /* keep-alive without a request (120 s) */
    uint64_t read_stall_ms;          /* over which a body's rate is looked at while we want it, and
                                        without any byte at all (60 s) */
    unsigned read_min_rate;          /* bytes a second of a body over that time (64) */
    uint64_t write_stall_ms;         /* no byte could be sent (60 s) */
    unsigned buffer_min, buffer_max; /* of an upload's buffers in bytes (16 KiB, 256 KiB) */
    uint64_t flush_ms; /* a partly filled buffer of this age goes to the sink (100 ms) */
    size_t
        body_memory_max;  /* of all bodies that are in memory, in bytes; above it 503, and uploads
                             have to do with buffers of buffer_min, which do not count (256 MiB) */
    uint64_t drain_bytes; /* of an unwanted body that are read and dropped before the connection is
                             closed instead (64 KiB) */
};
void http_limits_default(struct http_limits *l);

struct http_config {
    unsigned loops; /* 0: one per CPU of the process's affinity mask */
    struct http_limits limits;
    struct pool *pools[POOL_COUNT]; /* POOL_LOOP's is NULL */
    void *app;
    /* Asked for every request that matched a route, before anything of its body is read. Leaves
     * resp.status at 0 to allow; may return request_next(). */
    step_fn authorize;
    void *(*loop_open)(void *app, unsigned loop); /* may be NULL */
    void (*loop_close)(void *app, void *loop_local);
    unsigned fds_reserved;  /* descriptors that are not for connections, when their number follows
                               from the limit; 0: 64 */
    struct log *log;        /* responses from 500 on and other faults of ours; may be NULL */
    struct log *access_log; /* may be NULL */
    struct slice prefix;    /* "/path/" in front of every route of a site with `prefixed`; empty or
                               "/" for none. Borrowed */
    const struct trusted_peers *trusted; /* borrowed; NULL: nobody is */
    struct metrics *metrics;             /* may be NULL */
};

/* A set of routes that some listeners serve (the registry's, the debug listener's). The rows
 * outlive the server. */
struct http_site {
    const char *name;
    const struct route *routes;
    unsigned n;
    bool drains;  /* false: keeps being served while draining, and does not hold the drain up (debug
                     listener) */
    bool metrics; /* count its requests in registry_http_* */
    bool quiet;   /* its requests are not in the access log (those that fail are in config.log) */
    bool prefixed;            /* http_config.prefix applies, and http_server_set_headers */
    unsigned connections_max; /* its own limit, apart from http_limits' and not per address; 0: it
                                 shares those */
};

/* Peers whose forwarding headers are believed (http/forwarded.h). */
struct trusted_peers;
struct tls_server;

/* One listening socket, or one adopted. */
struct http_listener {
    const char *address;    /* as for http_server_listen; NULL for fd */
    int fd;                 /* without an address: a listening socket to adopt (systemd), TCP or
                               Unix; the server's on success */
    struct tls_server *tls; /* borrowed; NULL: plain */
    bool proxy_protocol; /* connections of trusted peers begin with a PROXY header (version 1 or 2);
                            of others they are refused */
};

int http_server_new(const struct http_config *config, struct http_server **out, struct error *err);
/* address: "127.0.0.1:5000", "[::1]:5000", ":5000", "host:port" (port 0 picks one), or "unix:/path"
 * (a stale socket is replaced, a live one is an error). Before http_server_run. *bound (may be
 * NULL) gets the address with the real port, to be freed by the caller. */
int http_server_listen(struct http_server *s, const char *address, const struct http_site *site,
                       char **bound, struct error *err);
/* As http_server_listen, with TLS, the PROXY protocol, or a socket of somebody else's. Before
 * http_server_run. *bound is "unix:<path>" for an adopted Unix socket ("unix:@name" for an abstract
 * one). *listener may go afterwards, its tls_server may not before http_server_free. */
int http_server_open(struct http_server *s, const struct http_listener *listener,
                     const struct http_site *site, char **bound, struct error *err);
/* Any thread, also before it runs. Limits for what happens from now on: connections that are there
 * stay, timers that run keep their time, body_memory_max stays what it was. connections_per_ip does
 * not count who came while it was 0. Buffers are left as they are when buffer_min is 0 or above
 * buffer_max. Copies. */
void http_server_set_limits(struct http_server *s, const struct http_limits *limits);
/* Header lines ("Name: value" CRLF, any number) for the responses to requests that begin from now
 * on, where a route of a site with `prefixed` matches the path. One of a name that a response has
 * itself goes instead of that. Malformed lines are left out, and so are reserved ones. Copies. */
void http_server_set_headers(struct http_server *s, struct slice raw_fields);
/* Is it a field of a response that is the server's own to write, whatever the configuration says?
 * Pure. */
bool http_header_reserved(struct slice name);
/* Runs the loops; loop 0 on the calling thread. Returns when stopped or drained. */
int http_server_run(struct http_server *s, struct error *err);
struct loop *http_server_loop(struct http_server *s); /* loop 0: timers and signals of main */
/* Any thread. Stops accepting, closes idle connections, finishes what runs with Connection: close;
 * then http_server_run returns. */
void http_server_drain(struct http_server *s);
void http_server_stop(struct http_server *s); /* any thread; at once */
/* Any thread: removes the Unix sockets, for a process that ends without http_server_free. */
void http_server_unlink(struct http_server *s);
bool http_server_draining(const struct http_server *s);
void http_server_free(struct http_server *s);

#endif
