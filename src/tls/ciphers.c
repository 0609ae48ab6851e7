/* SPDX-License-Identifier: Apache-2.0 */
/* Cipher suites by the names of Go's crypto/tls, which is what registry's configuration uses. */
#include <string.h>

#include "base/util.h"
#include "tls/tls_int.h"

#include "base/banned.h"

enum key_kind { ANY, RSA_KEY, ECDSA_KEY };

static const struct {
    const char *go;
    const char *openssl; /* NULL: known, and not had: OpenSSL was built without it, as broken */
    enum key_kind kind;
} suites[] = {
    /* TLS 1.3: always all of them, in the order of on_13 below. */
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", ANY},
    {"TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", ANY},
    {"TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", ANY},
    /* TLS 1.2 with forward secrecy and authenticated encryption. */
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", ECDSA_KEY},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", RSA_KEY},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", ECDSA_KEY},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", RSA_KEY},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", ECDSA_KEY},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", RSA_KEY},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305", ECDSA_KEY},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", RSA_KEY},
    /* Only for who asks for them by name: CBC, or no forward secrecy. */
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256", ECDSA_KEY},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256", RSA_KEY},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA", ECDSA_KEY},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA", RSA_KEY},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA", ECDSA_KEY},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA", RSA_KEY},
    {"TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256", RSA_KEY},
    {"TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384", RSA_KEY},
    {"TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256", RSA_KEY},
    {"TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA", RSA_KEY},
    {"TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA", RSA_KEY},
    /* RC4 (RFC 7465) and 3DES (SWEET32). */
    {"TLS_RSA_WITH_RC4_128_SHA", NULL, RSA_KEY},
    {"TLS_ECDHE_RSA_WITH_RC4_128_SHA", NULL, RSA_KEY},
    {"TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", NULL, ECDSA_KEY},
    {"TLS_RSA_WITH_3DES_EDE_CBC_SHA", NULL, RSA_KEY},
    {"TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", NULL, RSA_KEY},
};

/* Mozilla's "intermediate" without finite-field DHE, which Go never had either. */
static const char *const intermediate[] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",       "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",       "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
};

static int find(const char *go_name)
{
    for (unsigned i = 0; i < ARRAY_LEN(suites); i++)
        if (strcmp(suites[i].go, go_name) == 0)
            return (int)i;
    return -1;
}

bool tls_cipher_known(const char *go_name, bool *supported)
{
    int i = find(go_name);
    if (i < 0)
        return false;
    *supported = suites[i].openssl != NULL;
    return true;
}

static void add(struct tls_suites *out, int i)
{
    if (out->list.n)
        buf_putc(&out->list, ':');
    buf_puts(&out->list, suites[i].openssl);
    out->ecdsa |= suites[i].kind == ECDSA_KEY;
    out->rsa |= suites[i].kind == RSA_KEY;
}

int tls_suites_parse(const char *const *names, unsigned n, struct tls_suites *out,
                     struct error *err)
{
    bool any_13 = false;
    *out = (struct tls_suites){0};
    buf_init(&out->list, 16 * 1024);
    if (n == 0) {
        names = intermediate;
        n = ARRAY_LEN(intermediate);
    }
    for (unsigned k = 0; k < n; k++) {
        int i = find(names[k]);
        if (i < 0)
            return error_detail(
                err, ERR_BAD_REQUEST,
                "there is no cipher suite \"%.80s\"; names are Go's, for example %s", names[k],
                intermediate[0]);
        if (!suites[i].openssl)
            continue;
        if (suites[i].kind == ANY)
            any_13 = true;
        else
            add(out, i);
    }
    out->only_13 = out->list.n == 0;
    if (out->list.failed)
        return error_detail(err, ERR_BAD_REQUEST, "too many cipher suites");
    if (out->only_13 && !any_13)
        return error_detail(err, ERR_BAD_REQUEST,
                            "none of the cipher suites can be used: RC4 and 3DES are broken and "
                            "not in this OpenSSL. Take the list out for a safe choice");
    return 0;
}
