/* SPDX-License-Identifier: Apache-2.0 */
/* What the two passes over a head share. Private to src/http. */
#ifndef HTTP_HEAD_INT_H
#define HTTP_HEAD_INT_H

#include "http/head.h"

enum {
    HTTP_METHOD_MAX = 32,
    HTTP_VERSION_LEN = 8, /* HTTP/1.1 */
    /* The longest request line whose target is within its limit. */
    HTTP_REQUEST_LINE_MAX = HTTP_METHOD_MAX + 1 + HTTP_LINE_MAX + 1 + HTTP_VERSION_LEN
};

/* Offset of the first control byte (below 0x20, or DEL) in p[at..n), or n. */
size_t http_skip_text(const char *p, size_t at, size_t n);
/* uri-host [":" port]. */
bool http_host_valid(struct slice h);
/* Refuses the control byte c; a CR stands for one that no LF follows. -1. */
int http_bad_control(unsigned char c, struct error *err);

#endif
