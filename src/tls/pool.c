/* SPDX-License-Identifier: Apache-2.0 */
/* Large buffers that are shared by the connections of a context: who is idle has none. */
#include <stdlib.h>

#include "base/util.h"
#include "tls/tls_int.h"

#include "base/banned.h"

void tls_pool_init(struct tls_pool *p)
{
    *p = (struct tls_pool){0};
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
}

void tls_pool_release(struct tls_pool *p)
{
    for (unsigned i = 0; i < p->n; i++)
        free(p->free[i]);
    (void)pthread_mutex_destroy(&p->lock);
}

char *tls_pool_take(struct tls_pool *p)
{
    char *buffer = NULL;
    (void)pthread_mutex_lock(&p->lock);
    if (p->n)
        buffer = p->free[--p->n];
    (void)pthread_mutex_unlock(&p->lock);
    return buffer ? buffer : malloc(TLS_BUFFER);
}

void tls_pool_give(struct tls_pool *p, char *buffer)
{
    (void)pthread_mutex_lock(&p->lock);
    if (p->n < TLS_POOL_KEPT) {
        p->free[p->n++] = buffer;
        buffer = NULL;
    }
    (void)pthread_mutex_unlock(&p->lock);
    free(buffer);
}
