/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP server for tests: keeps what it was sent, answers as it is told to. */
#ifndef TESTS_HTTP_STUB_H
#define TESTS_HTTP_STUB_H

#include <stdbool.h>
#include <stddef.h>

struct stub;

/* What it answers with besides a status. */
enum {
    STUB_HANG = -1,    /* nothing, until it is told otherwise or stopped */
    STUB_CLOSE = -2,   /* the connection ends without an answer */
    STUB_ENDLESS = -3, /* 200 and a body without end */
    STUB_STALLED = -4, /* 201, and a body that stops before its end; the connection stays */
    STUB_CUT = -5,     /* the same, and then the connection ends */
    STUB_NO_HEAD = -6  /* 201, and a head that stops before its end; the connection stays */
};

struct stub *stub_new(void);
void stub_free(struct stub *s);
/* "http://127.0.0.1:PORT/path"; the path begins with a slash. Belongs to the stub. */
const char *stub_url(struct stub *s, const char *user, const char *path);
/* From now on; the first `n` requests (n > 0) get it, then 200. */
void stub_answer(struct stub *s, int status, unsigned n);
/* Requests so far, and one of them: head and body as text. Kept until the end. */
unsigned stub_count(struct stub *s);
const char *stub_head(struct stub *s, unsigned i);
const char *stub_body(struct stub *s, unsigned i);
/* Connections so far. */
unsigned stub_connections(struct stub *s);
/* Waits for a number of requests, up to `ms`. */
bool stub_wait(struct stub *s, unsigned count, unsigned ms);

#endif
