/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

void buf_init(struct buf *b, size_t max)
{
    /* Room for the NUL and for doubling, without overflow. */
    *b = (struct buf){.max = MIN(max, SIZE_MAX / 4)};
}

void buf_release(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p)
        b->p[0] = '\0';
}

int buf_reserve(struct buf *b, size_t more)
{
    if (b->failed || more > b->max || b->n > b->max - more) {
        b->failed = true;
        return -1;
    }
    size_t need = b->n + more + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return -1;
    }
    b->p = p;
    b->cap = cap;
    return 0;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
    if (buf_reserve(b, n))
        return -1;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
    return 0;
}

int buf_puts(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_putc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_slice(struct buf *b, struct slice s)
{
    return buf_add(b, s.p, s.n);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    if (b->failed)
        return -1;
    /* Into the room that is there: mostly it is enough. */
    size_t room = b->cap - b->n;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(b->p ? b->p + b->n : NULL, room, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < room) {
        b->n += (size_t)n;
        return 0;
    }
    if (n < 0 || buf_reserve(b, (size_t)n)) {
        b->failed = true;
        if (b->p)
            b->p[b->n] = '\0';
        return -1;
    }
    va_start(ap, fmt);
    (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

char *buf_steal(struct buf *b, size_t *n)
{
    char *p = b->p;
    if (b->n == 0) {
        free(p);
        p = NULL;
    }
    if (n)
        *n = b->n;
    *b = (struct buf){.max = b->max};
    return p;
}
