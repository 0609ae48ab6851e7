/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets. TCP: one per loop with SO_REUSEPORT, so the kernel spreads connections and no
 * two loops touch one queue. Unix and adopted sockets: one descriptor, watched by every loop, each
 * taking a few at a time. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "http/address_int.h"
#include "http/engine_int.h"
#include "http/forwarded.h"
#include "os/fault.h"

#include "base/banned.h"

enum { PAUSE_MS = 100, SHED_READ = 16 * 1024, BUSY_MAX = 512 };

static const char unix_prefix[] = "unix:";

static const char busy_body[] =
    "{\"errors\":[{\"code\":\"UNAVAILABLE\",\"message\":\"service unavailable\"}]}\n";

/* ---- accepting ---- */

static void count_refused(struct metric *m)
{
    if (m)
        metric_add(m, 1);
}

/* Says why and closes. What the client has sent already is read, for closing with unread input
 * would throw the answer away. Of TLS nobody could read it before a handshake, which is more than a
 * server without room has to give. */
static void refuse(const struct acceptor *a, int fd)
{
    char sink[SHED_READ], answer[BUSY_MAX], id[ID_MADE];
    if (!a->tls) {
        http_loop_id(a->l, id);
        int n = snprintf(answer, sizeof answer,
                         "HTTP/1.1 503 Service Unavailable\r\n"
                         "Content-Type: application/json\r\n"
                         "Content-Length: %zu\r\n"
                         "X-Request-Id: %.*s\r\n"
                         "Retry-After: 1\r\n"
                         "Connection: close\r\n"
                         "\r\n%s",
                         sizeof busy_body - 1, ID_MADE, id, busy_body);
        (void)send(fd, answer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        ssize_t got = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        (void)got;
    }
    (void)close(fd);
}

static void adopt(struct acceptor *a, int fd, const struct sockaddr_storage *ss)
{
    struct http_loop *l = a->l;
    struct http_server *s = l->server;
    struct accepted in = {.fd = fd};
    bool is_unix = ss->ss_family != AF_INET && ss->ss_family != AF_INET6;
    address_peer(ss, &in.ip, in.peer);
    in.trusted = trusted_peer(s->config.trusted, slice_cstr(in.peer));
    if (a->proxy_protocol && !in.trusted) { /* it could say that it is anybody */
        count_refused(s->m.proxy_untrusted);
        (void)close(fd);
        return;
    }
    struct admission *admission = conn_admission(s, a->site);
    /* A proxy has one address for all of its clients. */
    const struct ip_key *ip = is_unix || in.trusted ? NULL : &in.ip;
    enum admission_result r = admission_enter(admission, ip, &in.ip_counted);
    if (r != ADMITTED) {
        count_refused(r == REFUSED_MAX ? s->m.rejected_max : s->m.rejected_ip);
        refuse(a, fd);
        return;
    }
    if (s->m.connections_total) {
        metric_add(s->m.connections_total, 1);
        metric_add(s->m.connections, 1);
    }
    if (!conn_new(a, &in)) {
        admission_leave(admission, in.ip_counted ? ip : NULL);
        count_refused(s->m.rejected_fds);
        if (s->m.connections)
            metric_add(s->m.connections, -1);
    }
}

static void pause_over(struct timer *t)
{
    struct acceptor *a = CONTAINER_OF(t, struct acceptor, pause);
    struct error err;
    if (a->l->reserve < 0)
        a->l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (loop_add(a->l->loop, &a->io, LOOP_READ, &err))
        timer_set(a->l->loop, &a->pause, PAUSE_MS);
}

/* Not only without interest: a broken socket would be reported as hung up in every turn. */
static void pause_accepting(struct acceptor *a)
{
    loop_del(a->l->loop, &a->io);
    timer_set(a->l->loop, &a->pause, PAUSE_MS);
}

enum shed { SHED_DONE, SHED_NOTHING, SHED_CANNOT };

/* No descriptor is left. The reserve makes room for one connection, which is closed at once: its
 * client learns that, and the socket does not stay readable, which would make the loop spin. The
 * kernel looks for a descriptor before it looks for a connection, so there may be none. */
static enum shed shed(const struct acceptor *a)
{
    struct http_loop *l = a->l;
    if (l->reserve < 0)
        return SHED_CANNOT;
    (void)close(l->reserve);
    int fd = accept4(a->io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    bool nothing = fd < 0 && errno == EAGAIN;
    if (fd >= 0)
        refuse(a, fd);
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? SHED_DONE : nothing ? SHED_NOTHING : SHED_CANNOT;
}

static bool out_of_descriptors(struct acceptor *a)
{
    enum shed r = shed(a);
    if (r != SHED_NOTHING)
        count_refused(a->l->server->m.rejected_fds);
    if (r == SHED_CANNOT)
        pause_accepting(a);
    return r == SHED_DONE;
}

static int accept_one(int fd, struct sockaddr_storage *ss)
{
    int fault = fault_point("net.accept");
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    socklen_t n = sizeof *ss;
    *ss = (struct sockaddr_storage){0};
    return accept4(fd, (struct sockaddr *)ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* false: nothing more is waiting, or nothing can be taken. */
static bool accept_next(struct acceptor *a)
{
    struct sockaddr_storage ss;
    int fd = accept_one(a->io.fd, &ss);
    if (fd >= 0) {
        adopt(a, fd, &ss);
        return true;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return out_of_descriptors(a);
    case EAGAIN:
        return false;
    /* The connection failed before it was taken (accept(2)): the next one. */
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENETUNREACH:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP:
    case ETIMEDOUT:
        return true;
    default: /* the socket is at fault, and would fail again at once */
        pause_accepting(a);
        return false;
    }
}

static void accept_ready(struct loop_io *io, unsigned ready)
{
    struct acceptor *a = CONTAINER_OF(io, struct acceptor, io);
    (void)ready;
    int turn = a->shared ? ACCEPT_TURN_SHARED : ACCEPT_TURN;
    while (turn-- > 0 && accept_next(a))
        ;
}

/* ---- descriptors that all loops watch ---- */

struct shared_fd {
    struct shared_fd *next;
    int fd;
    atomic_uint users;  /* acceptors; the last one closes it */
    char *path;         /* of a Unix socket of ours, to be removed; or NULL */
    atomic_bool linked; /* it has not been removed yet */
    dev_t dev;
    ino_t ino;
};

static struct shared_fd *shared_add(struct http_server *s, int fd, const char *path)
{
    struct shared_fd *u = xcalloc(1, sizeof *u);
    u->next = s->shared;
    u->fd = fd;
    if (path) {
        u->path = xstrdup(path);
        atomic_init(&u->linked, address_unix_identity(path, &u->dev, &u->ino) == 0);
    }
    s->shared = u;
    return u;
}

static void shared_unlink(struct shared_fd *u)
{
    /* Another process may have taken the path over since. */
    dev_t dev;
    ino_t ino;
    if (atomic_exchange(&u->linked, false) && address_unix_identity(u->path, &dev, &ino) == 0 &&
        dev == u->dev && ino == u->ino)
        (void)unlink(u->path);
}

void http_server_unlink(struct http_server *s)
{
    for (struct shared_fd *u = s->shared; u; u = u->next)
        shared_unlink(u);
}

void listener_release(struct http_server *s)
{
    while (s->shared) {
        struct shared_fd *u = s->shared;
        s->shared = u->next;
        CHECK(atomic_load(&u->users) == 0);
        free(u->path);
        free(u);
    }
}

/* ---- life ---- */

/* A descriptor to watch; what it has beside that is the listener's. */
static void acceptor_add(struct http_loop *l, struct site_state *site,
                         const struct http_listener *listener, int fd, struct shared_fd *shared)
{
    struct acceptor *a = xcalloc(1, sizeof *a);
    *a = (struct acceptor){.next = l->acceptors,
                           .l = l,
                           .site = site,
                           .shared = shared,
                           .tls = listener->tls,
                           .proxy_protocol = listener->proxy_protocol};
    a->io.fd = fd;
    a->io.fn = accept_ready;
    a->pause.fn = pause_over;
    l->acceptors = a;
}

void acceptors_start(struct http_loop *l)
{
    for (struct acceptor *a = l->acceptors; a; a = a->next) {
        struct error err;
        CHECK(loop_add(l->loop, &a->io, LOOP_READ, &err) == 0);
    }
    l->listening = true;
}

/* Closing would reset what waits in the queue: those clients are served too. */
static void accept_rest(struct acceptor *a)
{
    if (!a->l->listening || a->l->stopping)
        return;
    for (int i = 0; i < ACCEPT_TURN * 16 && accept_next(a); i++)
        ;
}

static void acceptor_close(struct acceptor *a)
{
    accept_rest(a);
    if (a->l->listening)
        loop_del(a->l->loop, &a->io);
    /* From here on another loop may close a shared descriptor, unless this is the last that has it.
     */
    bool last = !a->shared || atomic_fetch_sub(&a->shared->users, 1) == 1;
    if (last && a->shared) {
        shared_unlink(a->shared); /* now clients learn that nobody is there */
        accept_rest(a);
    }
    if (a->l->listening)
        timer_clear(a->l->loop, &a->pause);
    if (last)
        (void)close(a->io.fd);
}

void acceptors_stop(struct http_loop *l, bool all)
{
    struct acceptor **at = &l->acceptors;
    while (*at) {
        struct acceptor *a = *at;
        if (!all && !a->site->site->drains) {
            at = &a->next;
            continue;
        }
        acceptor_close(a);
        *at = a->next;
        free(a);
    }
}

/* ---- making listening sockets ---- */

static void share(struct http_server *s, const struct http_site *site,
                  const struct http_listener *listener, int fd, const char *path)
{
    struct site_state *state = http_server_site(s, site);
    struct shared_fd *u = shared_add(s, fd, path);
    for (unsigned i = 0; i < s->n_loops; i++)
        acceptor_add(&s->loops[i], state, listener, fd, u);
    atomic_init(&u->users, s->n_loops);
}

static int open_tcp(struct http_server *s, const struct http_listener *listener,
                    const struct http_site *site, char **bound, struct error *err)
{
    struct address a;
    if (address_parse(listener->address, &a, err))
        return -1;
    int fds[HTTP_LOOPS_MAX];
    unsigned n = 0;
    for (; n < s->n_loops; n++) {
        fds[n] = address_listen_tcp(&a, n == 0, err);
        if (fds[n] < 0)
            break;
    }
    if (n < s->n_loops) {
        while (n-- > 0)
            (void)close(fds[n]);
        return -1;
    }
    struct site_state *state = http_server_site(s, site);
    for (unsigned i = 0; i < n; i++)
        acceptor_add(&s->loops[i], state, listener, fds[i], NULL);
    if (bound)
        *bound = address_text(&a);
    return 0;
}

static int open_unix(struct http_server *s, const struct http_listener *listener,
                     const struct http_site *site, char **bound, struct error *err)
{
    const char *path = listener->address + sizeof unix_prefix - 1;
    int fd = address_listen_unix(path, err);
    if (fd < 0)
        return -1;
    share(s, site, listener, fd, path);
    if (bound)
        *bound = xstrdup(listener->address);
    return 0;
}

static int open_adopted(struct http_server *s, const struct http_listener *listener,
                        const struct http_site *site, char **bound, struct error *err)
{
    char *text;
    if (address_prepare(listener->fd, err) || address_of_socket(listener->fd, &text, err))
        return -1;
    share(s, site, listener, listener->fd, NULL);
    if (bound)
        *bound = text;
    else
        free(text);
    return 0;
}

int http_server_open(struct http_server *s, const struct http_listener *listener,
                     const struct http_site *site, char **bound, struct error *err)
{
    if (!listener->address)
        return open_adopted(s, listener, site, bound, err);
    if (slice_starts(slice_cstr(listener->address), slice_cstr(unix_prefix)))
        return open_unix(s, listener, site, bound, err);
    return open_tcp(s, listener, site, bound, err);
}

int http_server_listen(struct http_server *s, const char *address, const struct http_site *site,
                       char **bound, struct error *err)
{
    struct http_listener listener = {.address = address, .fd = -1};
    return http_server_open(s, &listener, site, bound, err);
}
