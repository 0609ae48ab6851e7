/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/util.h"
#include "os/fault.h"
#include "os/signals.h"
#include "tempdir.h"

#include "base/banned.h"

struct seen {
    struct loop *loop;
    struct signals *signals;
    unsigned want;
    int sigs[8];
    unsigned n;
};

static void see(void *arg, int sig)
{
    struct seen *s = arg;
    s->sigs[s->n++] = sig;
    if (s->n == s->want) {
        signals_free(s->signals); /* may be freed from within */
        loop_stop(s->loop);
    }
}

static void signals_come_through_the_loop(void **state)
{
    (void)state;
    signals_block();
    struct seen s = {.want = 4};
    assert_int_equal(loop_new(&s.loop, NULL), 0);
    assert_int_equal(signals_new(s.loop, see, &s, &s.signals, NULL), 0);
    static const int sent[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < ARRAY_LEN(sent); i++)
        assert_int_equal(kill(getpid(), sent[i]), 0);
    loop_run(s.loop);
    assert_int_equal(s.n, 4);
    for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
        unsigned times = 0;
        for (unsigned j = 0; j < s.n; j++)
            times += s.sigs[j] == sent[i];
        assert_int_equal(times, 1);
    }
    loop_free(s.loop);
    signals_free(NULL);
}

static void *look_at_mask(void *arg)
{
    pthread_sigmask(SIG_BLOCK, NULL, arg);
    return NULL;
}

static void threads_inherit_the_mask(void **state)
{
    (void)state;
    signals_block();
    sigset_t mask;
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, look_at_mask, &mask), 0);
    pthread_join(t, NULL);
    assert_int_equal(sigismember(&mask, SIGTERM), 1);
    assert_int_equal(sigismember(&mask, SIGHUP), 1);
    assert_int_equal(sigismember(&mask, SIGSEGV), 0);
}

static void write_to_nobody(void *arg)
{
    int fds[2];
    (void)arg;
    if (pipe2(fds, O_CLOEXEC))
        abort();
    close(fds[0]);
    if (write(fds[1], "x", 1) != -1 || errno != EPIPE)
        abort();
}

static void write_too_far(void *arg)
{
    int fd = open(arg, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct rlimit low = {10, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &low);
    if (fd < 0 || pwrite(fd, "x", 1, 100) != -1 || errno != EFBIG)
        abort();
}

static void a_broken_pipe_and_a_full_limit_do_not_kill(void **state)
{
    struct tempdir *d = *state;
    signals_block();
    assert_int_equal(signal_that_kills(write_to_nobody, NULL), 0);
    char path[100];
    (void)snprintf(path, sizeof path, "%s/file", d->path);
    assert_int_equal(signal_that_kills(write_too_far, path), 0);
}

static void no_descriptor_is_an_error(void **state)
{
    (void)state;
    struct loop *l = NULL;
    struct signals *s = NULL;
    struct error err;
    assert_int_equal(loop_new(&l, NULL), 0);
    struct rlimit was, low;
    getrlimit(RLIMIT_NOFILE, &was);
    int next = dup(0);
    close(next);
    low = (struct rlimit){(rlim_t)next, was.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    int failed = signals_new(l, see, NULL, &s, &err);
    setrlimit(RLIMIT_NOFILE, &was);
    assert_int_equal(failed, -1);
    assert_int_equal(err.sys, EMFILE);
    assert_null(s);
    loop_free(l);
}

static void the_descriptor_limit_is_raised(void **state)
{
    (void)state;
    struct rlimit was, now;
    getrlimit(RLIMIT_NOFILE, &was);
    struct rlimit low = {was.rlim_max > 64 ? 64 : was.rlim_max, was.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    assert_int_equal(os_raise_fd_limit(), was.rlim_max);
    getrlimit(RLIMIT_NOFILE, &now);
    assert_int_equal(now.rlim_cur, was.rlim_max);
    assert_int_equal(os_raise_fd_limit(), was.rlim_max);
    setrlimit(RLIMIT_NOFILE, &was);
}

/* A socket bound to the name (an @ stands for the NUL of an abstract one). */
static int listen_at(const char *name)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, name, strlen(name));
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    return fd;
}

static void the_manager_is_told(void **state)
{
    struct tempdir *d = *state;
    char path[100], abstract[100], got[100];
    (void)snprintf(path, sizeof path, "%s/notify", d->path);
    (void)snprintf(abstract, sizeof abstract, "@%s", d->path);
    const char *names[] = {path, abstract};
    for (int i = 0; i < 2; i++) {
        int fd = listen_at(names[i]);
        setenv("NOTIFY_SOCKET", names[i], 1);
        os_notify("READY=1");
        assert_int_equal(recv(fd, got, sizeof got, 0), 7);
        assert_memory_equal(got, "READY=1", 7);
        close(fd);
        os_notify("STOPPING=1"); /* nobody there: no harm */
    }
    int fd = listen_at(abstract);
    char too_long[200];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[0] = '/';
    too_long[sizeof too_long - 1] = '\0';
    const char *odd[] = {"", "@", "relative", too_long};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        setenv("NOTIFY_SOCKET", odd[i], 1);
        os_notify("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    os_notify("READY=1");
    assert_int_equal(recv(fd, got, sizeof got, 0), -1);
    close(fd);
}

/* Of the other half of os/fault.h, which only a build without faults has. */
static void a_build_without_faults_says_so(void **state)
{
    (void)state;
#ifndef BERTH_FAULT
    assert_int_equal(fault_configure(""), 0);
    assert_int_equal(fault_configure("stage.sync=EIO"), -1);
    unsetenv("BERTH_FAULTS");
    assert_int_equal(fault_configure(NULL), 0);
    setenv("BERTH_FAULTS", "stage.sync=EIO", 1);
    assert_int_equal(fault_configure(NULL), -1);
    unsetenv("BERTH_FAULTS");
    assert_int_equal(fault_point("stage.sync"), 0);
#else
    assert_int_equal(fault_configure(""), 0);
#endif
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tempdir_setup, tempdir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_come_through_the_loop),
        cmocka_unit_test(threads_inherit_the_mask),
        TEST(a_broken_pipe_and_a_full_limit_do_not_kill),
        cmocka_unit_test(no_descriptor_is_an_error),
        cmocka_unit_test(the_descriptor_limit_is_raised),
        TEST(the_manager_is_told),
        cmocka_unit_test(a_build_without_faults_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
