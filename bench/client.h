/* SPDX-License-Identifier: Apache-2.0 */
/* C keep-alive connections on one thread, in a closed loop or at a fixed rate: each carries one
 * operation at a time, an operation being one or more requests that a scenario scripts (POST,
 * PATCH, PUT). The client is kept cheaper than any server it measures: one send and one recv per
 * small request, body bytes that nobody looks at are dropped in the kernel. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "histogram.h"
#include "response.h"

/* One request. All slices stay valid until its response is complete. */
struct exchange {
    struct slice head;    /* request line and fields, up to and with the empty line */
    struct slice part[2]; /* the body, in two pieces */
    size_t chunk;         /* 0: the body goes as it is; else in chunks of this many bytes */
    bool no_body;         /* HEAD */
    char frame[2][20];    /* wire.c's: the size lines of a full chunk and of the last one */
};

enum step {
    STEP_SEND, /* *x is the next request of the operation */
    STEP_DONE, /* the operation is complete */
    STEP_FAIL, /* the answer is wrong; *err says how */
    STEP_END,  /* there is no further operation */
};

struct scenario {
    /* r == NULL: begin an operation on connection `slot` (SEND or END). Otherwise r answers the
     * last request of that slot (SEND, DONE or FAIL). */
    enum step (*step)(void *self, unsigned slot, const struct response *r, struct exchange *x,
                      struct error *err);
    /* Sees the body bytes of answers, when not NULL. */
    void (*body)(void *self, unsigned slot, const void *p, size_t n);
    void *self;
};

struct client_options {
    struct sockaddr_in addr;
    unsigned conns;
    uint64_t count; /* operations, or 0 for no limit */
    double seconds; /* no operation begins later than this; 0 for no limit */
    /* 0: a closed loop. Otherwise operations become due at this rate per second whatever the server
     * does, wait for a free connection when it is late, and their latency counts from when they
     * were due. */
    double rate;
};

struct client_result {
    uint64_t ops;
    uint64_t errors;
    uint64_t requests;
    uint64_t bytes_in;  /* of response bodies */
    uint64_t bytes_out; /* of request bodies, without framing */
    uint64_t reconnects;
    double seconds; /* from the first request to the last complete operation */
    struct histogram latency;
    struct error first; /* the first error */
};

/* Nanoseconds of the monotonic clock. */
uint64_t client_now(void);
/* A connected, non-blocking socket, or -1. */
int client_connect(const struct sockaddr_in *addr, struct error *err);
/* Runs to its limits. An operation that fails is counted and its connection opened anew; after 20
 * of them the run ends. 0, or -1 when it could not begin or nothing moved for 60 s. */
int client_run(const struct client_options *o, const struct scenario *s, struct client_result *res,
               struct error *err);

#endif
