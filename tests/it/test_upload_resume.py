# SPDX-License-Identifier: Apache-2.0
"""Uploads that are broken off, repeated, resumed after a lost connection or a restart, fought over,
and cancelled (DESIGN part 5; reliability.md 3.2, A3, G12)."""

import os
import threading

import pytest
from harness import wait_for
from registry_client import Raw, Registry, closing, digest, error_of


def received(registry, location):
    r = registry.get(location)
    assert r.status_code == 204, (r.status_code, r.text)
    start, end = r.headers["Range"].split("-")
    assert start == "0"
    return int(end) + 1 if end != "0" else 0


def settled(registry, location):
    """The offset once the server has noticed that the client is gone."""
    seen = [received(registry, location)]

    def steady():
        seen.append(received(registry, location))
        return len(seen) > 8 and len(set(seen[-6:])) == 1

    wait_for(steady, what="a steady offset")
    return seen[-1]


@pytest.mark.parametrize("cut", ["close", "reset"])
@pytest.mark.parametrize("size", [40_000, 2_000_000])
def test_lost_connection(berth, registry, repo, cut, size):
    """What is there is kept, the rest is sent from the offset that the server names."""
    data = os.urandom(size)
    location = registry.start(repo)
    c = Raw(berth.url)
    c.send(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n")
    c.send(data[:size // 2])
    if cut == "reset":
        c.abort()
    else:
        c.close()
    at = settled(registry, location)
    assert at <= size // 2
    r = registry.append(location, data[at:], start=at)
    assert r.status_code == 202, r.text
    assert registry.finish(location, digest(data)).status_code == 201
    assert registry.blob(repo, digest(data)).content == data


def test_lost_connection_in_a_monolithic_put(berth, registry, repo):
    """A PUT that broke off keeps nothing: the same PUT again succeeds."""
    for size in (40_000, 2_000_000):
        data = os.urandom(size)
        location = registry.start(repo)
        with Raw(berth.url) as c:
            c.send(f"PUT {closing(location, digest(data))} HTTP/1.1\r\nHost: x\r\n"
                   f"Content-Length: {size}\r\n\r\n")
            c.send(data[:size // 2])
        r = wait_for(lambda: (lambda a: a if a.status_code != 409 else None)(
            registry.finish(location, digest(data), data)))
        assert r.status_code == 201, r.text
        assert registry.blob(repo, digest(data)).content == data


def test_lost_connection_in_a_chunked_body(berth, registry, repo):
    """Without its last chunk a body is not complete, and nothing of a PUT counts."""
    data = os.urandom(5000)
    location = registry.start(repo)
    with Raw(berth.url) as c:
        c.send(f"PUT {closing(location, digest(data))} HTTP/1.1\r\nHost: x\r\n"
               f"Transfer-Encoding: chunked\r\n\r\n1388\r\n")
        c.send(data + b"\r\n")  # no terminating chunk
    wait_for(lambda: registry.get(location).status_code == 204)
    assert registry.blob(repo, digest(data), "HEAD").status_code == 404
    r = wait_for(lambda: (lambda a: a if a.status_code != 409 else None)(
        registry.finish(location, digest(data), data)))
    assert r.status_code == 201, r.text


@pytest.mark.parametrize("hard", [True, False], ids=["kill9", "sigterm"])
@pytest.mark.parametrize("sizes", [(1000, 500), (60_000, 30_000), (200_000, 70_000),
                                   (5_000_000, 1_000_000)])
@pytest.mark.parametrize("alg", ["sha256", "sha512"])
def test_restart_in_the_middle(fresh_berth, sizes, hard, alg):
    """The session lives on with what was acknowledged, and its hash is made again."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(sizes[0] + sizes[1])
    location = registry.start("a/b", "?digest-algorithm=" + alg)
    assert registry.append(location, data[:sizes[0]], start=0).status_code == 202
    server.restart(hard=hard)
    registry = Registry(server.url)
    assert received(registry, location) == sizes[0]
    error_of(registry.append(location, data[:10], start=0), 416, "RANGE_INVALID")
    assert registry.append(location, data[sizes[0]:], start=sizes[0]).status_code == 202
    server.restart(hard=hard)
    registry = Registry(server.url)
    r = registry.finish(location, digest(data, alg))
    assert r.status_code == 201, r.text
    assert registry.blob("a/b", digest(data, alg)).content == data
    assert server.stages() == []


def test_kill_while_bytes_flow(fresh_berth):
    """kill -9 in the middle of a PATCH: what was acknowledged before it is there, the rest may be."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(8_000_000)
    location = registry.start("a")
    assert registry.append(location, data[:1_000_000], start=0).status_code == 202
    c = Raw(server.url)
    c.send(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 7000000\r\n\r\n")
    c.send(data[1_000_000:5_000_000])
    server.kill9()
    c.close()
    server.start()
    registry = Registry(server.url)
    at = received(registry, location)
    assert 1_000_000 <= at <= 5_000_000
    assert registry.append(location, data[at:], start=at).status_code == 202
    assert registry.finish(location, digest(data)).status_code == 201
    assert registry.blob("a", digest(data)).content == data


def test_replayed_patch_never_appends_twice(registry, repo):
    data = os.urandom(300_000)
    location = registry.start(repo)
    assert registry.append(location, data[:100_000], start=0).status_code == 202
    for _ in range(3):
        r = registry.append(location, data[:100_000], start=0)
        error_of(r, 416, "RANGE_INVALID")
        assert r.headers["Range"] == "0-99999"
    assert received(registry, location) == 100_000
    assert registry.append(location, data[100_000:], start=100_000).status_code == 202
    assert registry.finish(location, digest(data)).status_code == 201


def test_put_twice_gets_the_same_201(fresh_berth):
    """A lost answer costs nothing: the tombstone answers, also after a restart."""
    server = fresh_berth()
    registry = Registry(server.url)
    for size in (500, 300_000):
        data = os.urandom(size)
        location = registry.start("a")
        first = registry.finish(location, digest(data), data)
        for hard in (None, False, True):
            if hard is not None:
                server.restart(hard=hard)
                registry = Registry(server.url)
            again = registry.finish(location, digest(data), data)
            assert again.status_code == first.status_code == 201
            for name in ("Location", "Docker-Content-Digest"):
                assert again.headers[name] == first.headers[name]
        # With another digest it is no repetition.
        r = registry.finish(location, digest(b"other"), b"other")
        assert r.status_code in (400, 404)
        error_of(registry.append(location, b"x"), 404, "BLOB_UPLOAD_UNKNOWN")
        error_of(registry.get(location), 404, "BLOB_UPLOAD_UNKNOWN")


def test_put_after_a_failed_put(registry, repo):
    """A wrong digest ends the session."""
    location = registry.start(repo)
    assert registry.append(location, b"abc").status_code == 202
    error_of(registry.finish(location, digest(b"abd")), 400, "DIGEST_INVALID")
    r = registry.finish(location, digest(b"abc"))
    assert r.status_code in (201, 404)


def test_one_writer_at_a_time(berth, registry, repo):
    """A second writer is refused while the first is at it, and nothing is mixed."""
    data = os.urandom(1_000_000)
    location = registry.start(repo)
    with Raw(berth.url) as c:
        c.send(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n")
        c.send(data[:500_000])
        # It has the session as soon as its bytes are on the disk.
        wait_for(lambda: location.split("/")[-1].split("?")[0] in berth.stages())
        r = registry.append(location, b"intruder")
        assert r.status_code in (409, 416), r.status_code
        assert r.json()["errors"][0]["detail"]
        c.send(data[500_000:])
        assert c.response("PATCH")[0] == 202
    assert registry.finish(location, digest(data)).status_code == 201
    assert registry.blob(repo, digest(data)).content == data


def test_two_writers_race(registry, repo):
    """Whoever wins, the bytes are one writer's, in order."""
    for _ in range(10):
        location = registry.start(repo)
        parts = [bytes([65 + k]) * 100_000 for k in range(4)]
        results = {}

        def write(k, location=location, parts=parts, results=results):
            results[k] = registry.append(location, parts[k], start=0).status_code

        threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        winners = [k for k, status in results.items() if status == 202]
        assert len(winners) == 1, results
        assert all(s in (202, 409, 416) for s in results.values()), results
        assert registry.finish(location, digest(parts[winners[0]])).status_code == 201


@pytest.mark.parametrize("size", [100, 70_000])
def test_the_next_request_may_come_at_once_on_another_connection(berth, registry, repo, size):
    """Whoever has the answer has the session: no 409 because the last request is still being put
    away (skopeo's connections are a pool)."""
    data = os.urandom(size)
    with Raw(berth.url) as first, Raw(berth.url) as second:
        for _ in range(150):
            location = registry.start(repo)
            first.request("PATCH", location, {"Content-Length": size}, data)
            status, headers, _ = first.response("PATCH")
            assert status == 202
            second.request("GET", headers["Location"])
            assert second.response("GET")[0] == 204
            first.request("PUT", closing(headers["Location"], digest(data)),
                          {"Content-Length": 0})
            assert first.response("PUT")[0] == 201


@pytest.mark.parametrize("size", [1000, 500_000])
def test_one_blob_pushed_by_many_at_once(berth, registry, repo, size):
    """All succeed and one copy is kept."""
    data = os.urandom(size)
    before = len(berth.blob_files())
    barrier = threading.Barrier(8)
    statuses = []

    def push(k):
        location = registry.start(f"{repo}-{k % 3}")
        if k % 2:
            assert registry.append(location, data).status_code == 202
        barrier.wait()
        r = registry.finish(location, digest(data), b"" if k % 2 else data)
        statuses.append(r.status_code)

    threads = [threading.Thread(target=push, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses == [201] * 8
    for k in range(3):
        assert registry.blob(f"{repo}-{k}", digest(data)).content == data
    assert len(berth.blob_files()) - before == (1 if size > 65536 else 0)


@pytest.mark.parametrize("size", [0, 1000, 500_000])
def test_cancel(berth, registry, repo, size):
    location = registry.start(repo)
    if size:
        assert registry.append(location, os.urandom(size)).status_code == 202
    assert registry.delete(location).status_code == 204
    for r in (registry.get(location), registry.append(location, b"x"), registry.delete(location),
              registry.finish(location, digest(b"x"), b"x")):
        error_of(r, 404, "BLOB_UPLOAD_UNKNOWN")
    assert not any(s in location for s in berth.stages())


def test_cancel_as_regctl_does(registry, repo):
    """By Docker-Upload-UUID, without the location's query."""
    r = registry.post(f"/v2/{repo}/blobs/uploads/")
    uuid = r.headers["Docker-Upload-UUID"]
    assert registry.delete(f"/v2/{repo}/blobs/uploads/{uuid}").status_code == 204


def test_a_session_belongs_to_its_repository(registry, repo):
    """Replayed in another repository it is unknown, and untouched (A3)."""
    data = os.urandom(100_000)
    location = registry.start(repo)
    assert registry.append(location, data[:50_000]).status_code == 202
    uuid = location.split("/blobs/uploads/")[1]
    for other in (repo + "-x", repo.split("/")[0], repo + "/deeper"):
        there = f"/v2/{other}/blobs/uploads/{uuid}"
        for r in (registry.get(there), registry.append(there, b"x"), registry.delete(there),
                  registry.finish(there, digest(data), data)):
            error_of(r, 404, "BLOB_UPLOAD_UNKNOWN")
    assert received(registry, location) == 50_000
    assert registry.append(location, data[50_000:], start=50_000).status_code == 202
    assert registry.finish(location, digest(data)).status_code == 201


def test_nothing_is_left_of_finished_uploads(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    for size in (10, 100_000, 1_000_000):
        data = os.urandom(size)
        registry.push_blob("a", data)
        location = registry.start("a")
        registry.append(location, data)
        registry.delete(location)
        error_of(registry.finish(registry.start("a"), digest(b"no"), data), 400, "DIGEST_INVALID")
    wait_for(lambda: server.stages() == [], what="an empty uploads directory")
    assert len(server.blob_files()) == 2
