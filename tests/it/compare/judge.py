# SPDX-License-Identifier: Apache-2.0
"""What differs between two answers, after what must differ is made equal; and the table of
docs/differences.md, which says what may."""

import fnmatch
import json
import re
from dataclasses import dataclass

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Of one server's own making, or of one moment.
NEVER_COMPARED = {"date", "x-request-id", "connection", "transfer-encoding"}
ABSENT = "absent"
# Compared also where the same status comes with an error of another form.
KEPT = {"Allow", "WWW-Authenticate", "Location", "Retry-After", "Content-Range", "Range"}


def plain(value, server):
    """Without ports, ids and states."""
    value = value.replace(server.url, "{base}").replace(server.host, "{host}")
    value = UUID.sub("{uuid}", value)
    return re.sub(r"_state=[^&>]*", "_state={state}", value)


def scope_in_order(challenge):
    """registry writes a scope's parts in the order of chance."""
    def parts(m):
        each = (x.rpartition(":") for x in m[1].split(" "))
        return 'scope="{}"'.format(" ".join(sorted(
            f"{name}:{','.join(sorted(actions.split(',')))}" for name, _, actions in each)))

    return re.sub(r'scope="([^"]*)"', parts, challenge)


@dataclass
class Difference:
    case: str
    what: str
    registry: str
    berth: str


def header_differences(case, left, right, left_server, right_server):
    names = (set(left.headers) | set(right.headers)) - NEVER_COMPARED
    if left.status >= 400 or left.body != right.body:
        names.discard("content-length")  # the bodies differ, and say more; so they would for a HEAD
    for name in sorted(names):
        shown = "-".join({"id": "ID", "uuid": "UUID", "etag": "ETag", "www": "WWW", "oci": "OCI"}
                         .get(p, p.capitalize()) for p in name.split("-"))
        a, b = left.header(name), right.header(name)
        a = ABSENT if a is None else plain(a, left_server)
        b = ABSENT if b is None else plain(b, right_server)
        if name == "allow":  # a set
            a, b = (x if x == ABSENT else ", ".join(sorted(x.split(", "))) for x in (a, b))
        if name == "www-authenticate":
            a, b = scope_in_order(a), scope_in_order(b)
        if name == "location" and ABSENT not in (a, b):
            absolute = [x.startswith("{base}") for x in (a, b)]
            if absolute[0] != absolute[1]:
                yield Difference(case.id, "Location form",
                                 *("absolute" if x else "relative" for x in absolute))
            a, b = a.removeprefix("{base}"), b.removeprefix("{base}")
        if a != b:
            yield Difference(case.id, shown, a, b)


def body_differences(case, left, right, left_server, right_server):
    a, b = left.errors(), right.errors()
    if a and b:
        for what in ("message", "detail"):
            x = json.dumps([e.get(what) for e in a], sort_keys=True)
            y = json.dumps([e.get(what) for e in b], sort_keys=True)
            if x != y:
                yield Difference(case.id, what, plain(x, left_server), plain(y, right_server))
        return
    a, b = left.json(), right.json()
    if a is not None and b is not None:
        if a != b:
            yield Difference(case.id, "body", json.dumps(a, sort_keys=True)[:200],
                             json.dumps(b, sort_keys=True)[:200])
        elif left.body != right.body:
            yield Difference(case.id, "bytes of the body", repr(left.body[:80]),
                             repr(right.body[:80]))
    elif left.body != right.body:
        yield Difference(case.id, "body", repr(left.body[:80]), repr(right.body[:80]))


def differences(case, left, right, left_server, right_server):
    """An answer of another kind is one difference: what it has inside, and with another status also
    its header fields, follow from it."""
    sides = (case, left, right, left_server, right_server)
    found = []
    if left.summary() != right.summary():
        found.append(Difference(case.id, "answer", left.summary(), right.summary()))
        if left.status == right.status:
            found += [d for d in header_differences(*sides) if d.what in KEPT]
        return found
    found += header_differences(*sides)
    if case.body_matters:
        found += body_differences(*sides)
    return found


@dataclass
class Row:
    """One documented difference. Each list has globs, of which one has to fit."""
    id: str
    versions: list  # of registry: "2", "3", "3.1"; empty: every one
    requests: list
    what: list
    registry: list
    berth: list
    why: str
    line: int
    hits: int = 0

    def of(self, version):
        return not self.versions or any(f"{version}.".startswith(f"{v}.") for v in self.versions)

    def covers(self, d):
        return (d.what in self.what and fits(d.case, self.requests)
                and fits(d.registry, self.registry) and fits(d.berth, self.berth))


def fits(text, patterns):
    # Brackets are meant as they are written.
    return any(fnmatch.fnmatchcase(text, p.replace("[", "[[]")) for p in patterns)


HEADINGS = ["id", "of", "requests", "what", "registry", "berth", "why"]


def read_table(path, version=None):
    """The rows of every table in the file whose headings are HEADINGS; of one version of registry,
    those that hold for it."""
    rows, inside = [], False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.startswith("|"):
            inside = False
            continue
        cells = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells == HEADINGS:
            inside = True
        elif inside and not set(line) <= set("|-: "):
            if len(cells) != len(HEADINGS):
                raise ValueError(f"{path}:{number}: {len(cells)} cells, not {len(HEADINGS)}")
            id_, of, requests, what, registry, berth, why = cells

            def quoted(cell):
                return re.findall(r"`([^`]*)`", cell)

            values = [quoted(c) for c in (requests, what, registry, berth)]
            if not all(values) or not why:
                raise ValueError(f"{path}:{number}: a cell has no `value`")
            if not re.fullmatch(r"all|\d+(\.\d+)*( \d+(\.\d+)*)*", of):
                raise ValueError(f"{path}:{number}: {of!r} names no versions")
            versions = [] if of == "all" else of.split()
            rows.append(Row(id_.strip("`"), versions, *values, why, number))
    ids = [r.id for r in rows]
    for id_ in ids:
        if ids.count(id_) > 1:
            raise ValueError(f"{path}: {id_} is there twice")
    return rows if version is None else [r for r in rows if r.of(version)]
