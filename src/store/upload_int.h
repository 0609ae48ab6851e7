/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by upload.c (one session) and upload_table.c (all of them). */
#ifndef STORE_UPLOAD_INT_H
#define STORE_UPLOAD_INT_H

#include "base/hash.h"
#include "store/upload.h"

/* Which list of idle sessions, oldest first: those that lose nothing when they are evicted, and
 * those whose bytes are nowhere else. */
enum upload_list { UPLOAD_LOSSLESS, UPLOAD_UNSAVED, UPLOAD_LIST_COUNT, UPLOAD_NO_LIST };

struct upload {
    /* Fixed while the session is in the table. */
    struct uploads *table;
    char id[UPLOAD_ID_LEN + 1];
    char *repo;

    /* The table's, under its mutex. */
    struct upload *chain; /* of the bucket; of the dead */
    struct upload *older;
    struct upload *newer;
    enum upload_list list;
    bool busy;

    /* The writer's; the table's while the session is idle. */
    uint64_t size;       /* bytes of the session: what a rewind cut off does not count */
    char *mem;           /* all bytes, while not staged */
    size_t cap;          /* allocated at mem */
    struct stage *stage; /* NULL in a staged session: to be made with the first byte */
    bool staged;
    bool stage_soon; /* more was announced than stays in memory */
    bool cut;        /* the stage is longer than size and is to be cut before it is used */
    bool saved;      /* the row has all of it */

    /* The running hash. hasher NULL: nothing hashed yet. */
    struct hasher *hasher;
    enum hash_alg alg;
    uint64_t hashed; /* bytes from the start that are in it */
    bool finished;   /* the hasher gave its digest and cannot go on */
    struct digest digest;
};

/* upload.c: what the table asks of a session that nobody holds. */
struct upload *upload_make(struct uploads *u, struct slice repo, struct slice id,
                           enum hash_alg alg);
/* Cuts what is to be cut, closes, frees. May block when it is staged. */
void upload_destroy(struct upload *up);
int upload_load(struct upload *up, bool staged, uint64_t offset, struct slice bytes,
                struct error *err);

/* upload_table.c */
struct store *uploads_store(struct uploads *u);
size_t uploads_inline_max(struct uploads *u);

#endif
