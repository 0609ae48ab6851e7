/* SPDX-License-Identifier: Apache-2.0 */
/* htpasswd files with bcrypt entries ($2a$, $2b$, $2y$). Others are ignored, as in registry, and
 * counted. Parsing does no I/O. */
#ifndef AUTH_HTPASSWD_H
#define AUTH_HTPASSWD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct htpasswd; /* immutable once parsed */

enum {
    HTPASSWD_BYTES_MAX = 16 * 1024 * 1024,
    HTPASSWD_PASSWORD_MAX = 72, /* bytes: bcrypt looks at no more */
    HTPASSWD_USER_MAX = 255,    /* bytes, of users that htpasswd_update writes */
    HTPASSWD_COST = 10,
    HTPASSWD_COST_MAX = 17 /* a login takes ten seconds at that */
};

/* The lines of a file. *ignored (may be NULL) counts entries that are not bcrypt; malformed lines
 * are an error with their number. */
int htpasswd_parse(struct slice text, struct htpasswd **out, unsigned *ignored, struct error *err);
/* Reads the file too; what is wrong is told with its name. Follows links; blocks. */
int htpasswd_load(const char *path, struct htpasswd **out, unsigned *ignored, struct error *err);
void htpasswd_free(struct htpasswd *h);
unsigned htpasswd_count(const struct htpasswd *h);
/* The hash of a user, or NULL. Borrowed. The last line of a user counts. */
const char *htpasswd_find(const struct htpasswd *h, struct slice user);
/* A hash for users who do not exist, at the cost that most entries have. Borrowed. */
const char *htpasswd_decoy(const struct htpasswd *h);

/* Blocks for tens of milliseconds: bcrypt. hash NULL (no such user) costs the same and is false.
 * Passwords of more than 72 bytes are refused (bcrypt would ignore the rest). */
bool password_verify(const char *hash, struct slice password);
/* "$2y$10$...", 61 bytes with NUL. cost 4 to 17. */
int password_hash(struct slice password, unsigned cost, char out[64], struct error *err);
/* A random one of 24 characters out of [A-Za-z0-9] for people to copy. */
void password_random(char out[25]);
/* Sets or replaces (or, with password SLICE_NONE, removes) a user in the file at `path`: written
 * beside it, synced and renamed; other lines stay as they are. mode 0600 for a new file. */
int htpasswd_update(const char *path, struct slice user, struct slice password, unsigned cost,
                    bool create, struct error *err);

#endif
