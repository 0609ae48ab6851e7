# SPDX-License-Identifier: Apache-2.0
"""Deletes (oci.md 1.9, 2.4.13): each is seen by the very next request."""

import pytest
from registry_client import DOCKER_LIST, OCI_INDEX, Registry, digest, error_of, image, index


def test_tag(registry, repo):
    body = registry.push_image(repo, "a")
    registry.push_manifest(repo, "b", body)
    assert registry.manifest(repo, "a").status_code == 200
    assert registry.manifest(repo, "a", "DELETE").status_code == 202
    error_of(registry.manifest(repo, "a"), 404, "MANIFEST_UNKNOWN")
    assert registry.manifest(repo, "a", "HEAD").status_code == 404
    assert registry.tags(repo).json()["tags"] == ["b"]
    # The manifest stays.
    assert registry.manifest(repo, digest(body)).content == body
    error_of(registry.manifest(repo, "a", "DELETE"), 404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("alg", ["sha256", "sha512"])
def test_manifest_takes_its_tags(registry, repo, alg):
    body = registry.push_image(repo, None, alg=alg)
    dgst = digest(body, alg)
    r = registry.put_manifest(repo, dgst, body, query="?tag=a&tag=b")
    assert r.status_code == 201
    other = registry.push_image(repo, "c", b'{"other":1}')
    for ref in ("a", "b", dgst):  # also what a cache may hold
        assert registry.manifest(repo, ref).status_code == 200
    assert registry.manifest(repo, dgst, "DELETE").status_code == 202
    for ref in ("a", "b", dgst):
        error_of(registry.manifest(repo, ref), 404, "MANIFEST_UNKNOWN")
        assert registry.manifest(repo, ref, "HEAD").status_code == 404
    assert registry.tags(repo).json()["tags"] == ["c"]
    assert registry.manifest(repo, "c").content == other
    error_of(registry.manifest(repo, dgst, "DELETE"), 404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("size", [100, 200_000])
def test_blob(registry, repo, size):
    data = bytes(size)
    other = repo + "-other"
    for repository in (repo, other):
        registry.push_blob(repository, data)
    r = registry.blob(repo, digest(data), "DELETE")
    assert r.status_code == 202
    error_of(registry.blob(repo, digest(data)), 404, "BLOB_UNKNOWN")
    assert registry.blob(repo, digest(data), "HEAD").status_code == 404
    error_of(registry.blob(repo, digest(data), "DELETE"), 404, "BLOB_UNKNOWN")
    # Another repository's is another's; and it can come back.
    assert registry.blob(other, digest(data)).content == data
    registry.push_blob(repo, data)
    assert registry.blob(repo, digest(data)).content == data


def test_missing(registry, repo):
    for r in (registry.blob("no/such/repo", digest(b"x"), "DELETE"),
              registry.manifest("no/such/repo", "t", "DELETE"),
              registry.manifest("no/such/repo", digest(b"x"), "DELETE")):
        assert r.status_code == 404
        error_of(r, 404, r.json()["errors"][0]["code"])
    registry.push_image(repo, "t")
    error_of(registry.blob(repo, digest(b"absent"), "DELETE"), 404, "BLOB_UNKNOWN")
    error_of(registry.manifest(repo, "sha256:zz", "DELETE"), 400, "DIGEST_INVALID")


def test_order_of_the_suite(registry, repo):
    """Tags, then parents before children, then blobs: each is 202, and gone at once."""
    children = [registry.push_image(repo, None, b'{"n":%d}' % k) for k in range(2)]
    parent = index(children)
    registry.push_manifest(repo, "t", parent, OCI_INDEX)
    for ref in ("t", digest(parent), digest(children[0]), digest(children[1])):
        assert registry.manifest(repo, ref, "DELETE").status_code == 202
        assert registry.manifest(repo, ref, "HEAD").status_code == 404
    for data in (b'{"n":0}', b'{"n":1}', b"layer"):
        assert registry.blob(repo, digest(data), "DELETE").status_code == 202
        assert registry.blob(repo, digest(data), "HEAD").status_code == 404


def test_a_deleted_manifest_can_be_pushed_again(registry, repo):
    body = registry.push_image(repo, "t")
    for _ in range(3):
        assert registry.manifest(repo, digest(body), "DELETE").status_code == 202
        registry.push_manifest(repo, "t", body)
        assert registry.manifest(repo, "t").content == body


def test_deletes_survive_a_restart(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    kept = registry.push_image("a", "kept", layers=[bytes(100_000)])
    gone = registry.push_image("a", "gone", b'{"x":1}', layers=[bytes(100_001)])
    registry.manifest("a", "gone", "DELETE")
    registry.manifest("a", digest(gone), "DELETE")
    registry.blob("a", digest(bytes(100_001)), "DELETE")
    server.restart(hard=True)
    registry = Registry(server.url)
    assert registry.tags("a").json()["tags"] == ["kept"]
    assert registry.manifest("a", "kept").content == kept
    assert registry.manifest("a", digest(gone)).status_code == 404
    assert registry.blob("a", digest(bytes(100_001)), "HEAD").status_code == 404
    assert registry.blob("a", digest(bytes(100_000))).content == bytes(100_000)


def test_deleting_does_not_break_who_still_refers(registry, repo):
    """A blob that a manifest lists, an image that an index lists: their own deletion is obeyed, and
    the one that refers is served unchanged."""
    child = registry.push_image(repo, None)
    parent = index([child], DOCKER_LIST)
    registry.push_manifest(repo, "t", parent, DOCKER_LIST)
    assert registry.manifest(repo, digest(child), "DELETE").status_code in (202, 400, 405)
    assert registry.manifest(repo, "t").content == parent
    again = image(b"{}", [b"layer"])
    registry.push_manifest(repo, digest(again), again)
