# SPDX-License-Identifier: Apache-2.0
"""A push of what is there already uploads nothing, seen from the server: its metrics and its access
log; and content that two repositories share is kept once."""

import os

from registry_client import Registry, digest


def uploads(server):
    """Requests so far that carried the bytes of a blob."""
    return server.metric_sum("registry_http_requests_total", 'handler="blob_upload')


def client_push(registry, repo, tag, config, layers):
    """What docker and skopeo do: ask first, send what is missing."""
    for data in (config, *layers):
        if registry.blob(repo, digest(data), "HEAD").status_code == 404:
            registry.push_blob(repo, data)
    from registry_client import image
    registry.push_manifest(repo, tag, image(config, layers))


def test_second_push_uploads_nothing(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    config, layers = os.urandom(500), [os.urandom(300_000), os.urandom(1000)]
    client_push(registry, "a/b", "1", config, layers)
    after_first = uploads(server)
    assert after_first > 0
    files = server.blob_files()
    client_push(registry, "a/b", "1", config, layers)
    client_push(registry, "a/b", "2", config, layers)
    assert uploads(server) == after_first
    assert server.blob_files() == files
    # Also after a restart.
    server.restart()
    registry = Registry(server.url)
    client_push(registry, "a/b", "3", config, layers)
    assert uploads(server) == 0


def test_one_copy_for_all_repositories(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(400_000)
    for repo in ("a", "b/c", "d/e/f"):
        registry.push_blob(repo, data)
    assert len(server.blob_files()) == 1
    for repo in ("a", "b/c", "d/e/f"):
        assert registry.blob(repo, digest(data)).content == data


def test_files_are_named_by_digest(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(100_000)
    for alg in ("sha256", "sha512"):
        registry.push_blob("a", data, alg)
    files = [str(p.relative_to(server.data)) for p in server.blob_files()]
    want = sorted(f"blobs/{a}/{digest(data, a).split(':')[1][:2]}/{digest(data, a).split(':')[1]}"
                  for a in ("sha256", "sha512"))
    assert sorted(files) == want
    for p in server.blob_files():
        assert p.stat().st_nlink == 1
        assert p.stat().st_mode & 0o077 == 0 or p.stat().st_mode & 0o022 == 0
        assert p.read_bytes() == data
