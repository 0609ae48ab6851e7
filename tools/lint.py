#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The project's own rules, checked on the text of the tree. Prints `file:line: rule: message` for
each finding and exits 1 if there is one. `--report` also prints long files and functions that are
still allowed, `--count` ends with the number of rules that held and that did not.

A rule that is wrong for one line is switched off there by a comment with a reason:
`/* lint: RULE: why */` on the line or on the one above it. tests/it/test_lint.py proves that every
rule fires."""

import argparse
import os
import re
import sys
from pathlib import Path

# Who may include whom. A directory sees what is listed: a whole directory ("base/") or one header.
HTTP_FACE = ("http/request.h", "http/route.h", "http/field.h", "http/head.h")
DATA_FACE = ("meta/meta.h", "meta/event.h", "store/store.h", "store/upload.h", "auth/")
LAYERS = {
    "base": (),
    "os": ("base/",),
    "tls": ("base/", "os/"),
    "http": ("base/", "os/", "tls/"),
    "oci": ("base/",),
    "meta": ("base/", "os/", "oci/"),
    "store": ("base/", "os/", "oci/"),
    "auth": ("base/", "os/", "oci/"),
    "remote": ("base/", "os/", "oci/"),
    "registry": ("base/", "os/", "oci/") + DATA_FACE + HTTP_FACE,
    "jobs": ("base/", "os/", "oci/", "remote/") + DATA_FACE,
    "main": None,  # everything
    "cli": None,
}

# A header that is not the C library's, and the only places that may include it.
THIRD_PARTY = {
    r"sqlite3\.h": ("src/meta/",),
    r"jansson\.h": ("src/base/json.c",),
    r"openssl/.*": ("src/base/hash.c", "src/tls/", "src/auth/token"),
    r"yaml\.h": ("src/main/config_yaml.c",),
    r"curl/.*": ("src/remote/client.c",),
    r"crypt\.h": ("src/auth/htpasswd.c",),
    r"libpq.*|ldap.*|nghttp2/.*|zlib\.h|zstd.*|seccomp\.h": (),
}

FILE_WARN, FILE_MAX = 800, 1200
FUNCTION_WARN, FUNCTION_MAX = 80, 150
LINE_MAX, SCRIPT_LINE_MAX = 100, 120  # C, which clang-format wraps; scripts and Python

SKIP_DIRS = {".git", ".cache", "__pycache__", ".pytest_cache", "node_modules"}
TEXT_SUFFIXES = {".c", ".h", ".py", ".sh", ".md", ".build", ".txt", ".json", ".yml", ".yaml", ".cfg",
                 ".toml", ".ini", ".service", ".dict", ".clang-tidy", ".clang-format", ".gitignore"}
CODE_SUFFIXES = {".c", ".h", ".py", ".sh"}

# Written in two pieces so that this file does not match itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
OUTSIDE = re.compile(r"(?<![\w.])/wor" r"k/|/far" r"m\b|\.\./share" r"d\b|(?<![\w.])/home/\w")
REGISTRY_HOSTS = re.compile(
    r"deb\.deb" r"ian\.org|security\.deb" r"ian\.org|snapshot\.deb" r"ian\.org|registry\.npm" r"js|"
    r"proxy\.gol" r"ang|pypi\.o" r"rg|crates\.i" r"o\b|repo1?\.mav" r"en|sum\.gol" r"ang")

RULES = ("layers", "third-party", "banned-last", "spdx", "file-length", "function-length",
         "line-length", "tabs", "trailing-blank", "unfinished", "globals", "readme", "fault-points",
         "outside-path", "registry-host", "final-newline")


class Finding:
    def __init__(self, path, line, rule, text):
        self.path, self.line, self.rule, self.text = path, line, rule, text

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def blank_comments(text, keep_strings):
    """C source with comments (and the insides of strings, unless kept) replaced by blanks, so that
    line numbers and columns stay."""
    out = []
    i, n = 0, len(text)

    def blanks(piece):
        return re.sub(r"[^\n]", " ", piece)

    while i < n:
        c = text[i]
        if text.startswith("/*", i):
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
            out.append(blanks(text[i:end]))
        elif text.startswith("//", i):
            end = text.find("\n", i)
            end = n if end < 0 else end
            out.append(blanks(text[i:end]))
        elif c in "\"'":
            end = i + 1
            while end < n and text[end] != c and text[end] != "\n":
                end += 2 if text[end] == "\\" else 1
            end = min(end + 1, n)
            piece = text[i:end]
            out.append(piece if keep_strings else piece[0] + blanks(piece[1:-1]) + piece[-1])
        else:
            end = i + 1
            out.append(c)
        i = end
    return "".join(out)


class File:
    """One text file of the tree: its lines, and for C the code without comments."""

    def __init__(self, root, path):
        self.path = path
        self.text = (root / path).read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()
        self.suffix = Path(path).suffix or Path(path).name
        self.is_c = self.suffix in (".c", ".h")
        self.in_src = path.startswith("src/")
        if self.is_c:
            self.code = blank_comments(self.text, keep_strings=False).split("\n")
            self.code_strings = blank_comments(self.text, keep_strings=True).split("\n")

    def allowed(self, line, rule):
        mark = f"lint: {rule}:"
        return any(mark in self.lines[k] for k in (line - 1, line - 2) if 0 <= k < len(self.lines))

    def includes(self):
        for number, line in enumerate(self.code_strings, 1):
            m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if m:
                yield number, m.group(1) == "<", m.group(2)


def walk(root):
    for top, dirs, names in os.walk(root):
        rel = os.path.relpath(top, root)
        dirs[:] = sorted(d for d in dirs if d not in SKIP_DIRS
                         and not (rel == "." and d.startswith("build"))
                         and not (rel == "bench" and d == "results")
                         and not (rel == os.path.join("tests", "fuzz") and d == "corpus"))
        for name in sorted(names):
            path = os.path.normpath(os.path.join(rel, name))
            suffix = Path(name).suffix or name
            full = os.path.join(top, name)
            if os.path.islink(full) or not os.path.isfile(full):
                continue
            with open(full, "rb") as f:
                start = f.read(2)
            if suffix in TEXT_SUFFIXES or start == b"#!":
                yield path


def check_includes(f):
    parts = f.path.split("/")
    area = parts[1] if len(parts) > 2 else ""
    allowed = LAYERS.get(area, ())
    for line, system, name in f.includes():
        if not system:
            # A private header is for its own directory, whoever asks.
            private = name.endswith("_int.h") and not name.startswith(area + "/")
            seen = allowed is None or name.startswith(area + "/") or any(
                name == a or (a.endswith("/") and name.startswith(a)) for a in allowed)
            if private or not seen:
                yield line, "layers", f"src/{area} may not include {name}"
        for pattern, places in THIRD_PARTY.items():
            if re.fullmatch(pattern, name) and not any(
                    f.path == p or (p.endswith(("/", "token")) and f.path.startswith(p))
                    for p in places):
                where = ", ".join(places) if places else "no directory yet: write an ADR"
                yield line, "third-party", f"{name} belongs in one place ({where})"


def check_banned_last(f):
    found = list(f.includes())
    if not found:
        yield 1, "banned-last", 'no #include "base/banned.h"'
    elif found[-1][2] != "base/banned.h":
        yield found[-1][0], "banned-last", '"base/banned.h" has to be the last include'


def check_spdx(f):
    first = 1 if f.lines and f.lines[0].startswith("#!") else 0
    if len(f.lines) <= first or "SPDX-License-Identifier: Apache-2.0" not in f.lines[first]:
        yield first + 1, "spdx", "the first line has to be the SPDX-License-Identifier"


def functions(f):
    """(name, first line, lines) of each function, by the project's brace style: the braces of a
    function are alone in column 0."""
    start = None
    for number, line in enumerate(f.code, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            head = " ".join(f.code[max(0, start - 8):start - 1])
            names = re.findall(r"(\w+)\s*\([^;{}]*$", head)
            called = re.findall(r"(\w+)\s*\(", head.rsplit(";", 1)[-1].rsplit("}", 1)[-1])
            yield (called or names or ["?"])[0], start, number - start + 1
            start = None


def check_lengths(f, report):
    if len(f.lines) > FILE_MAX:
        yield FILE_MAX + 1, "file-length", f"{len(f.lines)} lines: it is two files"
    elif len(f.lines) > FILE_WARN and report is not None:
        report.append(f"{f.path}: {len(f.lines)} lines: look for the seam")
    if f.is_c:
        for name, line, length in functions(f):
            if length > FUNCTION_MAX and not f.allowed(line, "function-length"):
                yield line, "function-length", f"{name} has {length} lines"
            elif length > FUNCTION_WARN and report is not None:
                report.append(f"{f.path}:{line}: {name} has {length} lines")


def check_text(f):
    code = f.suffix in CODE_SUFFIXES or (f.lines and f.lines[0].startswith("#!"))
    longest = LINE_MAX if f.is_c else SCRIPT_LINE_MAX
    for number, line in enumerate(f.lines, 1):
        if code and len(line) > longest:
            yield number, "line-length", f"{len(line)} columns"
        if "\t" in line and f.suffix != ".md":
            yield number, "tabs", "a tab"
        if line != line.rstrip() and not (f.suffix == ".md" and line.endswith("  ")):
            yield number, "trailing-blank", "white space at the end"
        if UNFINISHED.search(line):
            yield number, "unfinished", "do it, or write an issue"
        if OUTSIDE.search(line):
            yield number, "outside-path", "a path outside the repository"
        if REGISTRY_HOSTS.search(line):
            yield number, "registry-host", "the name of a package registry"
    if f.text and not f.text.endswith("\n"):
        yield len(f.lines), "final-newline", "the last line has no end"


STATIC = re.compile(r"^(\s*)static\s+(.*)$")
EXTERNAL = re.compile(
    r"^(?!static\b|extern\b|typedef\b|return\b|goto\b|case\b|default\b|else\b|enum\b|"
    r"_Static_assert\b|(?:struct|union)\s+\w+\s*;)"
    r"((?:const\s+|unsigned\s+|struct\s+|_Atomic\s+|volatile\s+)*\w+[\s*]+\w+(?:\[[^\]]*\])*)\s*(?:=|;)")


def is_mutable(declaration):
    """Is the object itself (not only what it points to) writable?"""
    before = re.split(r"[=;]", declaration, maxsplit=1)[0]
    if re.search(r"\b(_Static_assert|inline)\b", before):
        return False
    if re.search(r"\(\s*\*\s*const\b", before):
        return False
    if re.search(r"\(\s*\*\s*\w+\s*(\[[^\]]*\])?\s*\)\s*\(", before):
        return True  # a function pointer
    if "(" in before:
        return False  # a function
    if "*" in before:
        return not re.search(r"\bconst\b", before.rsplit("*", 1)[1])
    return not re.search(r"\bconst\b", before)


def check_globals(f):
    depth = 0
    for number, line in enumerate(f.code, 1):
        m = STATIC.match(line)
        declaration = line
        if m and not re.search(r"[=;{(]", line) and number < len(f.code):
            declaration = line + " " + f.code[number]
        mutable = False
        if m and re.search(r"[=;]|\[", declaration) and is_mutable(declaration):
            mutable = True
        elif depth == 0 and not m:
            e = EXTERNAL.match(line)
            if e and is_mutable(line):
                mutable = True
        if mutable and not f.allowed(number, "globals"):
            yield number, "globals", "global mutable state"
        if not line.lstrip().startswith("#"):
            depth += line.count("{") - line.count("}")


def check_readmes(root):
    src = root / "src"
    for d in sorted(p for p in src.iterdir() if p.is_dir()) if src.is_dir() else []:
        if any(d.iterdir()) and not (d / "README.md").is_file():
            yield Finding(f"src/{d.name}", 1, "readme", "no README.md")


def check_fault_points(files):
    """Each name in the list is used, each name in the code is in the list."""
    table = next((f for f in files if f.path == "src/os/fault_points.h"), None)
    if table is None:
        return
    declared = {}
    for number, line in enumerate(table.code_strings, 1):
        m = re.search(r'\bX\("([^"]+)"', line)
        if m:
            declared[m.group(1)] = number
    areas = {name.split(".")[0] for name in declared}
    used = set()
    for f in files:
        if not (f.in_src and f.is_c) or f is table or f.path.startswith("src/os/fault."):
            continue
        for number, line in enumerate(f.code_strings, 1):
            called = set(re.findall(r'fault_(?:point|check)\(\s*"([^"]*)"', line))
            named = {s for s in re.findall(r'"([a-z]+\.[a-z_]+)"', line)
                     if s.split(".")[0] in areas and s.split(".")[1] not in ("h", "c", "db")}
            for name in sorted(called | named):
                used.add(name)
                if name not in declared and not f.allowed(number, "fault-points"):
                    yield Finding(f.path, number, "fault-points",
                                  f'"{name}" is not in src/os/fault_points.h')
    for name, number in declared.items():
        if name not in used and not table.allowed(number, "fault-points"):
            yield Finding(table.path, number, "fault-points", f'"{name}" is used nowhere')


def check_file(f, report):
    yield from check_text(f)
    yield from check_lengths(f, report)
    if f.suffix in CODE_SUFFIXES or f.path.endswith("meson.build") or (
            f.lines and f.lines[0].startswith("#!")):
        yield from check_spdx(f)
    if f.in_src and f.is_c:
        yield from check_includes(f)
        yield from check_globals(f)
        if f.suffix == ".c":
            yield from check_banned_last(f)


def lint(root, report=None):
    root = Path(root)
    files = [File(root, path) for path in walk(root)]
    findings = []
    for f in files:
        for line, rule, text in check_file(f, report):
            if not f.allowed(line, rule):
                findings.append(Finding(f.path, line, rule, text))
    findings.extend(check_readmes(root))
    findings.extend(check_fault_points(files))
    return findings


def main():
    parser = argparse.ArgumentParser(description="Checks the project's own rules.")
    parser.add_argument("root", nargs="?", default=str(Path(__file__).resolve().parent.parent))
    parser.add_argument("--report", action="store_true", help="long files and functions too")
    parser.add_argument("--count", action="store_true", help="rules that held, and did not")
    args = parser.parse_args()
    report = [] if args.report else None
    findings = lint(args.root, report)
    for line in sorted(report or []):
        print(f"note: {line}")
    for finding in sorted(findings, key=lambda f: (f.path, f.line, f.rule)):
        print(finding)
    if args.count:
        broken = {f.rule for f in findings}
        print(f"lint: {len(RULES) - len(broken)} passed, {len(broken)} failed")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
