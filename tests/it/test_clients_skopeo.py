# SPDX-License-Identifier: Apache-2.0
"""skopeo: both image formats, a multi-arch index, sync, list-tags, inspect, delete."""

import json

import pytest
from clients import EXACTLY, Home, inspect_digests, require
from images import closure, debian_layout, read_layout
from registry_client import (DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Registry, digest)


@pytest.fixture(scope="module", autouse=True)
def installed():
    require("skopeo")


@pytest.fixture(scope="module")
def layout():
    return debian_layout()


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "client")


PLAIN_TO = "--dest-tls-verify=false"
PLAIN_FROM = "--src-tls-verify=false"


def ref(registry, repo, name):
    return "docker://" + registry.url[len("http://"):] + f"/{repo}:{name}"


def push(home, registry, layout, repo, name, tag, *options):
    exactly = () if "--format=v2s2" in options else (EXACTLY,)
    home.skopeo("copy", PLAIN_TO, *exactly, *options, f"oci:{layout}:{name}", ref(registry, repo, tag))


def test_oci_image(home, registry, repo, layout, tmp_path):
    descriptor, body = read_layout(layout, "debian")
    push(home, registry, layout, repo, "debian", "12")
    r = registry.manifest(repo, "12")
    assert r.content == body and r.headers["Content-Type"] == OCI_MANIFEST
    assert inspect_digests(registry, repo, "12") == closure(layout, descriptor)
    # Another machine pulls, and all that it has is what was pushed.
    other = Home(tmp_path / "other")
    other.skopeo("copy", PLAIN_FROM, ref(registry, repo, "12"), f"oci:{tmp_path}/pulled:12")
    pulled, pulled_body = read_layout(tmp_path / "pulled", "12")
    assert pulled["digest"] == descriptor["digest"] and pulled_body == body
    assert closure(tmp_path / "pulled", pulled) == closure(layout, descriptor)


def test_docker_v2s2(home, registry, repo, layout, tmp_path):
    push(home, registry, layout, repo, "debian", "s2", "--format=v2s2")
    r = registry.manifest(repo, "s2")
    assert r.headers["Content-Type"] == DOCKER_MANIFEST
    assert json.loads(r.content)["mediaType"] == DOCKER_MANIFEST
    inspect_digests(registry, repo, "s2")
    other = Home(tmp_path / "other")
    other.skopeo("copy", PLAIN_FROM, ref(registry, repo, "s2"), f"dir:{tmp_path}/pulled")
    assert (tmp_path / "pulled/manifest.json").read_bytes() == r.content


def test_multi_arch_index(home, registry, repo, layout, tmp_path):
    descriptor, body = read_layout(layout, "multi")
    push(home, registry, layout, repo, "multi", "multi", "--all")
    r = registry.manifest(repo, "multi")
    assert r.headers["Content-Type"] == OCI_INDEX
    assert r.content == body
    assert inspect_digests(registry, repo, "multi") == closure(layout, descriptor)
    other = Home(tmp_path / "other")
    other.skopeo("copy", "--all", PLAIN_FROM, ref(registry, repo, "multi"),
                 f"oci:{tmp_path}/pulled:m")
    pulled, _ = read_layout(tmp_path / "pulled", "m")
    assert closure(tmp_path / "pulled", pulled) == closure(layout, descriptor)
    # Each platform is found through the index.
    for entry in json.loads(body)["manifests"]:
        platform = entry["platform"]
        out = other.skopeo("--override-arch", platform["architecture"], "--override-os",
                           platform["os"], "inspect", "--tls-verify=false",
                           ref(registry, repo, "multi"))
        assert json.loads(out.stdout)["Architecture"] == platform["architecture"]


def test_push_by_digest(home, registry, repo, layout):
    descriptor, body = read_layout(layout, "debian")
    target = ref(registry, repo, "x").rsplit(":", 1)[0] + "@" + descriptor["digest"]
    home.skopeo("copy", PLAIN_TO, "--preserve-digests", f"oci:{layout}:debian", target)
    assert registry.manifest(repo, descriptor["digest"]).content == body
    assert registry.tags(repo).json()["tags"] == []


def test_second_push_uploads_nothing(fresh_berth, home, layout):
    server = fresh_berth()
    registry = Registry(server.url)
    push(home, registry, layout, "a/b", "debian", "1")

    def uploads():
        return server.metric_sum("registry_http_requests_total", 'handler="blob_upload', 'code="20')

    first = uploads()
    assert first > 0
    push(home, registry, layout, "a/b", "debian", "2")
    assert uploads() == first
    # Into another repository the layers are mounted; skopeo sends only the config (PATCH and PUT).
    sent = server.metric_sum("registry_http_requests_total", 'handler="blob_upload_chunk"')
    home.skopeo("copy", PLAIN_FROM, PLAIN_TO, ref(registry, "a/b", "1"), ref(registry, "c/d", "1"))
    assert server.metric_sum("registry_http_requests_total",
                             'handler="blob_upload_chunk"') <= sent + 2
    assert registry.manifest("c/d", "1").content == registry.manifest("a/b", "1").content


def test_list_tags_and_inspect(home, registry, repo, layout):
    push(home, registry, layout, repo, "debian", "one")
    for tag in ("two", "three"):
        home.skopeo("copy", PLAIN_FROM, PLAIN_TO, ref(registry, repo, "one"),
                    ref(registry, repo, tag))
    bare = ref(registry, repo, "x").rsplit(":", 1)[0]
    out = home.skopeo("list-tags", "--tls-verify=false", bare)
    assert json.loads(out.stdout)["Tags"] == ["one", "three", "two"]
    out = home.skopeo("inspect", "--tls-verify=false", ref(registry, repo, "two"))
    seen = json.loads(out.stdout)
    assert seen["Digest"] == digest(registry.manifest(repo, "two").content)
    assert seen["RepoTags"] == ["one", "three", "two"]
    out = home.skopeo("inspect", "--raw", "--tls-verify=false", ref(registry, repo, "two"))
    assert out.stdout.encode() == registry.manifest(repo, "two").content
    out = home.skopeo("inspect", "--config", "--tls-verify=false", ref(registry, repo, "two"))
    assert json.loads(out.stdout)["os"] == "linux"


def test_delete(home, registry, repo, layout):
    """skopeo deletes by digest: every tag of the image goes."""
    push(home, registry, layout, repo, "debian", "one")
    push(home, registry, layout, repo, "debian", "two")
    home.skopeo("delete", "--tls-verify=false", ref(registry, repo, "one"))
    for tag in ("one", "two"):
        assert registry.manifest(repo, tag).status_code == 404
    r = home.skopeo("delete", "--tls-verify=false", ref(registry, repo, "one"), check=False)
    assert r.returncode != 0


def test_sync(home, registry, repo, layout, tmp_path):
    """Repository to directory, and back to another place."""
    for tag in ("a", "b"):
        push(home, registry, layout, repo, "debian", tag)
    host = registry.url[len("http://"):]
    home.skopeo("sync", PLAIN_FROM, "--src=docker", "--dest=dir", f"{host}/{repo}",
                tmp_path / "out")
    dirs = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert len(dirs) == 2 and dirs[0].endswith(":a")
    home.skopeo("sync", PLAIN_TO, "--src=dir", "--dest=docker", tmp_path / "out",
                f"{host}/{repo}-copy")
    names = [n for n in registry.catalog().json()["repositories"] if n.startswith(f"{repo}-copy")]
    assert names
    for tag in ("a", "b"):
        assert registry.manifest(names[0], tag).content == registry.manifest(repo, tag).content


def test_what_is_not_there(home, registry, repo):
    for name in (repo, "never/heard"):
        r = home.skopeo("inspect", "--tls-verify=false", ref(registry, name, "x"), check=False)
        assert r.returncode != 0 and "manifest unknown" in r.stderr.lower(), r.stderr
