/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's own structures. Everything here belongs to one loop's thread, unless a comment says
 * otherwise.
 *
 *   server -> loops -> connections -> (codec) -> stream = request + response + body
 *
 * A connection is freed by conn_leave of the outermost entry, never elsewhere. A stream is freed by
 * stream_release when nobody needs it any more: its connection has let go (sent or gone) and no
 * task of it is out (`out` == 0). */
#ifndef HTTP_ENGINE_INT_H
#define HTTP_ENGINE_INT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/metrics.h"
#include "http/address_int.h"
#include "http/chunked.h"
#include "http/filter_plain.h"
#include "http/filter_tls.h"
#include "http/limits_int.h"
#include "http/request.h"
#include "http/server.h"
#include "os/loop.h"

enum {
    REQUEST_MAGIC = 0x52455131,
    CONN_MAGIC = 0x434f4e31,
    SCRATCH_BYTES = 64 * 1024, /* a loop's read buffer, shared by its connections */
    COPY_BYTES = 256 * 1024,   /* of a file that a filter has to see, at once */
    INPUT_FIRST = 8 * 1024,    /* read at once while a head is expected */
    INPUT_MAX = HTTP_HEAD_MAX + 1024,
    ARENA_FIRST = 7 * 1024,
    ARENAS_KEPT = 64,
    CORK_BYTES = 256 * 1024,      /* of a file from which on segments are held back until full */
    FAST_BYTES = 4 * 1024 * 1024, /* sent in FAST_MS: a client that should not be kept waiting */
    FAST_MS = 250,
    TURN_BYTES = 1024 * 1024,         /* of a response, before other connections have their turn */
    DROP_MAX = 64 * 1024,             /* body of a BODY_NONE route */
    UPLOAD_BUDGET = 16 * 1024 * 1024, /* of a loop's upload buffers, before they stay small */
    LINGER_MS = 5000,                 /* after a close with unread input */
    LINGER_BYTES = 16 * 1024 * 1024,  /* dropped meanwhile */
    ACCEPT_TURN = 64,                 /* accepted in a turn */
    ACCEPT_TURN_SHARED = 4,           /* from a socket that all loops share */
    STATUS_SLOTS = 48,                /* known status codes, and one for the rest */
    ID_MAX = 64,
    ID_MADE = 24,
    PUMP_TURN = 16,        /* reads of what a filter holds, before others have their turn */
    DRAIN_GRACE_MS = 1000, /* for a connection that has not asked for anything yet */
    HTTP_LOOPS_MAX = 256,
    LOGGED_MAX = 1024 /* bytes of a path or agent in the access log */
};

struct http_loop;
struct conn;
struct stream;

/* Counters of one route (or of what matched none). Filled in lazily, by any loop; a metric that two
 * loops register at once is the same one. */
struct route_metrics {
    _Atomic(struct metric *) in_flight;
    _Atomic(struct metric *) total[HTTP_METHOD_COUNT][STATUS_SLOTS];
    _Atomic(struct metric *) duration[HTTP_METHOD_COUNT];
    _Atomic(struct metric *) request_size;
    _Atomic(struct metric *) response_size;
};

struct engine_metrics { /* NULL without config.metrics */
    struct metric *connections, *connections_total;
    struct metric *rejected_max, *rejected_ip, *rejected_fds, *rejected_pool, *rejected_memory;
    struct metric *proxy_untrusted, *proxy_header;
    struct metric *handshake_failures;
    struct metric *send_faults;
    struct metric *sent, *received;
};

struct site_state {
    struct site_state *next;
    const struct http_site *site;
    struct admission own;       /* with site->connections_max */
    struct route_metrics *rows; /* site->n + 1, the last for no route; NULL when not counted */
};

/* What can be replaced while the server runs (live.c). */
struct header_set { /* immutable; any thread */
    atomic_uint refs;
    bool nosniff, api_version, retry_after; /* there is one of this name, instead of ours */
    bool others;                            /* and names that only a handler sets */
    unsigned n;
    struct slice raw; /* all lines, each with its CRLF */
    struct slice names[];
};

struct live {
    pthread_mutex_t mutex;
    atomic_uint version;
    struct http_limits limits;
    struct header_set *headers; /* NULL for none; one reference */
};

/* A listening socket on one loop. */
struct shared_fd; /* listener.c: a listening descriptor that all loops watch */

struct acceptor {
    struct acceptor *next;
    struct http_loop *l;
    struct site_state *site;
    struct loop_io io;
    struct timer pause;       /* no descriptors: try again later */
    struct shared_fd *shared; /* the descriptor is every loop's; NULL: this loop's own */
    struct tls_server *tls;   /* borrowed; NULL: plain */
    bool proxy_protocol;
};

struct http_server {
    struct http_config config;
    struct http_loop *loops;
    unsigned n_loops;
    struct admission admission; /* any thread */
    struct memory memory;       /* any thread */
    struct live live;           /* any thread */
    struct engine_metrics m;
    struct site_state *sites;
    struct shared_fd *shared;
    atomic_bool draining, stopping; /* asked for; any thread */
    atomic_uint drain_left;         /* loops that still have something of a draining site */
};

struct upbuf { /* a buffer of an upload */
    struct upbuf *next;
    size_t n, cap;
    bool counted; /* in the server's memory */
    char p[];
};

struct http_loop {
    struct http_server *server;
    struct loop *loop;
    unsigned index;
    pthread_t thread;
    void *local;
    unsigned live_version;
    struct http_limits limits;  /* those in force here */
    struct header_set *headers; /* a reference; or NULL */
    struct acceptor *acceptors;
    struct conn *conns; /* all, doubly linked */
    unsigned n_conns, n_streams;
    unsigned n_draining; /* connections and streams of sites that drain */
    bool opened, listening, draining, stopping, drained;
    struct task drain_task, stop_task;
    int reserve; /* a descriptor to give up when there are none left */
    char *scratch;
    char *copy; /* COPY_BYTES, from the first file on that needs it */
    struct arena *arenas[ARENAS_KEPT];
    unsigned n_arenas;
    struct upbuf *small, *large; /* spare upload buffers of buffer_min and buffer_max */
    unsigned n_small, n_large;
    size_t upload_bytes; /* of buffers that uploads hold */
    int64_t date_s;
    char date[30];
    char id_prefix[17];
    uint64_t id_next;
    atomic_uint posting; /* workers inside http_loop_post */
};

/* What a codec does for a connection (h1.c; HTTP/2 later). */
struct codec {
    void (*open)(struct conn *c);
    void (*readable)(struct conn *c);
    void (*writable)(struct conn *c);
    void (*timeout)(struct conn *c, int kind);
    void (*settle)(struct conn *c); /* the outermost entry ends: give back what is not needed */
    void (*drain)(struct conn *c);  /* the server drains: close when idle */
    void (*again)(struct conn *c);  /* what conn_again asked for */
    void (*gone)(struct conn *c);   /* the connection was closed */
    /* The stream's side. */
    void (*respond)(struct stream *s);   /* the response is decided */
    void (*want_body)(struct stream *s); /* body_room() has room: begin or go on */
};
extern const struct codec h1_codec;

enum h1_state { H1_IDLE, H1_HEAD, H1_REQUEST, H1_DRAIN, H1_LINGER };

struct h1 {
    enum h1_state state;
    uint64_t serial;    /* of the stream: its address may be that of the one before */
    char *in;           /* input not consumed yet: in[in_at .. in_n) */
    size_t in_at, in_n; /* in is the loop's scratch, or own memory of in_cap bytes */
    size_t in_cap;
    struct http_scan scan;
    struct stream *stream;
    bool running;   /* h1_run is on the stack */
    bool body_left; /* of the current request, not all of its body was taken from the wire */
    bool body_seen; /* some of it was */
    bool chunked;
    bool wants;           /* the stream takes body bytes now */
    bool expect;          /* the client waits for a 100 */
    bool close;           /* after this response */
    bool reject;          /* the input is not to be understood any further */
    uint64_t left;        /* of a body with a length */
    uint64_t arrived;     /* of the body, since the timer was set */
    uint64_t stall_ms;    /* to which it was set */
    uint64_t dropped;     /* in H1_DRAIN and H1_LINGER */
    struct slice interim; /* what is left of a 100 to send */
    struct chunked dec;
};

enum { TIMER_NONE, TIMER_IDLE, TIMER_HEAD, TIMER_READ, TIMER_WRITE, TIMER_LINGER };

/* What a connection begins with, before the codec has it. */
enum conn_phase { CONN_PROXY, CONN_TLS, CONN_OPEN };

struct conn {
    unsigned magic;
    unsigned depth; /* entries on the stack */
    struct http_loop *l;
    struct site_state *site;
    const struct codec *codec;
    struct conn *prev, *next;
    struct filter *top;
    struct filter_plain plain;
    struct filter_tls *tls; /* NULL: plain; freed when the filters are closed */
    enum conn_phase phase;
    struct proxy_input *proxy; /* of a PROXY header that has not come whole; or NULL */
    struct loop_io io;
    unsigned interest;  /* the codec's; the filters may need another for a while */
    struct timer timer; /* one for all; `timing` says what for. Never cleared, to cost nothing */
    int timing;
    bool closed, eof;
    bool secure;      /* TLS, here or at a proxy that says so by the PROXY protocol */
    bool trusted;     /* the peer's forwarding fields are believed */
    bool ip_counted;  /* `ip` is in the admission's table */
    bool starved;     /* the filters had nothing when they were last asked */
    bool served;      /* at least one request */
    bool hurried;     /* it has shown to be fast */
    bool again_codec; /* conn_again was asked for by the codec */
    bool posted;      /* `again` is in the mailbox, so the struct has to stay */
    struct task again;
    size_t queued; /* when the write timer was set */
    struct ip_key ip;
    struct h1 h1;
    char peer[ADDRESS_TEXT];        /* the client's, as far as the connection tells */
    char socket_peer[ADDRESS_TEXT]; /* the other end of the socket: a proxy's, maybe */
};

enum body_mode { BODY_IDLE, BODY_DROP, BODY_KEEP, BODY_SINK };

struct body {
    enum body_mode mode;
    bool ended;    /* all of it has come from the wire */
    bool complete; /* and was taken by its consumer */
    bool stalled;  /* body_room said no; want_body is due */
    uint64_t wire; /* bytes from the wire, without framing */
    /* BODY_KEEP */
    char *mem;
    size_t mem_n, mem_cap, mem_max;
    /* BODY_SINK */
    struct upbuf *fill, *job; /* job: with the sink's worker */
    size_t cap;               /* of the next buffer */
    uint64_t since;           /* loop time of fill's first byte */
    struct timer flush;
    struct task task;
    struct error *err;
    int rc;
};

struct send {
    struct slice head;
    uint64_t offset, left; /* of the body */
    uint64_t sent;         /* body bytes */
    uint64_t began;        /* loop time */
    bool started;
    bool corked;
};

enum phase { PHASE_AUTH, PHASE_BODY, PHASE_FAST, PHASE_HANDLER, PHASE_RESPOND };

struct stream {
    struct request r; /* first: a request is its stream */
    struct http_loop *l;
    struct conn *conn; /* NULL once the connection let go */
    struct site_state *site;
    struct route_metrics *rows;
    struct header_set *headers; /* to be added to the response: a reference; or NULL */
    struct slice tls;           /* version, for the log; empty when plain */
    enum phase phase;
    unsigned out; /* tasks in pools or in the mailbox: then r belongs to a worker */
    bool gone;    /* the client left */
    bool broken;  /* the client left while the response was being sent */
    bool fault;   /* it could not be sent because the file could not be read */
    bool busy;    /* refused: a queue or the memory for bodies was full */
    bool rejected;
    unsigned allowed;
    enum error_code fail; /* to be answered once the task is back */
    const char *fail_detail;
    step_fn step;
    enum step result;
    struct task task;
    uint64_t start_ns;
    struct body body;
    struct send send;
};

static inline struct stream *stream_of(struct request *r)
{
    return CONTAINER_OF(r, struct stream, r);
}

/* server.c */
struct arena *http_loop_arena(struct http_loop *l);
void http_loop_arena_back(struct http_loop *l, struct arena *a);
const char *http_loop_date(struct http_loop *l);
void http_loop_id(struct http_loop *l, char out[ID_MADE]); /* a new request id, without a NUL */
/* From a worker: gives a task back. The loop may be done with the task, and even with its work,
 * before loop_post returns; the count keeps the loop's memory until then. */
static inline void http_loop_post(struct http_loop *l, struct task *t)
{
    atomic_fetch_add_explicit(&l->posting, 1, memory_order_relaxed);
    loop_post(l->loop, t);
    atomic_fetch_sub_explicit(&l->posting, 1, memory_order_release);
}
/* Ends the drain or the loop when nothing is left; call after a connection or stream went. */
void http_loop_quiet(struct http_loop *l);
struct site_state *http_server_site(struct http_server *s, const struct http_site *site);

/* listener.c */
void acceptors_start(struct http_loop *l);
/* Accepts what is waiting, then closes. all: not only those of draining sites. */
void acceptors_stop(struct http_loop *l, bool all);
void listener_release(struct http_server *s);

/* live.c */
void live_init(struct http_server *s);
void live_release(struct http_server *s);
void live_loop_release(struct http_loop *l);
void live_refresh(struct http_loop *l); /* takes over what is new */
static inline void live_check(struct http_loop *l)
{
    if (atomic_load_explicit(&l->server->live.version, memory_order_relaxed) != l->live_version)
        live_refresh(l);
}
struct header_set *header_set_ref(struct header_set *h); /* NULL is fine */
void header_set_unref(struct header_set *h);             /* NULL is fine */
bool header_set_has(const struct header_set *h, struct slice name);

/* conn.c */
struct accepted { /* a connection that may be served */
    int fd;
    bool ip_counted, trusted;
    struct ip_key ip;
    char peer[ADDRESS_TEXT];
};
bool conn_new(const struct acceptor *a, const struct accepted *in);
struct admission *conn_admission(struct http_server *s, struct site_state *site);
void conn_enter(struct conn *c);
void conn_leave(struct conn *c);
/* Closes at once; the struct lives until the outermost entry ends. */
void conn_close(struct conn *c);
/* Calls codec->again in the next turn, when other connections had theirs. */
void conn_again(struct conn *c);
/* The first phases are over: the codec has it. */
void conn_opened(struct conn *c);
void conn_drain(struct conn *c);
/* 1: all that was taken is in the socket; 0: not yet, LOOP_WRITE tells; -1: broken. */
int conn_flush(struct conn *c);
ssize_t conn_read(struct conn *c, void *p, size_t n);
ssize_t conn_writev(struct conn *c, const struct iovec *iov, int n, bool more);
void conn_interest(struct conn *c, unsigned interest);
void conn_timer(struct conn *c, int kind, uint64_t ms);
static inline bool conn_draining(const struct conn *c)
{
    return c->l->stopping || (c->l->draining && c->site->site->drains);
}

/* conn_open.c: what comes before the first request: the PROXY header, the TLS handshake. */
void conn_open(struct conn *c, struct tls_server *tls);
void conn_open_event(struct conn *c);
void conn_open_timeout(struct conn *c);
void conn_open_release(struct conn *c);

/* stream.c */
/* A request with its head, which is copied; NULL for one that could not be parsed (the head is then
 * empty). -1 with err when the head does not parse; *out is made in any case. */
int stream_new(struct conn *c, struct slice head, struct stream **out, struct error *err);
void stream_begin(struct stream *s);
void stream_reject(struct stream *s, const struct error *err); /* answers without any step */
/* The body cannot go on: becomes the response as soon as no task is out. */
void stream_fail(struct stream *s, enum error_code code, const char *detail);
void stream_body_done(struct stream *s);
/* A chunk job is back and either it (s->body.err) or, meanwhile, the stream (s->fail) failed. */
void stream_task_back(struct stream *s);
void stream_gone(struct stream *s); /* the client left; s may be freed on return */
void stream_sent(struct stream *s); /* the response is out; s may be freed on return */
/* Frees it when the connection let go and no task is out. */
void stream_release(struct stream *s);
void stream_too_large(struct stream *s); /* 413 */

/* body.c */
void body_start(struct stream *s, enum body_mode mode, size_t max);
/* Where the next bytes may be written; 0: not now, or never. In mode BODY_DROP *p is the loop's
 * scratch. */
size_t body_room(struct stream *s, char **p);
void body_took(struct stream *s, size_t n); /* n bytes were written there; may end the stream */
void body_end(struct stream *s);            /* no more comes; may end the stream */
void body_idle(struct stream *s);           /* nothing to read now: gives an empty buffer back */
void body_release(struct stream *s);
void upbufs_release(struct http_loop *l);

/* send.c */
enum send_result { SEND_DONE, SEND_BLOCKED, SEND_YIELD, SEND_FAILED };
void send_begin(struct stream *s, bool close);
enum send_result send_more(struct stream *s);

/* response.c */
const char *status_line(int status); /* "HTTP/1.1 200 OK\r\n" or NULL */
unsigned status_slot(int status);    /* below STATUS_SLOTS */
void response_release(struct request *r);
bool response_has(const struct request *r, const char *name);

/* access_target.c: a request target for a log, secrets in its query masked; in the arena. */
struct slice access_target(struct arena *a, struct slice target);

/* access.c */
void access_setup(struct http_server *s);
struct route_metrics *access_rows(struct http_server *s, const struct http_site *site);
void access_begin(struct stream *s); /* the route is known */
void access_end(struct stream *s);   /* the only place that logs and counts a request */

#endif
