/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte buffer that is born with its maximum. Appending past the maximum, or running out
 * of memory, fails and leaves what is there; `failed` is sticky, so that a series of appends can be
 * checked once at its end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct buf {
    char *p;     /* n bytes, then always a NUL when p != NULL */
    size_t n;    /* bytes in use */
    size_t cap;  /* bytes allocated */
    size_t max;  /* n never exceeds this */
    bool failed; /* sticky */
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* n = 0, failed = false; the memory stays */
/* Makes room for `more` bytes after n (b->p + b->n is writable). 0 or -1. */
int buf_reserve(struct buf *b, size_t more);
int buf_add(struct buf *b, const void *p, size_t n);
int buf_puts(struct buf *b, const char *s);
int buf_putc(struct buf *b, char c);
int buf_slice(struct buf *b, struct slice s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* The memory (NUL-terminated, malloc'ed) becomes the caller's; the buffer is empty again. NULL when
 * it was empty. */
char *buf_steal(struct buf *b, size_t *n);
static inline struct slice buf_view(const struct buf *b)
{
    return (struct slice){b->p, b->n};
}
#define CLEANUP_BUF __attribute__((cleanup(buf_release)))

#endif
