/* SPDX-License-Identifier: Apache-2.0 */
/* The program that an expression becomes. */
#ifndef REGISTRY_PATTERN_INT_H
#define REGISTRY_PATTERN_INT_H

#include <stdint.h>

#include "registry/pattern.h"

enum { ASCII = 128 };

enum step_kind {
    STEP_SET,   /* one byte of set `arg` */
    STEP_SPLIT, /* the next step, and the one `arg` further */
    STEP_JUMP,  /* the one `arg` further */
    STEP_BEGIN, /* only where the text begins, ends; where a word begins or ends, or not */
    STEP_END,
    STEP_WORD,
    STEP_NOT_WORD,
    STEP_MATCH
};

struct pattern_step {
    uint8_t kind;
    int16_t arg;
};

struct byte_set {
    uint64_t bits[ASCII / 64];
};

struct pattern {
    unsigned n, n_sets;
    struct byte_set *sets;
    struct pattern_step steps[PATTERN_STEPS_MAX + 1];
};

static inline bool set_has(const struct byte_set *s, unsigned c)
{
    return s->bits[c / 64] >> (c % 64) & 1;
}

#endif
