# SPDX-License-Identifier: Apache-2.0
"""Every rule of tools/lint.py fires on a bad sample, at the right line, and is silent on a good
tree. No server is needed here."""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"

GOOD = {
    "src/os/README.md": "# os\n",
    "src/os/fault_points.h": SPDX + '#define FAULT_POINTS(X) \\\n    X("stage.write", "append")\n',
    "src/os/file.h": SPDX + "#ifndef F\n#define F\nint os_write(int fd);\nstruct os;\n#endif\n",
    "src/os/file.c": SPDX + '#include "os/file.h"\n\n#include <unistd.h>\n\n'
                     '#include "base/banned.h"\n\n'
                     'static const char *const names[] = {"a\\"b", "c"};\n'
                     'static const int sizes[2] = {1, 2};\n'
                     'static int helper(int fd)\n{\n    static const int limit = 3;\n'
                     '    return fd + limit + sizes[0] + names[0][0];\n}\n\n'
                     'int os_write(int fd)\n{\n    return fault("stage.write") ? -1 : helper(fd);\n'
                     '}\n',
    "src/base/README.md": "# base\n",
    "src/base/banned.h": SPDX + "#ifndef B\n#define B\n#endif\n",
    "src/base/json.c": SPDX + '#include <jansson.h>\n#include "base/banned.h"\n',
    "src/registry/README.md": "# registry\n",
    "src/registry/tags.c": SPDX + '#include "http/request.h"\n#include "meta/meta.h"\n'
                           '#include "base/banned.h"\n',
    "src/main/README.md": "# main\n",
    "src/main/main.c": SPDX + '#include "http/server.h"\n#include "cli/serve.h"\n'
                       '#include "base/banned.h"\n',
    "script/x": "#!/bin/bash\n# SPDX-License-Identifier: Apache-2.0\ntrue\n",
}


def lint(root):
    run = subprocess.run([sys.executable, str(TOP / "tools/lint.py"), str(root)],
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.stderr == ""
    found = []
    for line in run.stdout.splitlines():
        path, number, rule, _ = line.split(":", 3)
        found.append((path, int(number), rule.strip()))
    assert run.returncode == (1 if found else 0)
    return found


@pytest.fixture
def tree(tmp_path):
    for path, text in GOOD.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_good_tree_has_no_finding(tree):
    assert lint(tree) == []


def with_line(path, line, after=1):
    """The good file with one more line."""
    lines = GOOD[path].split("\n")
    lines.insert(after, line)
    return {path: "\n".join(lines)}


C = "src/os/file.c"
LONG_FUNCTION = "static int f(void)\n{\n" + "    g();\n" * 150 + "}\n"

BAD = [
    ("layers", C, 2, with_line(C, '#include "http/request.h"')),
    ("layers", C, 2, with_line(C, '#include "oci/digest.h"')),
    ("layers", "src/base/json.c", 2, with_line("src/base/json.c", '#include "os/file.h"')),
    ("layers", "src/registry/tags.c", 2,
     with_line("src/registry/tags.c", '#include "http/server.h"')),
    ("layers", "src/registry/tags.c", 2,
     with_line("src/registry/tags.c", '#include "store/fs.h"')),
    ("layers", "src/main/main.c", 2, with_line("src/main/main.c", '#include "http/conn_int.h"')),
    ("layers", "src/meta/a.c", 2, {"src/meta/README.md": "#\n", "src/meta/a.c":
     SPDX + '#include "store/store.h"\n#include "base/banned.h"\n'}),
    ("layers", "src/store/a.c", 2, {"src/store/README.md": "#\n", "src/store/a.c":
     SPDX + '#include "meta/meta.h"\n#include "base/banned.h"\n'}),
    ("layers", "src/jobs/a.c", 2, {"src/jobs/README.md": "#\n", "src/jobs/a.c":
     SPDX + '#include "http/request.h"\n#include "base/banned.h"\n'}),
    ("layers", "src/novel/a.c", 2, {"src/novel/README.md": "#\n", "src/novel/a.c":
     SPDX + '#include "base/util.h"\n#include "base/banned.h"\n'}),
    ("third-party", C, 2, with_line(C, "#include <sqlite3.h>")),
    ("third-party", C, 2, with_line(C, "#include <openssl/evp.h>")),
    ("third-party", C, 2, with_line(C, "#include <jansson.h>")),
    ("third-party", C, 2, with_line(C, "#include <curl/curl.h>")),
    ("banned-last", C, 7, with_line(C, "#include <string.h>", after=6)),
    ("banned-last", "src/os/a.c", 1, {"src/os/a.c": SPDX + "int x(void);\n"}),
    ("spdx", "src/os/a.h", 1, {"src/os/a.h": "int x(void);\n"}),
    ("spdx", "script/y", 2, {"script/y": "#!/bin/bash\ntrue\n"}),
    ("spdx", "tests/a.py", 1, {"tests/a.py": "x = 1\n"}),
    ("spdx", "src/os/meson.build", 1, {"src/os/meson.build": "x = 1\n"}),
    ("file-length", "src/os/a.h", 1201, {"src/os/a.h": SPDX + "\n" * 1200}),
    ("function-length", "src/os/a.c", 4,
     {"src/os/a.c": SPDX + '#include "base/banned.h"\n' + LONG_FUNCTION}),
    ("line-length", C, 2, with_line(C, "/* " + "x" * 95 + " */")),
    ("tabs", C, 2, with_line(C, "\t")),
    ("trailing-blank", C, 2, with_line(C, "int f(void); ")),
    ("unfinished", C, 2, with_line(C, "/* TO" + "DO */")),
    ("unfinished", "docs/a.md", 1, {"docs/a.md": "FIX" + "ME later\n"}),
    ("globals", C, 8, with_line(C, "static int counter;", after=7)),
    ("globals", C, 8, with_line(C, "static int counter = 1;", after=7)),
    ("globals", C, 8, with_line(C, "int counter;", after=7)),
    ("globals", C, 8, with_line(C, "struct pool *pools[4];", after=7)),
    ("globals", C, 8, with_line(C, "static const char *names2[] = {0};", after=7)),
    ("globals", C, 8, with_line(C, "static int (*hook)(int);", after=7)),
    ("globals", C, 8, with_line(C, "static _Thread_local int depth;", after=7)),
    ("globals", C, 12, with_line(C, "    static int calls = 0;", after=11)),
    ("readme", "src/novel", 1, {"src/novel/a.h": SPDX}),
    ("fault-points", C, 8, with_line(C, 'int a = fault_point("stage.unheard");', after=7)),
    ("fault-points", C, 8, with_line(C, 'int a = os_open("stage.unheard");', after=7)),
    ("fault-points", "src/os/fault_points.h", 4,
     with_line("src/os/fault_points.h", '    X("stage.gone", "used nowhere")', after=3)),
    ("outside-path", "docs/a.md", 1, {"docs/a.md": "see /wor" + "k/x\n"}),
    ("outside-path", "script/x", 3, with_line("script/x", "cat ../share" + "d/x", after=2)),
    ("registry-host", "docs/a.md", 1, {"docs/a.md": "from pypi.o" + "rg\n"}),
    ("registry-host", "script/x", 3, with_line("script/x", "# deb.deb" + "ian.org", after=2)),
    ("final-newline", "docs/a.md", 1, {"docs/a.md": "no end"}),
]


@pytest.mark.parametrize("rule,path,line,change", BAD,
                         ids=[f"{k}-{b[0]}" for k, b in enumerate(BAD)])
def test_rule_fires(tree, rule, path, line, change):
    for name, text in change.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    found = lint(tree)
    assert (path, line, rule) in found, found


def test_every_rule_has_a_bad_sample():
    sys.path.insert(0, str(TOP / "tools"))
    try:
        from lint import RULES
    finally:
        sys.path.pop(0)
    assert set(RULES) == {b[0] for b in BAD}


def test_an_allowed_line_is_silent_and_only_for_its_rule(tree):
    lines = GOOD[C].split("\n")
    lines.insert(7, "/* lint: globals: a cache of constants */")
    lines.insert(8, "static int counter;")
    (tree / C).write_text("\n".join(lines))
    assert lint(tree) == []
    (tree / C).write_text("\n".join(lines).replace("lint: globals:", "lint: tabs:"))
    assert lint(tree) == [(C, 9, "globals")]


def test_comments_and_strings_are_no_code(tree):
    (tree / C).write_text("\n".join(with_line(
        C, '/* #include "http/request.h"\nint counter;\n*/', after=1)[C].split("\n")))
    assert lint(tree) == []
