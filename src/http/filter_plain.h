/* SPDX-License-Identifier: Apache-2.0 */
/* The lowest filter: a non-blocking stream socket. */
#ifndef HTTP_FILTER_PLAIN_H
#define HTTP_FILTER_PLAIN_H

#include "http/filter.h"

struct filter_plain {
    struct filter filter;
    int fd; /* owned */
};

void filter_plain_init(struct filter_plain *f, int fd);

#endif
