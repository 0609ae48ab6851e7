# SPDX-License-Identifier: Apache-2.0
"""The same requests to Debian's docker-registry and to berth, from the same configuration: every
difference is in docs/differences.md."""

import pytest
from compare import cases, judge, run, servers
from compare.wire import Answer, Case, Server
from harness import binary

needs_registry = pytest.mark.skipif(
    servers.registry_binary() is None,
    reason="docker-registry is not installed (Debian's package docker-registry)")


@needs_registry
@pytest.mark.parametrize("name", cases.RUNS)
def test_run(name, tmp_path, capsys):
    version = servers.registry_version(servers.registry_binary())
    if name not in cases.runs_of(version):
        pytest.skip(f"registry {version} does not know what this is about")
    n, found = run.compare(name, tmp_path / name, binary())
    undocumented = run.judge_all(found, judge.read_table(run.TABLE, version))
    run.show(undocumented)
    assert n == len(cases.cases_of(name))
    assert not undocumented, "not in docs/differences.md:\n" + capsys.readouterr().out


def test_there_are_enough():
    assert len(cases.cases_of("plain")) >= 500
    for name in cases.RUNS:
        ids = [c.id for c in cases.cases_of(name)]
        assert ids and len(set(ids)) == len(ids)


# --- that the judge sees what there is ---

SIDES = Server("http://127.0.0.1:1", "http://127.0.0.1:2"), \
    Server("http://127.0.0.1:3", "http://127.0.0.1:4")


def answer(status=200, body=b"", **headers):
    return Answer(status, {k.replace("_", "-").lower(): [v] for k, v in headers.items()}, body)


def differ(left, right, **case):
    found = judge.differences(Case("group/name", "GET", "/", **case), left, right, *SIDES)
    return {(d.what, d.registry, d.berth) for d in found}


def error(code, status, detail=None):
    return answer(status, b'{"errors":[{"code":"%s","message":"m"%s}]}'
                  % (code, b',"detail":"%s"' % detail if detail else b""))


def test_what_is_one_servers_own_does_not_differ():
    uuids = "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f", "1f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"
    left, right = (answer(202, Location=f"{side.url}/v2/a/blobs/uploads/{uuid}?_state={uuid}x",
                          Docker_Upload_UUID=uuid, Date=uuid, X_Request_Id=uuid)
                   for side, uuid in zip(SIDES, uuids))
    assert differ(left, right) == set()
    assert differ(answer(Allow="GET, PUT"), answer(Allow="PUT, GET")) == set()


@pytest.mark.parametrize("left, right, want", [
    (answer(200), answer(201), {("answer", "200", "201")}),
    (answer(404, b"x"), error(b"NAME_UNKNOWN", 404), {("answer", "404 text", "404 NAME_UNKNOWN")}),
    (answer(405, b"x", Allow="GET"), error(b"UNSUPPORTED", 405),
     {("answer", "405 text", "405 UNSUPPORTED"), ("Allow", "GET", "absent")}),
    (error(b"A", 400), error(b"B", 400), {("answer", "400 A", "400 B")}),
    (error(b"A", 400, b"x"), error(b"A", 400, b"y"), {("detail", '["x"]', '["y"]')}),
    (error(b"A", 400, b"x"), error(b"A", 400), {("detail", '["x"]', "[null]")}),
    (answer(200, b"{}"), answer(200, b"[]"), {("body", "{}", "[]")}),
    (answer(200, b"{}"), answer(200, b"{ }"), {("bytes of the body", "b'{}'", "b'{ }'")}),
    (answer(200, b"x"), answer(200, b"y"), {("body", "b'x'", "b'y'")}),
    (answer(200, ETag="a"), answer(200, ETag="b"), {("ETag", "a", "b")}),
    (answer(200, Docker_Content_Digest="a"), answer(200),
     {("Docker-Content-Digest", "a", "absent")}),
    (answer(200, Content_Length="1"), answer(200, Content_Length="2"),
     {("Content-Length", "1", "2")}),
    (answer(202, Location="http://127.0.0.1:1/a"), answer(202, Location="/b"),
     {("Location form", "absolute", "relative"), ("Location", "/a", "/b")}),
    (answer(202, Location="http://elsewhere/a"), answer(202, Location="/a"),
     {("Location", "http://elsewhere/a", "/a")}),
])
def test_what_differs_is_seen(left, right, want):
    assert differ(left, right) == want


def table(tmp_path, *rows):
    path = tmp_path / "differences.md"
    lines = ["# Differences", "", "| id | of | requests | what | registry | berth | why |",
             "|---|---|---|---|---|---|---|", *rows, "", "| another | table |", "|---|---|", "| a | b |"]
    path.write_text("\n".join(lines))
    return path


def test_the_table_decides(tmp_path):
    path = table(tmp_path, "| one | all | `a/*` `b` | `answer` | `404 text` `500` | `404 [X]*` | because |",
                 "| two | all | `*` | `detail` | `*` | `[\"*` | because |")
    rows = judge.read_table(path)
    assert [r.id for r in rows] == ["one", "two"]

    def open_(*d):
        return bool(run.judge_all([judge.Difference(*d)], rows))

    assert not open_("a/x", "answer", "404 text", "404 [X]Y")
    assert not open_("b", "answer", "500", "404 [X]")
    assert open_("a/x", "answer", "404 text", "404 X")  # brackets are no class of characters
    assert open_("c", "answer", "404 text", "404 [X]Y")
    assert open_("a/x", "body", "404 text", "404 [X]Y")
    assert open_("a/x", "answer", "405 text", "404 [X]Y")
    assert not open_("anything", "detail", "x", '["y"]')
    assert open_("anything", "detail", "x", "[null]")
    assert [r.hits for r in rows] == [2, 1]


@pytest.mark.parametrize("row", [
    "| one | all | `a` | `answer` | `b` | `c` |",
    "| one | all | `a` | `answer` | b | `c` | because |",
    "| one | all | `a` | `answer` | `b` | `c` | |",
    "| one | all | `a` | `answer` | `b` | `c` | x |\n| one | 3 | `a` | `answer` | `b` | `c` | x |",
    "| one | | `a` | `answer` | `b` | `c` | because |",
    "| one | 3.x | `a` | `answer` | `b` | `c` | because |",
])
def test_a_broken_table_is_refused(tmp_path, row):
    with pytest.raises(ValueError):
        judge.read_table(table(tmp_path, row))


@pytest.mark.parametrize("version, want", [
    (None, "abcd"), ("2.8.2", "ab"), ("3.0.0", "acd"), ("3.1.2", "ac"), ("3.10.1", "ac"),
    ("30.0", "a"),
])
def test_a_row_is_of_some_versions(tmp_path, version, want):
    path = table(tmp_path, *(f"| {id_} | {of} | `x` | `answer` | `b` | `c` | because |"
                             for id_, of in zip("abcd", ("all", "2", "3", "3.0 4"))))
    assert "".join(r.id for r in judge.read_table(path, version)) == want


@pytest.mark.parametrize("said, want", [
    ("docker-registry github.com/docker/distribution 2.8.2+ds1", "2.8.2"),
    ("registry github.com/distribution/distribution/v3 v3.0.0+unknown", "3.0.0"),
    ("registry github.com/distribution/distribution/v3 v3.1.2", "3.1.2"),
])
def test_the_version_of_a_registry(tmp_path, said, want):
    program = tmp_path / "registry"
    program.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{said}'\n")
    program.chmod(0o755)
    assert servers.registry_version(program) == want


def test_a_registry_without_version(tmp_path):
    program = tmp_path / "registry"
    program.write_text("#!/bin/sh\necho registry of v3 kind\n")
    program.chmod(0o755)
    with pytest.raises(ValueError):
        servers.registry_version(program)


def test_a_scope_is_a_set():
    def challenge(scope, error=""):
        return answer(401, WWW_Authenticate=f'Bearer realm="r",scope="{scope}"{error}')

    left = challenge("repository:a/b:push,pull repository:c:pull")
    assert differ(left, challenge("repository:c:pull repository:a/b:pull,push")) == set()
    assert differ(left, challenge("repository:c:pull repository:a/b:pull")) != set()
    assert differ(left, challenge("repository:a/b:push,pull")) != set()
    assert differ(left, challenge("repository:c:pull repository:a/b:pull,push", ',error="x"')) != set()
