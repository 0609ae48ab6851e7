/* SPDX-License-Identifier: Apache-2.0 */
/* A connection is a chain of filters: the socket at the bottom, TLS above it, if there is any.
 * The codec talks to the topmost one and cannot tell what is below. All calls are the loop's, none
 * blocks. */
#ifndef HTTP_FILTER_H
#define HTTP_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct filter;

enum {
    FILTER_AGAIN = -1, /* nothing now: wait until the socket is ready */
    FILTER_ERROR = -2, /* the connection is broken: close it */
    FILTER_FILE = -3   /* sendfile: the file cannot be read, errno says why */
};

struct filter_ops {
    /* Bytes read (n > 0 asked for), 0 at the end of the stream, or FILTER_AGAIN, FILTER_ERROR. */
    ssize_t (*recv)(struct filter *f, void *p, size_t n);
    /* Bytes taken, maybe fewer than given. `more`: the caller goes on at once, so a short segment
     * may wait. */
    ssize_t (*writev)(struct filter *f, const struct iovec *iov, int n, bool more);
    /* Bytes taken from the file at `offset`; 0 when the file ends there; FILTER_FILE. NULL when the
     * filter must see the bytes: the caller then reads the file itself. */
    ssize_t (*sendfile)(struct filter *f, int fd, uint64_t offset, size_t n);
    /* Sends what was taken and is held here: 1 all of it is in the socket, 0 again when that has
     * room, -1 broken. NULL for a filter that holds nothing back. */
    int (*flush)(struct filter *f);
    /* Something is held here until the socket has room; with flush only. */
    bool (*wants_write)(struct filter *f);
    /* on: only full segments leave until it is off again; a large body is then sent in fewer of
     * them, which wakes the peer less often. A hint; NULL when the filter cannot. */
    void (*cork)(struct filter *f, bool on);
    /* The peer takes a lot, and fast: more may be queued for it than for others. A hint; NULL when
     * there is nothing to be done. */
    void (*hurry)(struct filter *f);
    /* Tells the peer that no more comes; reading stays possible. */
    void (*shutdown)(struct filter *f);
    /* Bytes (or records of them) that recv would return although the socket has none (epoll does
     * not tell of them). */
    size_t (*pending)(struct filter *f);
    /* Bytes that were taken and have not reached the peer yet: less than before is progress. */
    size_t (*queued)(struct filter *f);
    /* Closes the filters below too, and the socket last. */
    void (*close)(struct filter *f);
};

struct filter {
    const struct filter_ops *ops;
    struct filter *below; /* NULL for the socket */
};

#endif
