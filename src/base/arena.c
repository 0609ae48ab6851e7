/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

enum { ALIGN = 16, BLOCK_MIN = 4096 };

struct block {
    struct block *next;
    size_t size, used;
    alignas(ALIGN) char data[];
};

struct cleanup {
    struct cleanup *next;
    void (*fn)(void *);
    void *arg;
};

struct arena {
    struct block *head;  /* the block that is being filled */
    struct block *first; /* came with the arena */
    struct cleanup *cleanups;
};

static size_t round_up(size_t n)
{
    CHECK(n <= SIZE_MAX / 4);
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

struct arena *arena_new(size_t first)
{
    size_t head = round_up(sizeof(struct arena));
    first = round_up(first);
    char *p = malloc(head + sizeof(struct block) + first);
    if (!p)
        check_failed("memory for an arena", __FILE__, __LINE__);
    struct arena *a = (struct arena *)(void *)p;
    struct block *b = (struct block *)(void *)(p + head);
    *b = (struct block){.size = first};
    *a = (struct arena){.head = b, .first = b};
    return a;
}

static void run_cleanups(struct arena *a)
{
    while (a->cleanups) {
        struct cleanup *c = a->cleanups;
        a->cleanups = c->next;
        c->fn(c->arg);
    }
}

void arena_reset(struct arena *a)
{
    run_cleanups(a);
    while (a->head != a->first) {
        struct block *b = a->head;
        a->head = b->next;
        free(b);
    }
    a->first->used = 0;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    arena_reset(a);
    free(a);
}

void *arena_alloc(struct arena *a, size_t n)
{
    n = round_up(n ? n : 1);
    struct block *b = a->head;
    if (b->size - b->used < n) {
        size_t size = n > BLOCK_MIN ? n : BLOCK_MIN;
        struct block *fresh = malloc(sizeof *fresh + size);
        if (!fresh)
            check_failed("memory for an arena block", __FILE__, __LINE__);
        *fresh = (struct block){.next = a->head, .size = size};
        a->head = b = fresh;
    }
    void *p = b->data + b->used;
    b->used += n;
    memset(p, 0, n);
    return p;
}

void *arena_array(struct arena *a, size_t size, size_t n)
{
    size_t bytes;
    CHECK(!__builtin_mul_overflow(size, n, &bytes));
    return arena_alloc(a, bytes);
}

char *arena_strndup(struct arena *a, const char *p, size_t n)
{
    char *s = arena_alloc(a, n + 1);
    if (n)
        memcpy(s, p, n);
    return s;
}

struct slice arena_slice(struct arena *a, struct slice s)
{
    return (struct slice){arena_strndup(a, s.p, s.n), s.n};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    if ((size_t)n < sizeof text)
        return arena_strndup(a, text, (size_t)n);
    char *s = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    (void)vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void arena_on_free(struct arena *a, void (*fn)(void *arg), void *arg)
{
    struct cleanup *c = ARENA_NEW(a, struct cleanup);
    *c = (struct cleanup){a->cleanups, fn, arg};
    a->cleanups = c;
}
