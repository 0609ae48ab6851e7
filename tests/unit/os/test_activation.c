/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/activation.h"

#include "base/banned.h"

/* In a child, whose descriptors 3 and 4 are what systemd would have passed. */
static int in_child(int (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int a = socket(AF_UNIX, SOCK_STREAM, 0);
        (void)dup2(a, 3);
        (void)dup2(a, 4);
        (void)close(5);
        _exit(fn());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void set(const char *pid, const char *fds, const char *names)
{
    char own[24];
    (void)snprintf(own, sizeof own, "%d", (int)getpid());
    (void)setenv("LISTEN_PID", pid ? pid : own, 1);
    (void)setenv("LISTEN_FDS", fds, 1);
    if (names)
        (void)setenv("LISTEN_FDNAMES", names, 1);
}

#define EXPECT(cond)                   \
    do {                               \
        if (!(cond))                   \
            return __LINE__ % 250 + 1; \
    } while (0)

static int two(void)
{
    struct activation a;
    set(NULL, "2", "https:a-name-that-is-longer-than-thirty-two-bytes-is-cut");
    EXPECT(os_activation(&a, NULL) == 0);
    EXPECT(a.n == 2 && a.list[0].fd == 3 && a.list[1].fd == 4);
    EXPECT(strcmp(a.list[0].name, "https") == 0);
    EXPECT(strcmp(a.list[1].name, "a-name-that-is-longer-than-thirt") == 0);
    EXPECT(fcntl(3, F_GETFD) & FD_CLOEXEC);
    EXPECT(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES"));
    EXPECT(os_activation(&a, NULL) == 0 && a.n == 0); /* they are taken */
    return 0;
}

static int no_names(void)
{
    struct activation a;
    set(NULL, "2", "one");
    EXPECT(os_activation(&a, NULL) == 0 && a.n == 2);
    EXPECT(strcmp(a.list[0].name, "one") == 0 && a.list[1].name[0] == '\0');
    return 0;
}

static int of_another(void)
{
    struct activation a;
    set("1", "2", NULL);
    EXPECT(os_activation(&a, NULL) == 0 && a.n == 0);
    EXPECT(!getenv("LISTEN_FDS"));
    return 0;
}

static int nonsense(void)
{
    static const char *const values[] = {"-1", "x", "33", "99999999999999999999", ""};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct activation a = {.n = 7};
        struct error err = {0};
        set(NULL, values[i], NULL);
        EXPECT(os_activation(&a, &err) == -1);
        EXPECT(strstr(err.detail, "LISTEN_FDS"));
        EXPECT(a.n == 7); /* untouched on failure */
    }
    return 0;
}

static int not_open(void)
{
    struct activation a;
    struct error err = {0};
    set(NULL, "3", NULL);
    EXPECT(os_activation(&a, &err) == -1);
    EXPECT(strstr(err.detail, "descriptor 5 is not open"));
    return 0;
}

static int absent(void)
{
    struct activation a;
    (void)unsetenv("LISTEN_PID");
    (void)setenv("LISTEN_FDS", "2", 1);
    EXPECT(os_activation(&a, NULL) == 0 && a.n == 0);
    return 0;
}

static void test_two(void **state)
{
    (void)state;
    assert_int_equal(in_child(two), 0);
}

static void test_no_names(void **state)
{
    (void)state;
    assert_int_equal(in_child(no_names), 0);
}

static void test_of_another(void **state)
{
    (void)state;
    assert_int_equal(in_child(of_another), 0);
}

static void test_nonsense(void **state)
{
    (void)state;
    assert_int_equal(in_child(nonsense), 0);
}

static void test_not_open(void **state)
{
    (void)state;
    assert_int_equal(in_child(not_open), 0);
}

static void test_absent(void **state)
{
    (void)state;
    assert_int_equal(in_child(absent), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two),        cmocka_unit_test(test_no_names),
        cmocka_unit_test(test_of_another), cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_not_open),   cmocka_unit_test(test_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
