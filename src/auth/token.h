/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's token authentication: JSON Web Tokens (RFC 7519) of an outside server, verified with
 * keys that the administrator trusts. The algorithm is fixed by the key, never by the token. */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/policy.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

struct token_keys; /* immutable once made */

enum { TOKEN_BYTES_MAX = 32 * 1024, TOKEN_LEEWAY_S = 60 };

/* Certificates (PEM) and keys (JWKS as JSON); either may be empty. algorithms: names that are
 * allowed, none for all of EdDSA, HS/RS/ES/PS 256/384/512. */
int token_keys_new(struct slice pem, struct slice jwks, const char *const *algorithms, unsigned n,
                   struct token_keys **out, struct error *err);
void token_keys_free(struct token_keys *k);
unsigned token_keys_count(const struct token_keys *k);

struct token_claims {
    struct slice subject;
    int64_t expires_s;
    struct grant *grants; /* auth/policy.h */
    unsigned n_grants;
};
/* Verifies everything: form, header, key (x5c chain to a trusted root, jwk only as a pointer to a
 * trusted key, kid as libtrust fingerprint, RFC 7638 thumbprint or JWKS kid; without any of them
 * every trusted key that fits, 16 at most), signature, iss, aud (string or list), exp, nbf. -1 with
 * ERR_UNAUTHORIZED and a detail that says which. Pure but for OpenSSL; a worker's step. */
int token_verify(const struct token_keys *k, struct slice token, const char *issuer,
                 const char *service, int64_t now_s, struct arena *a, struct token_claims *out,
                 struct error *err);

#endif
