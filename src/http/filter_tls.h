/* SPDX-License-Identifier: Apache-2.0 */
/* TLS above another filter. */
#ifndef HTTP_FILTER_TLS_H
#define HTTP_FILTER_TLS_H

#include "http/filter.h"
#include "tls/tls.h"

struct filter_tls {
    struct filter filter;
    struct tls_conn *conn;
    bool begun; /* the client has sent something */
};

/* The current context of `server` for the life of this connection. */
struct filter_tls *filter_tls_new(struct tls_server *server, struct filter *below);
/* The filter's close closes what is below too, but leaves this to whoever made it. */
void filter_tls_free(struct filter_tls *f); /* NULL is fine */

#endif
