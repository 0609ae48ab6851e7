# SPDX-License-Identifier: Apache-2.0
"""podman and buildah: push, pull by a machine-clean second client, run, build on top, manifest
lists, search."""

import json
import os

import pytest
from clients import EXACTLY, Home, inspect_digests, require, run_or_skip, unmount_below
from images import closure, debian_layout, read_layout
from registry_client import OCI_INDEX, OCI_MANIFEST, digest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="podman with storage of its own needs root")


@pytest.fixture(scope="module", autouse=True)
def installed():
    require("podman", "buildah")


@pytest.fixture(scope="module")
def layout():
    return debian_layout()


@pytest.fixture
def homes(tmp_path):
    made = []

    def make(name):
        made.append(Home(tmp_path / name))
        return made[-1]

    yield make
    for home in made:
        home.podman("rm", "-af", check=False)
        home.podman("umount", "-af", check=False)
        unmount_below(home.path)
        unmount_below(home.short.name)


def name_of(registry, repo, tag):
    return registry.url[len("http://"):] + f"/{repo}:{tag}"


def test_push_and_pull(homes, registry, repo, layout):
    descriptor, body = read_layout(layout, "debian")
    first = homes("first")
    target = name_of(registry, repo, "12")
    first.skopeo("copy", f"oci:{layout}:debian", first.storage_reference(target))
    first.podman("push", "--tls-verify=false", "--format=oci", target)
    r = registry.manifest(repo, "12")
    assert r.headers["Content-Type"] == OCI_MANIFEST
    pushed = inspect_digests(registry, repo, "12")
    config = json.loads(r.content)["config"]["digest"]
    assert config == json.loads(body)["config"]["digest"]
    # A clean second machine.
    second = homes("second")
    assert second.podman("images", "-q").stdout == ""
    second.podman("pull", "--tls-verify=false", target)
    seen = json.loads(second.podman("inspect", target).stdout)[0]
    assert seen["Digest"] == r.headers["Docker-Content-Digest"]
    assert seen["Id"] == config.split(":")[1]
    assert pushed & closure(layout, descriptor)
    run_or_skip(second.podman("run", "--rm", "--network=host", "--ulimit=nofile=1024:1024",
                              "--ulimit=nproc=1024:1024", target,
                              "/bin/sh", "-c", "cat /etc/berth-test && echo shell works",
                              check=False), "shell works")


def test_pull_of_the_platform_from_an_index(homes, registry, repo, layout):
    home = homes("first")
    home.skopeo("copy", "--all", EXACTLY, "--dest-tls-verify=false", f"oci:{layout}:multi",
                "docker://" + name_of(registry, repo, "m"))
    _, body = read_layout(layout, "multi")
    for entry in json.loads(body)["manifests"]:
        arch = entry["platform"]["architecture"]
        client = homes(f"client-{arch}")
        client.podman("pull", "--tls-verify=false", f"--arch={arch}", name_of(registry, repo, "m"))
        seen = json.loads(client.podman("inspect", name_of(registry, repo, "m")).stdout)[0]
        assert seen["Architecture"] == arch
        r = registry.manifest(repo, entry["digest"])
        assert r.status_code == 200 and digest(r.content) == entry["digest"], r.text[:500]
        manifest = json.loads(r.content)
        assert seen["Id"] == manifest["config"]["digest"].split(":")[1]


def test_podman_search_and_manifest_list(homes, registry, repo, layout):
    home = homes("first")
    for tag in ("x", "y"):
        home.skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:debian",
                    "docker://" + name_of(registry, repo, tag))
    out = home.podman("search", "--tls-verify=false", "--list-tags",
                      name_of(registry, repo, "x").rsplit(":", 1)[0]).stdout
    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["x", "y"]
    home.podman("manifest", "create", "list")
    home.podman("manifest", "add", "--tls-verify=false", "list",
                "docker://" + name_of(registry, repo, "x"))
    home.podman("manifest", "push", "--tls-verify=false", "--format=oci", "--all", "list",
                "docker://" + name_of(registry, repo, "list"))
    r = registry.manifest(repo, "list")
    assert r.headers["Content-Type"] == OCI_INDEX
    inspect_digests(registry, repo, "list")


def test_buildah_builds_on_top(homes, registry, repo, layout, tmp_path):
    """From the registry, one more layer, back to the registry; only the new layer travels."""
    home = homes("builder")
    home.skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:debian",
                "docker://" + name_of(registry, repo, "base"))
    base = json.loads(registry.manifest(repo, "base").content)
    container = home.buildah("from", "--tls-verify=false",
                             name_of(registry, repo, "base")).stdout.split()[-1]
    added = tmp_path / "hello"
    added.write_text("hello from a layer\n")
    home.buildah("copy", container, added, "/hello")
    home.buildah("config", "--label", "org.example=1", container)
    home.buildah("commit", "--rm", container, "built")
    home.buildah("push", "--tls-verify=false", "built",
                 "docker://" + name_of(registry, repo, "built"))
    built = json.loads(registry.manifest(repo, "built").content)
    assert len(built["layers"]) == len(base["layers"]) + 1
    inspect_digests(registry, repo, "built")
    other = homes("other")
    other.buildah("pull", "--tls-verify=false", name_of(registry, repo, "built"))
    assert other.buildah("images", "-q").stdout.strip()
    home.buildah("push", "--tls-verify=false", "--format=v2s2", "built",
                 "docker://" + name_of(registry, repo, "s2"))
    inspect_digests(registry, repo, "s2")
