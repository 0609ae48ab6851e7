# SPDX-License-Identifier: Apache-2.0
"""Mounts (oci.md 1.5, 2.4.8, 7.1): as each client spells them, with and without `from`."""

import os
from urllib.parse import quote

import pytest
from registry_client import UUID, digest, error_of


@pytest.fixture(params=["sha256", "sha512"])
def alg(request):
    return request.param


def mounted(registry, repo, r, data, alg):
    dgst = digest(data, alg)
    assert r.status_code == 201, (r.status_code, r.text)
    assert r.headers["Location"].endswith(f"/v2/{repo}/blobs/{dgst}")
    assert r.headers["Docker-Content-Digest"] == dgst
    assert registry.get(r.headers["Location"]).content == data
    head = registry.blob(repo, dgst, "HEAD")
    assert head.headers["Content-Length"] == str(len(data))


@pytest.mark.parametrize("size", [100, 200_000])
@pytest.mark.parametrize("spelling", ["docker", "containerd", "crane"])
def test_mount(registry, repo, alg, size, spelling):
    data = os.urandom(size)
    source = repo + "/source"
    dgst = registry.push_blob(source, data, alg)
    query = {
        "docker": f"?from={quote(source, safe='')}&mount={quote(dgst, safe='')}",
        "containerd": f"?mount={dgst}&from={source}",
        "crane": f"?mount={quote(dgst, safe='')}&from={quote(source, safe='')}&origin=example.com",
    }[spelling]
    mounted(registry, repo, registry.post(f"/v2/{repo}/blobs/uploads/{query}"), data, alg)


def test_mount_of_what_is_absent(registry, repo, alg):
    """A normal session instead, which works."""
    source = repo + "/source"
    registry.push_blob(source, b"another", alg)
    data = os.urandom(1000)
    for origin in (source, "never/heard/of", repo):
        r = registry.post(f"/v2/{repo}/blobs/uploads/?mount={digest(data, alg)}&from={origin}")
        assert r.status_code == 202
        assert UUID.search(r.headers["Location"])
        assert r.headers["Docker-Upload-UUID"]
    r = registry.finish(r.headers["Location"], digest(data, alg), data)
    assert r.status_code == 201


def test_anonymous_mount(registry, repo, alg):
    data = os.urandom(70_000)
    registry.push_blob(repo + "/source", data, alg)
    mounted(registry, repo, registry.post(f"/v2/{repo}/blobs/uploads/?mount={digest(data, alg)}"),
            data, alg)
    r = registry.post(f"/v2/{repo}/blobs/uploads/?mount={digest(b'nowhere', alg)}")
    assert r.status_code == 202 and UUID.search(r.headers["Location"])


def test_mount_from_itself(registry, repo):
    data = os.urandom(1000)
    dgst = registry.push_blob(repo, data)
    r = registry.post(f"/v2/{repo}/blobs/uploads/?mount={dgst}&from={repo}")
    mounted(registry, repo, r, data, "sha256")


def test_a_deleted_blob_is_not_mounted(registry, repo):
    source = repo + "/source"
    dgst = registry.push_blob(source, b"gone" * 50)
    assert registry.blob(source, dgst, "DELETE").status_code == 202
    r = registry.post(f"/v2/{repo}/blobs/uploads/?mount={dgst}&from={source}")
    assert r.status_code == 202


@pytest.mark.parametrize("bad", ["sha256:x", "latest", "", "sha256:" + "Z" * 64])
def test_bad_digest(registry, repo, bad):
    r = registry.post(f"/v2/{repo}/blobs/uploads/?mount={bad}&from=a/b")
    assert r.status_code in (202, 400)  # a session, as distribution does, or an error
    if r.status_code == 400:
        error_of(r, 400, "DIGEST_INVALID")


def test_bad_source_name(registry, repo):
    """Outside the grammar: nothing is there, so a session, or an error; never a 5xx."""
    for bad in ("..%2F..", "UPPER", "%00", "a//b"):
        r = registry.post(f"/v2/{repo}/blobs/uploads/?mount={digest(b'x')}&from={bad}")
        assert r.status_code in (202, 400)


def test_both_are_content_for_manifests(registry, repo):
    """What was mounted can be referred to."""
    source = repo + "/source"
    registry.push_image(source, "t")
    for data in (b"{}", b"layer"):
        r = registry.post(f"/v2/{repo}/blobs/uploads/?mount={digest(data)}&from={source}")
        assert r.status_code == 201
    body = registry.manifest(source, "t").content
    assert registry.put_manifest(repo, "t", body).status_code == 201
