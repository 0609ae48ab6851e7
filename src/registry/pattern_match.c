/* SPDX-License-Identifier: Apache-2.0 */
/* Thompson's simulation: all ways through the program are gone at once, byte by byte. */
#include "registry/pattern_int.h"

#include "base/util.h"

#include "base/banned.h"

/* The steps that the automaton is at, each once. */
struct front {
    unsigned n;
    uint16_t *at;
};

struct run {
    const struct pattern *p;
    struct slice text;
    size_t i;     /* bytes read */
    size_t *seen; /* of each step: i + 1 of the last time */
    uint16_t *stack;
    struct front fronts[2];
    size_t memory[];
};

static struct run *run_new(const struct pattern *p, struct slice text)
{
    /* A step is put on the stack twice at most: see enter(). */
    size_t n = p->n;
    struct run *r = xcalloc(1, sizeof *r + n * sizeof *r->seen + (4 * n + 2) * sizeof *r->stack);
    r->p = p;
    r->text = text;
    r->seen = r->memory;
    r->stack = (uint16_t *)(void *)(r->seen + n);
    r->fronts[0].at = r->stack + 2 * n + 2;
    r->fronts[1].at = r->fronts[0].at + n;
    return r;
}

static bool is_word(const struct run *r, size_t i)
{
    char ch = i < r->text.n ? r->text.p[i] : '\0';
    char l = ascii_lower(ch);
    return (l >= 'a' && l <= 'z') || (ch >= '0' && ch <= '9') || ch == '_';
}

static bool holds(const struct run *r, unsigned kind)
{
    bool edge = (r->i > 0 && is_word(r, r->i - 1)) != is_word(r, r->i);
    return (kind == STEP_BEGIN && r->i == 0) || (kind == STEP_END && r->i == r->text.n) ||
           (kind == STEP_WORD && edge) || (kind == STEP_NOT_WORD && !edge);
}

/* The step, and what follows without reading a byte, become part of the front. True: it matches. */
static bool enter(struct run *r, struct front *f, unsigned step)
{
    unsigned n = 0;
    r->stack[n++] = (uint16_t)step;
    while (n) {
        unsigned at = r->stack[--n];
        const struct pattern_step *s = &r->p->steps[at];
        if (r->seen[at] == r->i + 1)
            continue;
        r->seen[at] = r->i + 1;
        switch (s->kind) {
        case STEP_MATCH:
            return true;
        case STEP_SET:
            f->at[f->n++] = (uint16_t)at;
            break;
        case STEP_SPLIT:
            r->stack[n++] = (uint16_t)(at + 1);
            r->stack[n++] = (uint16_t)((int)at + s->arg);
            break;
        case STEP_JUMP:
            r->stack[n++] = (uint16_t)((int)at + s->arg);
            break;
        default:
            if (holds(r, s->kind))
                r->stack[n++] = (uint16_t)(at + 1);
        }
    }
    return false;
}

/* Reads one byte: from the front `now` to the front `next`. */
static bool advance(struct run *r, const struct front *now, struct front *next)
{
    unsigned byte = (unsigned char)r->text.p[r->i++];
    next->n = 0;
    for (unsigned k = 0; k < now->n; k++) {
        unsigned set = (unsigned)r->p->steps[now->at[k]].arg;
        if (byte < ASCII && set_has(&r->p->sets[set], byte) && enter(r, next, now->at[k] + 1u))
            return true;
    }
    return false;
}

bool pattern_match(const struct pattern *p, struct slice text)
{
    CLEANUP_FREE struct run *r = run_new(p, text);
    struct front *now = &r->fronts[0];
    struct front *next = &r->fronts[1];
    while (!enter(r, now, 0)) { /* unanchored: a match may begin anywhere */
        if (r->i == text.n)
            return false;
        if (advance(r, now, next))
            return true;
        struct front *old = now;
        now = next;
        next = old;
    }
    return true;
}
