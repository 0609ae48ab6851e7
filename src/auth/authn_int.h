/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of authenticator share. */
#ifndef AUTH_AUTHN_INT_H
#define AUTH_AUTHN_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "auth/authn.h"
#include "auth/htpasswd.h"
#include "auth/limiter.h"
#include "auth/memo.h"
#include "auth/secret.h"
#include "auth/token.h"
#include "base/buf.h"

enum {
    SOURCES = 2,              /* files at most */
    KEYS_BYTES_MAX = 1 << 20, /* of rootcertbundle and of the JWKS */
    GOOD_S = 60,              /* a right password is known this long after its last use */
    BAD_S = 5,                /* a wrong one */
    ADMITTED_S = 30,          /* one that waits for bcrypt */
};

/* Tells one content of a file from another. */
struct stamp {
    bool exists;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

/* What was read from the files; immutable, reference counted. */
struct material {
    atomic_uint refs;
    struct stamp stamps[SOURCES];
    struct htpasswd *passwords; /* htpasswd */
    unsigned ignored;           /* its entries that are no bcrypt */
    struct token_keys *keys;    /* token */
    char generation[17];        /* other for every material of this authenticator */
};

/* A password that some worker verifies now; on that worker's stack. */
struct flight {
    struct mac key;
    struct flight *next;
};

enum outcome { OUTCOME_OK, OUTCOME_CACHED, OUTCOME_REFUSED, OUTCOME_LIMITED, OUTCOMES };

struct authn {
    atomic_uint refs;
    enum authn_kind kind;
    char *realm, *service, *issuer, *redirect_path;
    bool autoredirect;
    char *paths[SOURCES]; /* NULL: none. htpasswd; or rootcertbundle and JWKS */
    const char **algorithms;
    unsigned n_algorithms;
    struct secret secret;

    pthread_mutex_t lock;        /* guards what follows, up to the next lock */
    struct material *material;   /* in force */
    struct stamp tried[SOURCES]; /* of the last attempt to read it again */
    uint64_t generation;
    uint64_t changes, told; /* changes that were seen; those that authn_refresh has told of */
    bool failed;            /* the last attempt */
    struct error problem;   /* why */

    pthread_mutex_t reload;         /* held by whoever reads the files again */
    atomic_int_least64_t checked_s; /* the second in which a worker last looked at the files */

    struct memo *good; /* password: nothing is carried; token: its claims */
    struct memo *tried_passwords;
    struct limiter *limiter;
    pthread_mutex_t flights_lock; /* guards flights */
    pthread_cond_t flights_ended;
    struct flight *flights;

    struct metric *outcomes[OUTCOMES]; /* NULL without metrics */
    struct metric *reload_failed;
};

/* ---- files (authn_file.c) ---- */

/* The whole of an open file, at most max bytes. */
int file_read(int fd, const char *name, size_t max, struct buf *out, struct error *err);
/* Makes the first material. */
int material_load(struct authn *a, struct material **out, struct error *err);
struct material *material_get(struct authn *a); /* a reference */
void material_unref(struct material *m);        /* NULL is fine */
/* In a worker: reads the files again when they changed, at most once a second. */
void material_refresh(struct authn *a, int64_t now_s);

/* ---- kinds ---- */

enum authn_result basic_quick(struct authn *a, const struct authn_question *q, struct arena *arena,
                              struct principal *who, struct error *err);
enum authn_result basic_verify(struct authn *a, const struct authn_question *q, struct arena *arena,
                               struct principal *who, struct error *err);
extern const struct memo_value bearer_value;
enum authn_result bearer_quick(struct authn *a, const struct authn_question *q, struct arena *arena,
                               struct principal *who, const char **why, struct error *err);
enum authn_result bearer_verify(struct authn *a, const struct authn_question *q,
                                struct arena *arena, struct principal *who, const char **why,
                                struct error *err);
/* The credentials of a scheme (compared without regard to case); false when it is another. */
bool credentials_of(struct slice authorization, const char *scheme, struct slice *out);
void count(struct authn *a, enum outcome outcome);

#endif
