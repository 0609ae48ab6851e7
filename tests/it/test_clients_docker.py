# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine of Debian, started by hand: push and pull of a real image, by tag and by
digest, a multi-arch index, a second push that uploads nothing, and a run of what was pulled."""

import json
import os

import pytest
from clients import EXACTLY, Docker, Home, inspect_digests, require, run_or_skip
from images import debian_layout, host_arch, read_layout
from registry_client import DOCKER_MANIFEST, Registry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the Docker Engine needs root")


@pytest.fixture(scope="module")
def layout():
    return debian_layout()


def engine(tmp_path_factory, name):
    require("docker", "dockerd", "containerd", "skopeo")
    d = Docker(tmp_path_factory.mktemp(name))
    try:
        return d.start()
    except BaseException:
        d.stop()
        raise


@pytest.fixture(scope="module")
def first(tmp_path_factory, layout):
    """An engine that has the image."""
    d = engine(tmp_path_factory, "docker1")
    home = Home(d.path / "skopeo")
    archive = d.path / "image.tar"
    home.skopeo("copy", f"oci:{layout}:debian", f"docker-archive:{archive}:berth-test/debian:12")
    d.run("load", "-i", archive)
    archive.unlink()
    yield d
    d.stop()


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A machine-clean engine."""
    d = engine(tmp_path_factory, "docker2")
    yield d
    d.stop()


def name_of(registry, repo, tag):
    return registry.url[len("http://"):] + f"/{repo}:{tag}"


def test_push_and_pull(berth, first, second, registry, repo):
    target = name_of(registry, repo, "12")
    first.run("tag", "berth-test/debian:12", target)
    out = first.run("push", target).stdout
    r = registry.manifest(repo, "12")
    assert r.headers["Content-Type"] == DOCKER_MANIFEST
    dgst = r.headers["Docker-Content-Digest"]
    assert dgst in out
    inspect_digests(registry, repo, "12")
    out = second.run("pull", target).stdout
    assert dgst in out
    ids = [json.loads(d.run("image", "inspect", target).stdout)[0] for d in (first, second)]
    assert ids[0]["Id"] == ids[1]["Id"] == json.loads(r.content)["config"]["digest"]
    assert ids[0]["RootFS"] == ids[1]["RootFS"]
    assert any(d.endswith(dgst) for d in ids[1]["RepoDigests"])
    # By digest as well.
    by_digest = target.rsplit(":", 1)[0] + "@" + dgst
    second.run("pull", by_digest)


def test_run_what_was_pulled(second, first, registry, repo):
    target = name_of(registry, repo, "run")
    first.run("tag", "berth-test/debian:12", target)
    first.run("push", target)
    second.run("pull", target)
    r = second.run("run", "--rm", "--network=none", target, "/bin/sh", "-c",
                   "cat /etc/berth-test && echo shell works", check=False)
    run_or_skip(r, "shell works")


def test_second_push_uploads_nothing(fresh_berth, first):
    server = fresh_berth()
    registry = Registry(server.url)
    for tag in ("1", "2"):
        target = name_of(registry, "a/b", tag)
        first.run("tag", "berth-test/debian:12", target)
        first.run("push", target)
        count = server.metric_sum("registry_http_requests_total", 'handler="blob_upload')
        if tag == "1":
            before = count
            assert before > 0
    assert count == before
    # Another repository on the same registry: mounted, nothing is sent.
    chunks = server.metric_sum("registry_http_requests_total", 'handler="blob_upload_chunk"')
    target = name_of(registry, "c/d", "1")
    first.run("tag", "berth-test/debian:12", target)
    out = first.run("push", target).stdout
    assert "Mounted from a/b" in out
    layers = len(json.loads(registry.manifest("c/d", "1").content)["layers"])
    after = server.metric_sum("registry_http_requests_total", 'handler="blob_upload_chunk"')
    assert after - chunks < 2 * layers


def test_pull_of_an_index(second, registry, repo, layout, tmp_path):
    home = Home(tmp_path / "skopeo")
    home.skopeo("copy", "--all", EXACTLY, "--dest-tls-verify=false", f"oci:{layout}:multi",
                "docker://" + name_of(registry, repo, "m"))
    target = name_of(registry, repo, "m")
    second.run("pull", target)
    seen = json.loads(second.run("image", "inspect", target).stdout)[0]
    assert seen["Architecture"] == host_arch()
    descriptor, _ = read_layout(layout, "multi")
    assert any(d.endswith(descriptor["digest"]) for d in seen["RepoDigests"])


def test_what_is_not_there(second, registry, repo):
    r = second.run("pull", name_of(registry, repo, "nope"), check=False)
    assert r.returncode != 0
    assert "manifest unknown" in r.stderr or "not found" in r.stderr, r.stderr
