/* SPDX-License-Identifier: Apache-2.0 */
/* A request as a string of bytes on the wire, addressable from any offset: a send that the kernel
 * cut short goes on from where it stopped, and a chunked body of any size needs no copy of its own.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdint.h>
#include <sys/uio.h>

#include "client.h"

enum { WIRE_IOV = 64 };

/* The bytes of x on the wire. Call it once before wire_fill: it also lays out the chunk framing. */
uint64_t wire_length(struct exchange *x);
/* The bytes from offset `at` < wire_length(x) on, as many as fit: returns how many entries of iov
 * are set, at least one. They point into x, what it borrows, and static storage. */
size_t wire_fill(const struct exchange *x, uint64_t at, struct iovec iov[WIRE_IOV]);

#endif
