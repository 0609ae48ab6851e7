# SPDX-License-Identifier: Apache-2.0
"""Clients that Debian does not have, and registry 3, built by script/test-interop (which runs this
file; its name keeps it out of the ordinary run)."""

import json
import os
import subprocess

import pytest
from harness import binary
from images import TOP, debian_layout, read_layout
from registry_client import digest


@pytest.fixture
def run(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(tmp_path),
           "COSIGN_PASSWORD": "", "COSIGN_YES": "true", "DOCKER_CONFIG": str(home)}

    def call(name, *args, cwd=tmp_path, check=True):
        path = os.path.join(os.environ.get("BERTH_INTEROP", "/nowhere"), name)
        if not os.access(path, os.X_OK):
            pytest.skip(f"{name} was not built")
        r = subprocess.run([path, *map(str, args)], env=env, cwd=cwd, capture_output=True,
                           text=True, timeout=300, check=False)
        if check:
            assert r.returncode == 0, f"{name} {args}\n{r.stdout}\n{r.stderr}"
        return r

    return call


@pytest.fixture
def host(registry):
    return registry.url[len("http://"):]


def test_crane(run, registry, repo, host, tmp_path):
    layout = debian_layout()
    descriptor, body = read_layout(layout, "multi")
    (tmp_path / "one").mkdir()
    run("crane", "push", "--index", layout, f"{host}/{repo}:all")
    run("crane", "copy", f"{host}/{repo}:all", f"{host}/{repo}-copy:x")
    pushed = registry.manifest(repo, "all")
    assert registry.manifest(f"{repo}-copy", "x").content == pushed.content
    assert run("crane", "digest", f"{host}/{repo}:all").stdout.strip() == digest(pushed.content)
    run("crane", "tag", f"{host}/{repo}:all", "again")
    assert run("crane", "ls", f"{host}/{repo}").stdout.split() == ["again", "all"]
    assert repo in run("crane", "catalog", host).stdout.split()
    run("crane", "pull", "--format=oci", f"{host}/{repo}:all", tmp_path / "pulled")
    run("crane", "delete", f"{host}/{repo}@{digest(pushed.content)}")
    assert registry.manifest(repo, "all").status_code == 404
    assert descriptor and body


def test_oras(run, registry, repo, host, tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    run("oras", "push", "--plain-http", f"{host}/{repo}:v1", "a.txt:text/plain")
    body = registry.manifest(repo, "v1").content
    (tmp_path / "sbom.json").write_text("{}")
    run("oras", "attach", "--plain-http", "--artifact-type", "application/spdx+json",
        f"{host}/{repo}:v1", "sbom.json:application/json")
    out = run("oras", "discover", "--plain-http", "--format", "json", f"{host}/{repo}:v1").stdout
    assert "application/spdx+json" in out
    # The referrers API is there, so nobody writes a fallback tag.
    assert registry.tags(repo).json()["tags"] == ["v1"]
    assert len(registry.referrers(repo, digest(body)).json()["manifests"]) == 1
    (tmp_path / "out").mkdir()
    run("oras", "pull", "--plain-http", "-o", tmp_path / "out", f"{host}/{repo}:v1")
    assert (tmp_path / "out/a.txt").read_text() == "hello"
    run("oras", "cp", "-r", "--from-plain-http", "--to-plain-http", f"{host}/{repo}:v1",
        f"{host}/{repo}-copy:v1")
    assert len(registry.referrers(f"{repo}-copy", digest(body)).json()["manifests"]) == 1
    assert "v1" in run("oras", "repo", "tags", "--plain-http", f"{host}/{repo}").stdout.split()
    run("oras", "manifest", "delete", "--plain-http", "-f", f"{host}/{repo}:v1")


def test_regctl(run, registry, repo, host):
    run("regctl", "registry", "set", "--tls", "disabled", host)
    layout = debian_layout()
    run("regctl", "image", "copy", f"ocidir://{layout}:multi", f"{host}/{repo}:m")
    _, body = read_layout(layout, "multi")
    assert registry.manifest(repo, "m").content == body
    assert run("regctl", "tag", "ls", f"{host}/{repo}").stdout.split() == ["m"]
    assert repo in run("regctl", "repo", "ls", host).stdout.split()
    run("regctl", "tag", "delete", f"{host}/{repo}:m")
    assert registry.manifest(repo, "m").status_code == 404


def test_helm(run, registry, repo, host, tmp_path):
    run("helm", "create", "thing")
    run("helm", "package", "thing")
    run("helm", "push", "--plain-http", "thing-0.1.0.tgz", f"oci://{host}/{repo}")
    manifest = json.loads(registry.manifest(f"{repo}/thing", "0.1.0").content)
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
    (tmp_path / "out").mkdir()
    run("helm", "pull", "--plain-http", f"oci://{host}/{repo}/thing", "--version", "0.1.0",
        cwd=tmp_path / "out")
    assert (tmp_path / "out/thing-0.1.0.tgz").read_bytes() == \
        (tmp_path / "thing-0.1.0.tgz").read_bytes()


def test_cosign(run, registry, repo, host):
    body = registry.push_image(repo, "v1")
    ref = f"{host}/{repo}@{digest(body)}"
    run("cosign", "generate-key-pair")
    run("cosign", "sign", "--tlog-upload=false", "--allow-http-registry", "--key", "cosign.key",
        ref)
    run("cosign", "verify", "--insecure-ignore-tlog", "--allow-http-registry", "--key",
        "cosign.pub", ref)


@pytest.fixture(params=["registry-3.0", "registry-3.1"])
def another_registry(request):
    """The environment in which the programs below use this registry in place of Debian's."""
    path = os.path.join(os.environ.get("BERTH_INTEROP", "/nowhere"), request.param)
    if not os.access(path, os.X_OK):
        pytest.skip(f"{request.param} was not built")
    return {**os.environ, "REGISTRY_BIN": path, "BERTH_BIN": binary()}


def test_registry_side_by_side(another_registry):
    r = subprocess.run([TOP / "script/compare-registry"], env=another_registry, capture_output=True,
                       text=True, timeout=600, check=False)
    assert r.returncode == 0, r.stdout + r.stderr
    assert "registry 3." in r.stdout


def test_registry_directory(another_registry, tmp_path):
    r = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                        f"--basetemp={tmp_path / 'inner'}", TOP / "tests/it/test_import.py"],
                       env=another_registry, capture_output=True, text=True, timeout=600,
                       check=False)
    assert r.returncode == 0, r.stdout + r.stderr
