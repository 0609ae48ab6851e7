/* SPDX-License-Identifier: Apache-2.0 */
/* Between h1.c (heads, life) and h1_body.c (bodies). */
#ifndef HTTP_H1_INT_H
#define HTTP_H1_INT_H

#include "http/engine_int.h"

size_t h1_avail(const struct h1 *h);
/* Bytes after a body that were read into another buffer become the input; there must be none. */
void h1_stash(struct h1 *h, const char *p, size_t n);
void h1_run(struct conn *c); /* consumes the input as far as possible */
void h1_idle(struct conn *c);
void h1_linger(struct conn *c);

/* h1_body.c */
bool h1_feed_body(struct conn *c); /* from the input to the stream; true when it went on */
void h1_read_body(struct conn *c); /* from the connection straight into the stream's buffer */
bool h1_feed_drain(struct conn *c);
void h1_read_drain(struct conn *c);

#endif
