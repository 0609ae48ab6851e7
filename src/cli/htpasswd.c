/* SPDX-License-Identifier: Apache-2.0 */
/* `berth htpasswd`: the users of auth.htpasswd. The options are those of Apache's tool, but for
 * what would be unsafe: only bcrypt, no password among the arguments, and -c keeps what is there.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "auth/htpasswd.h"
#include "base/util.h"
#include "cli/argument.h"
#include "cli/command.h"

#include "base/banned.h"

enum { PASSWORD_ROOM = 1024 };

struct request {
    const char *file, *user;
    unsigned cost;
    bool create, remove, verify, print, from_input;
};

struct password {
    char p[PASSWORD_ROOM];
    size_t n;
};

/* ---- the command line ---- */

static int usage(const char *text)
{
    fprintf(stderr, "berth: %s; `berth help htpasswd` says more\n", text);
    return 2;
}

static int parse_cost(const char *text, unsigned *out)
{
    uint64_t v;
    if (!text || parse_u63(slice_cstr(text), &v) || v < 4 || v > HTPASSWD_COST_MAX)
        return usage("-C needs a cost of 4 to 17");
    *out = (unsigned)v;
    return 0;
}

/* One letter of a group like -Bc. */
static int letter(char c, struct request *q)
{
    switch (c) {
    case 'B': /* the only kind of hash there is */
        return 0;
    case 'c':
        q->create = true;
        return 0;
    case 'D':
        q->remove = true;
        return 0;
    case 'v':
        q->verify = true;
        return 0;
    case 'n':
        q->print = true;
        return 0;
    case 'i':
        q->from_input = true;
        return 0;
    case 'b':
        return usage("a password among the arguments can be read by every user of the machine: "
                     "pipe it in with -i instead of -b");
    case 'm':
    case 'd':
    case 's':
    case 'p':
    case '2':
    case '5':
        return usage("registries accept nothing but bcrypt (-B)");
    default:
        return usage("there is no such option");
    }
}

static int options(int argc, char **argv, struct request *q, int *next)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        for (const char *c = argv[i] + 1; *c; c++) {
            int status = 0;
            if (*c == 'C') {
                const char *value = c[1] ? c + 1 : ++i < argc ? argv[i] : NULL;
                status = parse_cost(value, &q->cost);
            } else {
                status = letter(*c, q);
            }
            if (status)
                return status;
            if (*c == 'C')
                break;
        }
    }
    *next = i;
    return 0;
}

static int parse(int argc, char **argv, struct request *q)
{
    int next = 0;
    int status = options(argc, argv, q, &next);
    if (status)
        return status;
    if (q->remove + q->verify + q->print + q->create > 1)
        return usage("of -c, -D, -n and -v one at most");
    if (argc - next != (q->print ? 1 : 2))
        return usage(q->print ? "-n needs USER and no FILE" : "it needs FILE and USER");
    q->file = q->print ? NULL : argv[next];
    q->user = argv[argc - 1];
    return 0;
}

/* ---- passwords ---- */

/* Reads to the end of the line, a byte at a time: what follows stays for others. -1 at the end of
 * the input without a byte, when it was cut off with ^C, or when it is too long. */
static int read_line(int fd, bool keys, struct password *out)
{
    out->n = 0;
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return out->n ? 0 : -1;
        if (c == '\n')
            return 0;
        if (keys && c == 3)
            return -1;
        if (keys && c == 4 && out->n == 0)
            return -1;
        if (keys && (c == 8 || c == 127)) {
            out->n -= out->n > 0;
            continue;
        }
        if (keys && c == 21) {
            out->n = 0;
            continue;
        }
        if (out->n == sizeof out->p)
            return -1;
        out->p[out->n++] = c;
    }
}

/* From the terminal, without echo. The keys are ours meanwhile, ^C too: nothing leaves the terminal
 * mute. */
static int prompt(const char *text, struct password *out)
{
    struct termios before, quiet;
    sigset_t stops, old;
    if (tcgetattr(STDIN_FILENO, &before))
        return -1;
    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &stops, &old);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    quiet.c_iflag |= ICRNL;
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    fputs(text, stderr);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    int failed = read_line(STDIN_FILENO, true, out);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    return failed;
}

static int read_piped(struct password *out)
{
    if (read_line(STDIN_FILENO, false, out))
        return -1;
    if (out->n && out->p[out->n - 1] == '\r')
        out->n--;
    return 0;
}

static int ask(const struct request *q, struct password *out)
{
    struct password again;
    int status = 0;
    if (q->from_input || !isatty(STDIN_FILENO)) {
        if (read_piped(out))
            status = usage("no password came from standard input");
        return status;
    }
    if (prompt(q->verify ? "Password: " : "New password: ", out))
        return usage("no password was given");
    if (q->verify)
        return 0;
    if (prompt("The same again: ", &again) || again.n != out->n ||
        memcmp(again.p, out->p, out->n) != 0) {
        fprintf(stderr, "berth: the two are not the same\n");
        status = 1;
    }
    explicit_bzero(&again, sizeof again);
    return status;
}

/* ---- what is done ---- */

static int verify(const struct request *q, struct slice password)
{
    struct htpasswd *h = NULL;
    struct error err = {0};
    if (htpasswd_load(q->file, &h, NULL, &err))
        return command_failed(&err);
    const char *hash = htpasswd_find(h, slice_cstr(q->user));
    bool right = password_verify(hash, password);
    fprintf(stderr,
            right  ? "berth: the password of %s is right\n"
            : hash ? "berth: the password of %s is wrong\n"
                   : "berth: there is no user %s with a bcrypt entry\n",
            q->user);
    htpasswd_free(h);
    return right ? 0 : 3; /* as Apache's */
}

static int with_password(const struct request *q, struct slice password)
{
    struct error err = {0};
    char hash[64];
    if (q->verify)
        return verify(q, password);
    if (q->print) {
        if (strpbrk(q->user, ":\n"))
            return usage("the name of a user cannot have a colon");
        if (password_hash(password, q->cost, hash, &err))
            return command_failed(&err);
        return printf("%s:%s\n", q->user, hash) < 0;
    }
    if (htpasswd_update(q->file, slice_cstr(q->user), password, q->cost, q->create, &err)) {
        if (err.sys == ENOENT && !q->create)
            fprintf(stderr, "berth: there is no file %s: -c makes it\n", q->file);
        else
            return command_failed(&err);
        return 1;
    }
    fprintf(stderr, "berth: %s has the user %s now\n", q->file, q->user);
    return 0;
}

static int take_out(const struct request *q)
{
    struct error err = {0};
    if (htpasswd_update(q->file, slice_cstr(q->user), SLICE_NONE, q->cost, false, &err))
        return command_failed(&err);
    fprintf(stderr, "berth: %s has no user %s any more\n", q->file, q->user);
    return 0;
}

static int run(int argc, char **argv)
{
    struct request q = {.cost = HTPASSWD_COST};
    struct password password = {.n = 0};
    int status = parse(argc, argv, &q);
    if (status)
        return status;
    if (q.remove)
        return take_out(&q);
    status = ask(&q, &password);
    if (!status)
        status = with_password(&q, slice_make(password.p, password.n));
    explicit_bzero(&password, sizeof password);
    return status;
}

const struct command command_htpasswd = {
    "htpasswd", "[-B] [-C COST] [-c] [-D] [-v] [-n] [-i] FILE USER",
    "write the users and passwords of auth.htpasswd",
    "Sets the password of a user in an htpasswd file, asking for it twice; from standard input\n"
    "when that is no terminal. A running server notices within two seconds. The file is replaced\n"
    "at once: nobody sees half of it.\n"
    "\n"
    "  -B       bcrypt: what there is anyway\n"
    "  -C COST  of bcrypt, 4 to 17, default 10; each more doubles the time of a login\n"
    "  -c       make the file when it is missing; users that are in it stay\n"
    "  -D       remove the user\n"
    "  -v       only check the password: status 0 when it is right, 3 when not\n"
    "  -n       print the line instead of writing it to a file; without FILE\n"
    "  -i       take the password from standard input also from a terminal",
    run};
