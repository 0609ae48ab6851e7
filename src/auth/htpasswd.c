/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/htpasswd.h"

#include <stdlib.h>
#include <string.h>

#include <crypt.h>

#include "auth/secret.h"
#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

enum {
    BCRYPT_LEN = 60, /* "$2y$10$", 22 digits of salt, 31 of hash */
    BCRYPT_COST_MIN = 4,
    PREFIX_LEN = 7,
    SALT_END = 29,
    HASH_ROOM = 64
};

struct entry {
    struct slice user; /* in text */
    const char *hash;  /* NUL-terminated, in text; NULL when it is not bcrypt */
    unsigned line;
};

struct htpasswd {
    char *text; /* a copy of the file, lines ended by NULs */
    struct entry *entries;
    unsigned n, usable; /* entries sorted by user; those with a hash */
    char decoy[HASH_ROOM];
};

/* ---- hashes ---- */

static bool is_bcrypt_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '/';
}

/* The cost of "$2y$10$..."; 0 when it is no bcrypt hash. */
static unsigned bcrypt_cost(struct slice hash)
{
    if (hash.n != BCRYPT_LEN || memcmp(hash.p, "$2", 2) != 0 || !memchr("aby", hash.p[2], 3) ||
        hash.p[3] != '$' || hash.p[6] != '$')
        return 0;
    uint64_t cost;
    if (parse_u63(slice_make(hash.p + 4, 2), &cost) || cost < BCRYPT_COST_MIN || cost > 31)
        return 0;
    for (size_t i = PREFIX_LEN; i < hash.n; i++)
        if (!is_bcrypt_digit(hash.p[i]))
            return 0;
    return (unsigned)cost;
}

static bool can_hash(struct slice password)
{
    return password.n <= HTPASSWD_PASSWORD_MAX &&
           !(password.n && memchr(password.p, '\0', password.n));
}

/* crypt(3) of a password that can_hash; setting is a hash or a salt. */
static int bcrypt(struct slice password, const char *setting, char out[HASH_ROOM])
{
    char phrase[HTPASSWD_PASSWORD_MAX + 1] = {0};
    if (password.n)
        memcpy(phrase, password.p, password.n);
    struct crypt_data *work = xcalloc(1, sizeof *work);
    const char *hash = crypt_rn(phrase, setting, work, (int)sizeof *work);
    int failed = -1;
    if (hash && bcrypt_cost(slice_cstr(hash))) {
        memcpy(out, hash, BCRYPT_LEN + 1);
        failed = 0;
    }
    explicit_bzero(phrase, sizeof phrase);
    explicit_bzero(work, sizeof *work);
    free(work);
    return failed;
}

/* No password has this hash, as far as anybody can know: the salt is fixed, the hash is not of
 * anything. */
static void make_decoy(unsigned cost, char out[HASH_ROOM])
{
    struct buf b;
    buf_init(&b, HASH_ROOM);
    buf_printf(&b, "$2y$%02u$", cost);
    while (b.n < BCRYPT_LEN)
        buf_putc(&b, '.');
    memcpy(out, b.p, BCRYPT_LEN + 1);
    buf_release(&b);
}

bool password_verify(const char *hash, struct slice password)
{
    char made[HASH_ROOM], decoy[HASH_ROOM];
    if (!can_hash(password))
        return false;
    make_decoy(HTPASSWD_COST, decoy);
    const char *against = hash && bcrypt_cost(slice_cstr(hash)) ? hash : decoy;
    /* Without the salt, whose last digit has four unused bits that libcrypt clears and some tools
     * set. */
    bool right = bcrypt(password, against, made) == 0 &&
                 secret_equal(made + SALT_END, against + SALT_END, BCRYPT_LEN - SALT_END);
    explicit_bzero(made, sizeof made);
    return right && against == hash;
}

int password_hash(struct slice password, unsigned cost, char out[HASH_ROOM], struct error *err)
{
    if (cost < BCRYPT_COST_MIN || cost > HTPASSWD_COST_MAX)
        return error_detail(err, ERR_BAD_REQUEST, "a cost of %u: it has to be %d to %d", cost,
                            BCRYPT_COST_MIN, HTPASSWD_COST_MAX);
    if (password.n == 0)
        return error_detail(err, ERR_BAD_REQUEST, "the password is empty");
    if (!can_hash(password))
        return error_detail(err, ERR_BAD_REQUEST,
                            password.n > HTPASSWD_PASSWORD_MAX
                                ? "the password has %zu bytes: bcrypt looks at the first 72 only, "
                                  "so it has to be shorter"
                                : "the password of %zu bytes has a NUL among them",
                            password.n);
    char random[16], salt[CRYPT_GENSALT_OUTPUT_SIZE];
    os_random(random, sizeof random);
    if (!crypt_gensalt_rn("$2y$", cost, random, sizeof random, salt, sizeof salt) ||
        bcrypt(password, salt, out))
        return error_set(err, ERR_UNKNOWN, "libcrypt makes no bcrypt hash");
    return 0;
}

void password_random(char out[25])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (unsigned n = 0; n < 24;) {
        unsigned char bytes[32];
        os_random(bytes, sizeof bytes);
        for (unsigned i = 0; i < sizeof bytes && n < 24; i++)
            if (bytes[i] < 4 * (sizeof letters - 1)) /* 248: every letter is as likely */
                out[n++] = letters[bytes[i] % (sizeof letters - 1)];
        explicit_bzero(bytes, sizeof bytes);
    }
    out[24] = '\0';
}

/* ---- the file ---- */

static struct slice trim_line(struct slice line)
{
    while (line.n && strchr(" \t\r\v\f", line.p[0]))
        line = slice_from(line, 1);
    while (line.n && strchr(" \t\r\v\f", line.p[line.n - 1]))
        line.n--;
    return line;
}

struct parser {
    struct htpasswd *h;
    unsigned room;
    unsigned costs[HTPASSWD_COST_MAX + 1]; /* entries of each */
    unsigned line;
    struct error *err;
};

static int parse_line(struct parser *ps, struct slice line)
{
    line = trim_line(line);
    if (line.n == 0 || line.p[0] == '#')
        return 0;
    struct slice hash = line;
    struct slice user = slice_cut(&hash, ':');
    if (!hash.p || user.n == 0)
        return error_detail(ps->err, ERR_BAD_REQUEST, "line %u is not USER:HASH", ps->line);
    unsigned cost = bcrypt_cost(hash);
    if (cost > HTPASSWD_COST_MAX)
        return error_detail(ps->err, ERR_BAD_REQUEST,
                            "line %u: a bcrypt cost of %u: at most %d here, a login would take "
                            "minutes",
                            ps->line, cost, HTPASSWD_COST_MAX);
    struct htpasswd *h = ps->h;
    if (h->n == ps->room) {
        size_t room = ps->room ? (size_t)ps->room * 2 : 16; /* of a file of at most 16 MiB */
        void *more = realloc(h->entries, room * sizeof *h->entries);
        if (!more)
            return error_set(ps->err, ERR_UNKNOWN, "out of memory");
        h->entries = more;
        ps->room = (__typeof__(ps->room))room;
    }
    if (cost) {
        ps->costs[cost]++;
        h->text[hash.p + hash.n - h->text] = '\0'; /* the end of its line, or behind it a blank */
    }
    h->entries[h->n++] =
        (struct entry){.user = user, .hash = cost ? hash.p : NULL, .line = ps->line};
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = slice_cmp(x->user, y->user);
    return c ? c : (x->line > y->line) - (x->line < y->line);
}

/* Sorts, and leaves the last line of each user; the number of those that are no bcrypt. */
static unsigned settle(struct htpasswd *h)
{
    unsigned n = 0, ignored = 0;
    if (h->n)
        qsort(h->entries, h->n, sizeof *h->entries, compare);
    for (unsigned i = 0; i < h->n; i++) {
        if (!h->entries[i].hash)
            ignored++;
        if (i + 1 < h->n && slice_eq(h->entries[i].user, h->entries[i + 1].user))
            continue;
        h->entries[n++] = h->entries[i];
    }
    h->n = n;
    for (unsigned i = 0; i < n; i++)
        h->usable += h->entries[i].hash != NULL;
    return ignored;
}

int htpasswd_parse(struct slice text, struct htpasswd **out, unsigned *ignored, struct error *err)
{
    if (text.n > HTPASSWD_BYTES_MAX)
        return error_detail(err, ERR_BAD_REQUEST, "larger than %d bytes", HTPASSWD_BYTES_MAX);
    if (text.n && memchr(text.p, '\0', text.n))
        return error_detail(err, ERR_BAD_REQUEST, "a NUL byte: this is no htpasswd file");
    struct htpasswd *h = xcalloc(1, sizeof *h);
    h->text = malloc(text.n + 1);
    if (!h->text) {
        htpasswd_free(h);
        return error_set(err, ERR_UNKNOWN, "out of memory");
    }
    if (text.n)
        memcpy(h->text, text.p, text.n);
    h->text[text.n] = '\0';
    struct parser ps = {.h = h, .err = err};
    struct slice rest = slice_make(h->text, text.n);
    while (rest.p) {
        struct slice line = slice_cut(&rest, '\n');
        ps.line++;
        if (parse_line(&ps, line)) {
            htpasswd_free(h);
            return -1;
        }
    }
    unsigned skipped = settle(h), cost = HTPASSWD_COST;
    for (unsigned c = BCRYPT_COST_MIN; c <= HTPASSWD_COST_MAX; c++)
        if (ps.costs[c] > ps.costs[cost])
            cost = c;
    make_decoy(cost, h->decoy);
    if (ignored)
        *ignored = skipped;
    *out = h;
    return 0;
}

void htpasswd_free(struct htpasswd *h)
{
    if (!h)
        return;
    free(h->text);
    free(h->entries);
    free(h);
}

unsigned htpasswd_count(const struct htpasswd *h)
{
    return h->usable;
}

const char *htpasswd_find(const struct htpasswd *h, struct slice user)
{
    struct entry key = {.user = user};
    unsigned low = 0, high = h->n;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int c = slice_cmp(key.user, h->entries[middle].user);
        if (c == 0)
            return h->entries[middle].hash;
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *htpasswd_decoy(const struct htpasswd *h)
{
    return h->decoy;
}
