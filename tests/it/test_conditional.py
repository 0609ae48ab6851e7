# SPDX-License-Identifier: Apache-2.0
"""Entity tags, 304, If-Range and conditional pushes (oci.md 8)."""

import os
import threading

import pytest
from registry_client import digest, error_of, image


@pytest.fixture
def pushed(registry, repo):
    body = registry.push_image(repo, "t")
    return body, digest(body)


def forms(dgst):
    return [f'"{dgst}"', dgst, f'W/"{dgst}"', "*", f'"x", "{dgst}"', f'"{dgst}","y"']


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match_on_manifests(registry, repo, pushed, method):
    body, dgst = pushed
    for ref in ("t", dgst):
        for value in forms(dgst):
            for _ in range(2):  # the second time from a cache
                r = registry.manifest(repo, ref, method, headers={"If-None-Match": value})
                assert r.status_code == 304, (ref, value)
                assert r.content == b""
                assert r.headers["ETag"] == f'"{dgst}"'
                assert r.headers["Docker-Content-Digest"] == dgst
                assert "Content-Length" not in r.headers or r.headers["Content-Length"] == "0" \
                    or int(r.headers["Content-Length"]) == len(body)
        for value in ('"sha256:other"', "other", '""'):
            r = registry.manifest(repo, ref, method, headers={"If-None-Match": value})
            assert r.status_code == 200


@pytest.mark.parametrize("size", [100, 200_000])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match_on_blobs(registry, repo, size, method):
    data = os.urandom(size)
    dgst = registry.push_blob(repo, data)
    for value in forms(dgst):
        r = registry.blob(repo, dgst, method, headers={"If-None-Match": value})
        assert r.status_code == 304 and r.content == b""
        assert r.headers["ETag"] == f'"{dgst}"'
    r = registry.blob(repo, dgst, method, headers={"If-None-Match": '"x"'})
    assert r.status_code == 200


def test_if_none_match_is_no_existence_oracle(registry, repo):
    r = registry.blob(repo, digest(b"absent"), headers={"If-None-Match": "*"})
    assert r.status_code == 404


def test_if_match_on_reads(registry, repo, pushed):
    body, dgst = pushed
    for value in (f'"{dgst}"', "*", f'"x", "{dgst}"'):
        assert registry.manifest(repo, "t", headers={"If-Match": value}).content == body
    error_of(registry.manifest(repo, "t", headers={"If-Match": '"x"'}), 412, "PRECONDITION_FAILED")
    error_of(registry.blob(repo, digest(b"layer"), headers={"If-Match": '"x"'}), 412,
             "PRECONDITION_FAILED")


@pytest.mark.parametrize("size", [1000, 200_000])
def test_if_range(registry, repo, size):
    data = os.urandom(size)
    dgst = registry.push_blob(repo, data)
    r = registry.blob(repo, dgst, headers={"Range": "bytes=10-19", "If-Range": f'"{dgst}"'})
    assert r.status_code == 206 and r.content == data[10:20]
    for other in ('"sha256:x"', f'W/"{dgst}"', "Sat, 01 Jan 2022 00:00:00 GMT"):
        r = registry.blob(repo, dgst, headers={"Range": "bytes=10-19", "If-Range": other})
        assert r.status_code == 200 and r.content == data


def test_cache_control(registry, repo, pushed):
    _, dgst = pushed
    assert "immutable" in registry.manifest(repo, dgst).headers["Cache-Control"]
    assert registry.manifest(repo, "t").headers["Cache-Control"] == "no-cache"
    assert "immutable" in registry.blob(repo, digest(b"layer")).headers["Cache-Control"]


def test_a_tag_is_never_stale(registry, repo):
    """Each read after a push sees it, whichever loop answers."""
    for k in range(30):
        body = registry.push_image(repo, "t", b'{"k":%d}' % k)
        for _ in range(4):
            assert registry.manifest(repo, "t").content == body


def test_create_only(registry, repo):
    registry.push_blob(repo, b"{}")
    bodies = [image(b"{}", [], annotations={"n": str(k)}) for k in range(2)]
    r = registry.put_manifest(repo, "t", bodies[0], headers={"If-None-Match": "*"})
    assert r.status_code == 201
    r = registry.put_manifest(repo, "t", bodies[1], headers={"If-None-Match": "*"})
    error_of(r, 412, "PRECONDITION_FAILED")
    assert registry.manifest(repo, "t").content == bodies[0]


def test_compare_and_swap(registry, repo):
    registry.push_blob(repo, b"{}")
    bodies = [image(b"{}", [], annotations={"n": str(k)}) for k in range(3)]
    registry.push_manifest(repo, "t", bodies[0])
    r = registry.put_manifest(repo, "t", bodies[1],
                              headers={"If-Match": f'"{digest(bodies[0])}"'})
    assert r.status_code == 201
    r = registry.put_manifest(repo, "t", bodies[2],
                              headers={"If-Match": f'"{digest(bodies[0])}"'})
    error_of(r, 412, "PRECONDITION_FAILED")
    assert registry.manifest(repo, "t").content == bodies[1]
    r = registry.put_manifest(repo, "nope", bodies[2],
                              headers={"If-Match": f'"{digest(bodies[0])}"'})
    error_of(r, 412, "PRECONDITION_FAILED")
    r = registry.put_manifest(repo, "nope", bodies[2], headers={"If-Match": "*"})
    error_of(r, 412, "PRECONDITION_FAILED")
    assert registry.put_manifest(repo, "t", bodies[2], headers={"If-Match": "*"}).status_code == 201


def test_exactly_one_of_many_swaps_wins(registry, repo):
    registry.push_blob(repo, b"{}")
    start = image(b"{}", [])
    registry.push_manifest(repo, "t", start)
    bodies = [image(b"{}", [], annotations={"n": str(k)}) for k in range(8)]
    statuses = []

    def swap(body):
        r = registry.put_manifest(repo, "t", body, headers={"If-Match": f'"{digest(start)}"'})
        statuses.append(r.status_code)

    threads = [threading.Thread(target=swap, args=(b,)) for b in bodies]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(statuses) == [201] + [412] * 7
