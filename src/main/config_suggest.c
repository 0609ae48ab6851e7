/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the nearest of the words that would have been right. */
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

enum { WORD_MAX = 96 };

/* Damerau's distance with adjacent swaps (optimal string alignment), letters in any case; limit + 1
 * when it is more than limit, or when a word is longer than any of ours. */
unsigned edit_distance(struct slice a, struct slice b, unsigned limit)
{
    unsigned rows[3][WORD_MAX + 1];
    size_t apart = a.n > b.n ? a.n - b.n : b.n - a.n;
    if (a.n > WORD_MAX || b.n > WORD_MAX || apart > limit)
        return limit + 1;
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b.n; j++)
        above[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            char x = ascii_lower(a.p[i - 1]);
            char y = ascii_lower(b.p[j - 1]);
            unsigned d = above[j - 1] + (x != y);
            d = MIN(d, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == ascii_lower(b.p[j - 2]) && y == ascii_lower(a.p[i - 2]))
                d = MIN(d, before[j - 2] + 1);
            row[j] = d;
        }
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return MIN(above[b.n], limit + 1);
}

void suggest_init(struct suggestion *s, struct slice word)
{
    unsigned limit = word.n <= 3 ? 1 : word.n <= 6 ? 2 : 3;
    *s = (struct suggestion){.word = word, .distance = limit + 1};
}

void suggest_try(struct suggestion *s, struct slice candidate)
{
    if (s->distance == 0 || !candidate.n)
        return;
    unsigned d = edit_distance(s->word, candidate, s->distance - 1);
    if (d < s->distance) {
        s->distance = d;
        s->best = candidate;
    }
}
