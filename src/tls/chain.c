/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of certificates without trusting anybody. */
#include <time.h>

#include <openssl/x509v3.h>

#include "base/util.h"
#include "os/clock.h"
#include "tls/tls_int.h"

#include "base/banned.h"

/* A time that can be reckoned with, and was before all others. */
static const int64_t YEAR_0 = -62167219200;

int64_t tls_time(const ASN1_TIME *t)
{
    struct tm tm = {0};
    return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : YEAR_0;
}

void tls_date(int64_t seconds, char out[11])
{
    char text[21];
    os_rfc3339(seconds * 1000, text);
    memcpy(out, text, 10);
    out[10] = '\0';
}

bool tls_issued(X509 *issuer, X509 *subject)
{
    return X509_check_issued(issuer, subject) == X509_V_OK;
}

bool tls_chain_sort(STACK_OF(X509) * chain, unsigned *strangers)
{
    int n = sk_X509_num(chain);
    bool moved = false;
    int at = 0;
    for (; at + 1 < n; at++) {
        X509 *subject = sk_X509_value(chain, at);
        int issuer = at + 1;
        while (issuer < n && !tls_issued(sk_X509_value(chain, issuer), subject))
            issuer++;
        if (issuer == n)
            break;
        if (issuer == at + 1)
            continue;
        X509 *x = sk_X509_delete(chain, issuer);
        CHECK(sk_X509_insert(chain, x, at + 1) != 0);
        moved = true;
    }
    *strangers = (unsigned)(n - 1 - at);
    return moved;
}

void tls_name_text(const X509_NAME *name, struct buf *out)
{
    CLEANUP_BIO BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;
    if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0)
        return;
    long n = BIO_get_mem_data(bio, &p);
    if (n > 0)
        buf_add(out, p, (size_t)n);
}

bool tls_has_names(X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
        int type = sk_GENERAL_NAME_value(names, i)->type;
        found = type == GEN_DNS || type == GEN_IPADD;
    }
    GENERAL_NAMES_free(names);
    return found;
}
