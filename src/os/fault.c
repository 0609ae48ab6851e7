/* SPDX-License-Identifier: Apache-2.0 */
#include "os/fault.h"

#include <stdlib.h>

#include "base/util.h"

#ifdef BERTH_FAULT

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/fault_points.h"

#endif

#include "base/banned.h"

#ifdef BERTH_FAULT

enum { RULES_MAX = 32 };
enum action { FAIL, SHORT, KILL, SLEEP };

struct rule {
    const char *point; /* of the list; NULL: every one */
    bool after;
    enum action action;
    int value; /* errno, or milliseconds */
    uint64_t from;
    bool sticky;
    uint64_t passed; /* passages so far */
};

/* There is none of this in a build that is shipped.
 * lint: globals: faults belong to the process, like the environment variable they come from */
static struct {
    pthread_mutex_t lock; /* guards rules and count */
    struct rule rules[RULES_MAX];
    unsigned count;
    atomic_bool any; /* count > 0, for who does not want to take the lock */
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const points[] = {
#define POINT_NAME(name, meaning) name,
    FAULT_POINTS(POINT_NAME)
#undef POINT_NAME
};

static const struct {
    const char *name;
    int value;
} errnos[] = {
    {"EIO", EIO},     {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
    {"EINTR", EINTR}, {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM}, {"EXDEV", EXDEV},
};

static const char *find_point(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        if (slice_is(name, points[i]))
            return points[i];
    return NULL;
}

static bool can_short(const char *point)
{
    struct slice s = slice_cstr(point);
    return slice_ends(s, SLICE_LIT(".write")) || slice_ends(s, SLICE_LIT(".read"));
}

/* os_random has no way to fail but to abort, so `*` leaves it alone. */
static bool can_fail(const char *point)
{
    return strcmp(point, "loop.random") != 0;
}

static int parse_point(struct slice s, struct rule *r)
{
    const struct slice suffix = SLICE_LIT(".after");
    if (slice_ends(s, suffix)) {
        r->after = true;
        s = slice_first(s, s.n - suffix.n);
    }
    if (slice_is(s, "*"))
        return 0;
    r->point = find_point(s);
    return r->point ? 0 : -1;
}

static int parse_action(struct slice s, struct rule *r)
{
    uint64_t ms;
    if (slice_is(s, "kill")) {
        r->action = KILL;
        return 0;
    }
    if (slice_starts(s, SLICE_LIT("sleep"))) {
        r->action = SLEEP;
        if (parse_u63(slice_from(s, 5), &ms) || ms > 600000)
            return -1;
        r->value = (int)ms;
        return 0;
    }
    if (r->after)
        return -1; /* it has happened: too late to fail */
    if (slice_is(s, "short")) {
        r->action = SHORT;
        return r->point && !can_short(r->point) ? -1 : 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(errnos); i++)
        if (slice_is(s, errnos[i].name)) {
            r->action = FAIL;
            r->value = errnos[i].value;
            return 0;
        }
    return -1;
}

/* POINT=ACTION[@N][+] */
static int parse_rule(struct slice s, struct rule *r)
{
    *r = (struct rule){.from = 1};
    if (slice_ends(s, SLICE_LIT("+"))) {
        r->sticky = true;
        s.n--;
    }
    struct slice action = s;
    struct slice point = slice_cut(&action, '=');
    struct slice from = action;
    action = slice_cut(&from, '@');
    if (!action.p || parse_point(point, r) || parse_action(action, r))
        return -1;
    if (from.p && (parse_u63(from, &r->from) || r->from == 0))
        return -1;
    /* Calls are repeated while they are interrupted: that would be for ever. */
    return r->sticky && r->action == FAIL && r->value == EINTR ? -1 : 0;
}

static int replace_rules(const char *spec)
{
    struct rule parsed[RULES_MAX];
    unsigned n = 0;
    struct slice rest = *spec ? slice_cstr(spec) : SLICE_NONE;
    while (rest.p) {
        if (n == RULES_MAX || parse_rule(slice_cut(&rest, ','), &parsed[n]))
            return -1;
        n++;
    }
    pthread_mutex_lock(&faults.lock);
    if (n)
        memcpy(faults.rules, parsed, n * sizeof parsed[0]);
    faults.count = n;
    pthread_mutex_unlock(&faults.lock);
    atomic_store(&faults.any, n > 0);
    return 0;
}

static bool matches(const struct rule *r, const char *point, bool after)
{
    if (r->after != after)
        return false;
    if (r->point)
        return strcmp(r->point, point) == 0;
    return r->action == SHORT ? can_short(point) : r->action != FAIL || can_fail(point);
}

/* Counts the passage in every rule that matches; the first one that is due acts. */
static bool due(const char *point, bool after, struct rule *out)
{
    bool found = false;
    pthread_mutex_lock(&faults.lock);
    for (unsigned i = 0; i < faults.count; i++) {
        struct rule *r = &faults.rules[i];
        if (!matches(r, point, after))
            continue;
        r->passed++;
        if (!found && (r->sticky ? r->passed >= r->from : r->passed == r->from)) {
            *out = *r;
            found = true;
        }
    }
    pthread_mutex_unlock(&faults.lock);
    return found;
}

static void sleep_ms(int ms)
{
    struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

int fault_check(const char *point, int after)
{
    struct rule r = {0};
    CHECK(find_point(slice_cstr(point)));
    if (!atomic_load_explicit(&faults.any, memory_order_relaxed) || !due(point, after != 0, &r))
        return 0;
    switch (r.action) {
    case FAIL:
        return r.value;
    case SHORT:
        return FAULT_SHORT;
    case KILL:
        (void)kill(getpid(), SIGKILL);
        break;
    case SLEEP:
        sleep_ms(r.value);
        break;
    }
    return 0;
}

#endif

int fault_configure(const char *spec)
{
    if (!spec)
        spec = getenv("BERTH_FAULTS");
    if (!spec)
        spec = "";
#ifdef BERTH_FAULT
    return replace_rules(spec);
#else
    return *spec ? -1 : 0;
#endif
}
