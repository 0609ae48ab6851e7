/* SPDX-License-Identifier: Apache-2.0 */
#include "http/filter_plain.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "os/fault.h"

#include "base/banned.h"

enum { QUEUE_FAST = 2 * 1024 * 1024 };

static int plain_fd(const struct filter *f)
{
    return CONTAINER_OF(f, struct filter_plain, filter)->fd;
}

static ssize_t plain_failed(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? FILTER_AGAIN : FILTER_ERROR;
}

static ssize_t plain_recv(struct filter *f, void *p, size_t n)
{
    for (;;) {
        ssize_t got = recv(plain_fd(f), p, n, MSG_DONTWAIT);
        if (got >= 0)
            return got;
        if (errno != EINTR)
            return plain_failed();
    }
}

static ssize_t plain_writev(struct filter *f, const struct iovec *iov, int n, bool more)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    for (;;) {
        ssize_t put =
            sendmsg(plain_fd(f), &msg, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (put >= 0)
            return put;
        if (errno != EINTR)
            return plain_failed();
    }
}

/* sendfile(2) does not say which side failed. These are a socket's; a file system has dozens. */
static bool is_of_socket(int e)
{
    return e == EPIPE || e == ECONNRESET || e == ECONNABORTED || e == ENOTCONN || e == ETIMEDOUT ||
           e == EHOSTUNREACH || e == ENETUNREACH || e == ENETDOWN || e == EHOSTDOWN ||
           e == ECONNREFUSED || e == EPROTO || e == ENETRESET || e == ENOBUFS;
}

static ssize_t plain_sendfile(struct filter *f, int fd, uint64_t offset, size_t n)
{
    off_t at = (off_t)offset;
    for (;;) {
        int fault = fault_point("net.sendfile");
        ssize_t put = fault > 0 ? -1 : sendfile(plain_fd(f), fd, &at, n);
        if (put >= 0)
            return put;
        if (fault > 0)
            errno = fault;
        if (errno != EINTR && errno != EAGAIN && !is_of_socket(errno))
            return FILTER_FILE;
        if (errno != EINTR)
            return plain_failed();
    }
}

static void plain_cork(struct filter *f, bool on)
{
    int value = on;
    /* No Unix socket has this; nothing is lost. */
    (void)setsockopt(plain_fd(f), IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

/* The usual limit (address.c) keeps what waits for slow clients small; a fast one is woken for
 * every half of it, which costs more than the sending. */
static void plain_hurry(struct filter *f)
{
    int bytes = QUEUE_FAST;
    (void)setsockopt(plain_fd(f), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

static void plain_shutdown(struct filter *f)
{
    (void)shutdown(plain_fd(f), SHUT_WR);
}

static size_t plain_pending(struct filter *f)
{
    (void)f;
    return 0;
}

static size_t plain_queued(struct filter *f)
{
    int n = 0;
    return ioctl(plain_fd(f), SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static void plain_close(struct filter *f)
{
    struct filter_plain *p = CONTAINER_OF(f, struct filter_plain, filter);
    util_closep(&p->fd);
}

static const struct filter_ops plain_ops = {
    .recv = plain_recv,
    .writev = plain_writev,
    .sendfile = plain_sendfile,
    .cork = plain_cork,
    .hurry = plain_hurry,
    .shutdown = plain_shutdown,
    .pending = plain_pending,
    .queued = plain_queued,
    .close = plain_close,
};

void filter_plain_init(struct filter_plain *f, int fd)
{
    *f = (struct filter_plain){.filter = {.ops = &plain_ops}, .fd = fd};
}
