/* SPDX-License-Identifier: Apache-2.0 */
#include "http/address_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

enum { BACKLOG = 4096, NOTSENT_LOWAT = 128 * 1024, HOST_MAX = 255 };

/* ---- text to address ---- */

/* ::ffff:192.0.2.1 is an address of IPv4, which a socket of IPv6 alone cannot have. */
static void unmap(struct address *a)
{
    struct sockaddr_in6 in6;
    memcpy(&in6, &a->ss, sizeof in6);
    if (in6.sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
        return;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6.sin6_port};
    memcpy(&in.sin_addr, in6.sin6_addr.s6_addr + 12, 4);
    a->ss = (struct sockaddr_storage){0};
    memcpy(&a->ss, &in, sizeof in);
    a->n = sizeof in;
}

static int look_up(const char *host, const char *port, struct address *out, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc)
        return error_detail(err, ERR_BAD_REQUEST, "cannot look up the host %s: %s", host,
                            gai_strerror(rc));
    const struct addrinfo *pick = list;
    for (const struct addrinfo *i = list; i; i = i->ai_next) {
        if (i->ai_family == AF_INET) {
            pick = i;
            break;
        }
    }
    CHECK(pick && pick->ai_addrlen <= sizeof out->ss); /* success means at least one */
    memcpy(&out->ss, pick->ai_addr, pick->ai_addrlen);
    out->n = pick->ai_addrlen;
    freeaddrinfo(list);
    unmap(out);
    return 0;
}

int address_parse(const char *text, struct address *out, struct error *err)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || parse_u63(slice_cstr(colon + 1), &port) || port > UINT16_MAX)
        return error_detail(err, ERR_BAD_REQUEST,
                            "the address \"%s\" is not of the form host:port or unix:/path", text);
    struct slice host = slice_make(text, (size_t)(colon - text));
    bool brackets = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (brackets)
        host = slice_make(host.p + 1, host.n - 2);
    else if (memchr(host.p, ':', host.n))
        return error_detail(err, ERR_BAD_REQUEST,
                            "the IPv6 address in \"%s\" must be in square brackets", text);
    if (host.n > HOST_MAX)
        return error_detail(err, ERR_BAD_REQUEST, "the host in \"%.64s\" is too long", text);
    *out = (struct address){0};
    if (host.n == 0) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->ss;
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        out->n = sizeof *in6;
        out->any = true;
        return 0;
    }
    CLEANUP_FREE char *name = xstrndup(host.p, host.n);
    return look_up(name, colon + 1, out, err);
}

/* ---- address to text ---- */

static uint16_t port_of(const struct sockaddr_storage *ss)
{
    /* Copied, and not looked at through a cast: a sockaddr_storage is neither of the two. */
    struct sockaddr_in in = {0};
    struct sockaddr_in6 in6 = {0};
    if (ss->ss_family == AF_INET) {
        memcpy(&in, ss, sizeof in);
        return ntohs(in.sin_port);
    }
    memcpy(&in6, ss, sizeof in6);
    return ntohs(in6.sin6_port);
}

static void port_set(struct sockaddr_storage *ss, uint16_t port)
{
    if (ss->ss_family == AF_INET)
        ((struct sockaddr_in *)ss)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)ss)->sin6_port = htons(port);
}

void address_peer(const struct sockaddr_storage *ss, struct ip_key *ip, char text[ADDRESS_TEXT])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char host[INET6_ADDRSTRLEN] = "";
    *ip = (struct ip_key){0};
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
        memcpy(ip->b, mapped, sizeof mapped);
        memcpy(ip->b + 12, &in->sin_addr, 4);
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(text, ADDRESS_TEXT, "%s:%u", host, port_of(ss));
        return;
    }
    if (ss->ss_family != AF_INET6) {
        (void)snprintf(text, ADDRESS_TEXT, "unix");
        return;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
    if (memcmp(&in6->sin6_addr, mapped, sizeof mapped) == 0) {
        /* An IPv4 client of a dual-stack listener is shown and counted as what it is. */
        memcpy(ip->b, &in6->sin6_addr, 16);
        (void)inet_ntop(AF_INET, ip->b + 12, host, sizeof host);
        (void)snprintf(text, ADDRESS_TEXT, "%s:%u", host, port_of(ss));
        return;
    }
    memcpy(ip->b, &in6->sin6_addr, 8); /* whoever has one address has its /64 */
    (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
    (void)snprintf(text, ADDRESS_TEXT, "[%s]:%u", host, port_of(ss));
}

char *address_text(const struct address *a)
{
    struct ip_key ip;
    char text[ADDRESS_TEXT];
    address_peer(&a->ss, &ip, text);
    return xstrdup(text);
}

/* ---- sockets ---- */

/* Accepted sockets inherit these, which saves two system calls for each. They fail on Unix
 * sockets, where they mean nothing. */
static void set_tcp_options(int fd)
{
    int on = 1, lowat = NOTSENT_LOWAT;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
}

static int bind_tcp(const struct address *a, bool reuseport)
{
    int on = 1, off = 0;
    CLEANUP_CLOSE int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (reuseport)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (a->ss.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->any ? &off : &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&a->ss, a->n))
        return -1;
    int out = fd;
    fd = -1;
    return out;
}

static void use_ipv4_any(struct address *a)
{
    uint16_t port = port_of(&a->ss);
    a->ss = (struct sockaddr_storage){.ss_family = AF_INET};
    port_set(&a->ss, port);
    a->n = sizeof(struct sockaddr_in);
    a->any = false;
}

static int cannot_listen(const char *where, struct error *err)
{
    int sys = errno;
    char why[96];
    return error_detail(
        err, ERR_UNAVAILABLE, "cannot listen on %s: %s%s", where,
        strerrordesc(sys, why, sizeof why),
        sys == EADDRINUSE ? "; end what uses it, or choose another address (http.addr, "
                            "http.listeners, http.debug.addr)"
        : sys == EACCES   ? "; a port below 1024 needs root, CAP_NET_BIND_SERVICE or a socket "
                            "of systemd's (docs/systemd.md)"
                          : "");
}

int address_listen_tcp(struct address *a, bool first, struct error *err)
{
    if (first) {
        /* With SO_REUSEPORT alone a second server would silently share the port with us. */
        int probe = bind_tcp(a, false);
        if (probe < 0 && a->any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
            use_ipv4_any(a); /* no IPv6 here */
            probe = bind_tcp(a, false);
        }
        if (probe >= 0 && listen(probe, 1)) {
            util_closep(&probe);
            probe = -1;
        }
        if (probe < 0) {
            CLEANUP_FREE char *text = address_text(a);
            return cannot_listen(text, err);
        }
        util_closep(&probe);
    }
    CLEANUP_CLOSE int fd = bind_tcp(a, true);
    if (fd >= 0)
        set_tcp_options(fd);
    if (fd < 0 || listen(fd, BACKLOG)) {
        CLEANUP_FREE char *text = address_text(a);
        return cannot_listen(text, err);
    }
    if (first) {
        struct sockaddr_storage ss = {0};
        socklen_t n = sizeof ss;
        if (getsockname(fd, (struct sockaddr *)&ss, &n))
            return error_sys(err, errno, "ask for the port of a listener");
        port_set(&a->ss, port_of(&ss));
    }
    int out = fd;
    fd = -1;
    return out;
}

/* A socket file that nobody listens on is what a killed server leaves behind. */
static int remove_stale(const char *path, const struct sockaddr_un *un, struct error *err)
{
    struct stat st;
    if (lstat(path, &st))
        return errno == ENOENT ? 0 : error_sys(err, errno, "look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return error_detail(err, ERR_CONFLICT, "%s exists and is not a socket", path);
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_sys(err, errno, "make a socket");
    if (connect(fd, (const struct sockaddr *)un, sizeof *un) == 0 || errno == EAGAIN)
        return error_detail(err, ERR_CONFLICT, "another server listens on %s", path);
    if (errno != ECONNREFUSED)
        return error_sys(err, errno, "connect to %s", path);
    if (unlink(path) && errno != ENOENT)
        return error_sys(err, errno, "remove the stale socket %s", path);
    return 0;
}

int address_listen_unix(const char *path, struct error *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof un.sun_path)
        return error_detail(err, ERR_BAD_REQUEST,
                            "the path of a Unix socket has 1 to %zu bytes: \"%.120s\"",
                            sizeof un.sun_path - 1, path);
    memcpy(un.sun_path, path, n);
    if (remove_stale(path, &un, err))
        return -1;
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_sys(err, errno, "make a socket");
    if (bind(fd, (const struct sockaddr *)&un, sizeof un) || listen(fd, BACKLOG))
        return cannot_listen(path, err);
    int out = fd;
    fd = -1;
    return out;
}

int address_prepare(int fd, struct error *err)
{
    int listening = 0;
    socklen_t n = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n))
        return error_sys(err, errno, "adopt descriptor %d", fd);
    if (!listening)
        return error_detail(err, ERR_BAD_REQUEST, "descriptor %d does not listen", fd);
    int type = 0;
    n = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) || type != SOCK_STREAM)
        return error_detail(err, ERR_BAD_REQUEST, "descriptor %d is not a stream socket", fd);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
        return error_sys(err, errno, "adopt descriptor %d", fd);
    set_tcp_options(fd);
    return 0;
}

int address_of_socket(int fd, char **out, struct error *err)
{
    static const char prefix[] = "unix:";
    struct address a = {.n = sizeof a.ss};
    if (getsockname(fd, (struct sockaddr *)&a.ss, &a.n))
        return error_sys(err, errno, "ask for the address of descriptor %d", fd);
    if (a.ss.ss_family == AF_INET || a.ss.ss_family == AF_INET6) {
        *out = address_text(&a);
        return 0;
    }
    struct sockaddr_un un = {0};
    if (a.ss.ss_family != AF_UNIX || a.n > sizeof un)
        return error_detail(err, ERR_BAD_REQUEST,
                            "descriptor %d is neither a TCP nor a Unix socket", fd);
    memcpy(&un, &a.ss, a.n);
    size_t n = a.n - offsetof(struct sockaddr_un, sun_path);
    bool abstract = n > 0 && un.sun_path[0] == '\0';
    if (abstract)
        un.sun_path[0] = '@';
    else
        n = strnlen(un.sun_path, n);
    char *text = xcalloc(1, sizeof prefix + n);
    memcpy(text, prefix, sizeof prefix - 1);
    memcpy(text + sizeof prefix - 1, un.sun_path, n);
    *out = text;
    return 0;
}

int address_unix_identity(const char *path, dev_t *dev, ino_t *ino)
{
    struct stat st;
    if (lstat(path, &st))
        return -1;
    *dev = st.st_dev;
    *ino = st.st_ino;
    return 0;
}
